"""`mailctl record` as a newcomer uses it: the twin, a terminal, a keyboard, nothing else."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from data_collection.manifest import load_manifest
from data_collection.reader import list_episodes, read_steps
from tests.ros.pty_terminal import PtyTerminal
from tests.system.running_stack import MAILCTL

LIMIT_S = 150.0
KEY_REPEAT_S = 0.04

pytestmark = pytest.mark.timeout(400)


class Newcomer:
    """A person at a terminal in which `mailctl record` runs."""

    def __init__(self, terminal: PtyTerminal, *arguments: str) -> None:
        self.terminal = terminal
        self.said = ""
        with Path(terminal.path).open("r+b", buffering=0) as slave:
            self.popen = subprocess.Popen(
                [MAILCTL, "record", *arguments], stdin=slave, stdout=slave, stderr=slave
            )

    def read(self) -> str:
        self.said += self.terminal.screen()
        return self.said

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        ends_at = time.monotonic() + LIMIT_S
        while not condition():
            assert self.popen.poll() is None, self.read()
            assert time.monotonic() < ends_at, f"waited {LIMIT_S} s for {what}:\n{self.said}"
            time.sleep(0.05)

    def wait_for_words(self, words: str) -> None:
        self.wait_for(lambda: words in self.read(), repr(words))

    def hold(self, key: str, until: Callable[[], bool]) -> None:
        """Hold a key as a keyboard does: the terminal repeats it."""
        ends_at = time.monotonic() + LIMIT_S
        while not until():
            assert time.monotonic() < ends_at, f"held {key!r} for {LIMIT_S} s:\n{self.read()}"
            self.terminal.type(key)
            time.sleep(KEY_REPEAT_S)
            self.read()


@pytest.fixture
def newcomer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Newcomer]:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "400")
    with PtyTerminal() as terminal:
        person = Newcomer(terminal, "task:=look around", f"episodes_dir:={tmp_path}")
        yield person
        if person.popen.poll() is None:
            person.popen.send_signal(signal.SIGINT)
        person.popen.wait(40.0)


def test_keys_move_the_arm_and_record_it(newcomer: Newcomer, tmp_path: Path) -> None:
    newcomer.wait_for_words("move the arm")
    newcomer.terminal.type("r")
    newcomer.wait_for(lambda: bool(list_episodes(tmp_path)), "an episode")
    (folder,) = list_episodes(tmp_path)
    log = folder / "episode.mcap"
    size = log.stat().st_size
    # Some seconds of the twin's time, however slow the machine is.
    newcomer.hold("e", until=lambda: log.stat().st_size - size > 2_000_000)
    newcomer.terminal.type("y")
    newcomer.wait_for(lambda: load_manifest(folder).success is True, "the label")
    newcomer.popen.send_signal(signal.SIGINT)
    assert newcomer.popen.wait(40.0) == 0, newcomer.read()
    manifest = load_manifest(folder)
    assert manifest.task == "look around"
    steps = read_steps(folder, manifest.cameras, 16, 16, require_actions=False, allow_gaps=True)
    assert np.abs(steps.joint_positions - steps.joint_positions[0]).max() > 0.02
    assert newcomer.terminal.is_line_by_line


def test_without_a_terminal_nothing_starts() -> None:
    done = subprocess.run(
        [MAILCTL, "record", "task:=look around"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ,
    )
    assert done.returncode == 2
    assert "device:=keyboard reads keys, and this is no terminal" in done.stderr
