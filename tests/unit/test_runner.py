"""The runner starts, prefixes, stops and never leaves anything behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mail_bringup import descendants
from mail_bringup.processes import Process
from mail_bringup.runner import StackRunner, command_of

LIMIT_S = 10.0
# Says "up", and on SIGINT says "calm" and ends.
CALM = """
import signal, sys, time
def end(*_):
    print("calm", flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, end)
print("up", flush=True)
time.sleep(60)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""
# Loses a grandchild that lives in a session of its own.
LOSES_A_CHILD = """
import subprocess, sys
sleeps = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
subprocess.Popen(sleeps, start_new_session=True)
print("up", flush=True)
"""
RUNS_A_STACK = """
import sys, time
from mail_bringup.processes import Process
from mail_bringup.runner import StackRunner
code = sys.argv[1]
runner = StackRunner([Process(name="a", package="p", executable="e")], {},
                     lambda name, line: print(line, flush=True),
                     lambda process: [sys.executable, "-S", "-c", code])
with runner:
    print("token", runner._token, flush=True)
    time.sleep(60)
"""


def process(name: str, **given: bool) -> Process:
    return Process(name=name, package="p", executable="e", **given)  # type: ignore[arg-type]


class Output:
    """Collects lines and waits for them."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    def __call__(self, name: str, text: str) -> None:
        with self._changed:
            self.lines.append((name, text))
            self._changed.notify_all()

    def wait_for(self, name: str, text: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: (name, text) in self.lines, LIMIT_S)


def runner_of(codes: dict[str, str], output: Output, **given: bool) -> StackRunner:
    return StackRunner(
        [process(name, **(given if name == "twin" else {})) for name in codes],
        {},
        output,
        lambda process: [sys.executable, "-S", "-c", codes[process.name]],
    )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "condition did not become true in time"
        time.sleep(0.02)


def test_processes_are_stopped_calmly_and_the_twin_last() -> None:
    output = Output()
    with runner_of({"twin": CALM, "arm": CALM}, output, outlives_others=True):
        output.wait_for("twin", "up")
        output.wait_for("arm", "up")
    assert output.lines[-2:] == [("arm", "calm"), ("twin", "calm")]


def test_a_process_that_ends_by_itself_is_reported_once_with_its_code() -> None:
    output = Output()
    with runner_of({"arm": "import sys; print('bye'); sys.exit(3)"}, output) as runner:
        ended: list[str] = []
        wait_until(lambda: bool(ended.extend(map(str, runner.newly_ended())) or ended))
        assert ended == ["arm ended with exit code 3"]
        assert runner.newly_ended() == []
    assert output.lines == [("arm", "bye")]


def test_a_killed_process_is_reported_by_the_name_of_the_signal() -> None:
    output = Output()
    with runner_of({"arm": CALM}, output) as runner:
        output.wait_for("arm", "up")
        runner.children[0].popen.kill()
        runner.children[0].popen.wait(LIMIT_S)
        assert [str(ended) for ended in runner.newly_ended()] == ["arm was killed by SIGKILL"]


def test_a_stubborn_process_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descendants, "CALM_LIMIT_S", 0.2)
    monkeypatch.setattr(descendants, "TERMINATE_LIMIT_S", 0.2)
    output = Output()
    with runner_of({"arm": STUBBORN}, output) as runner:
        output.wait_for("arm", "up")
    assert runner.children[0].popen.returncode == -signal.SIGKILL
    assert ("arm", "still runs, sending SIGTERM") in output.lines
    assert ("arm", "still runs, sending SIGKILL") in output.lines


def test_a_lost_grandchild_is_found_and_ended() -> None:
    output = Output()
    with runner_of({"arm": LOSES_A_CHILD}, output) as runner:
        output.wait_for("arm", "up")
        wait_until(lambda: runner.children[0].popen.poll() is not None)
        assert len(descendants.find(runner._token)) == 1
    assert descendants.find(runner._token) == []


def test_children_can_be_interrupted_although_the_runner_was_started_in_the_background() -> None:
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        output = Output()
        code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
        with runner_of({"arm": code}, output):
            output.wait_for("arm", "False")
    finally:
        signal.signal(signal.SIGINT, before)


def test_nothing_survives_a_runner_that_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUNS_A_STACK, CALM], stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        words = {tuple(killed.stdout.readline().split()) for _ in range(2)}
        assert ("up",) in words
        (token,) = (word[1] for word in words if word[0] == "token")
        assert len(descendants.find(token)) == 1
        killed.kill()
    wait_until(lambda: descendants.find(token) == [])


def test_an_executable_that_is_not_built_is_named_before_anything_starts() -> None:
    with pytest.raises(FileNotFoundError, match=r"no executable 'e' of package 'p'.*make build"):
        StackRunner([process("arm")], {}, Output())


def test_a_command_line_carries_name_namespace_and_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable = tmp_path / "lib/p/e"
    executable.parent.mkdir(parents=True)
    executable.touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.fspath(tmp_path))
    arm = Process(
        name="arm",
        package="p",
        executable="e",
        namespace="left",
        parameters={"robot_ip": "127.0.0.9", "rate_hz": 100.0, "cameras": ()},
    )
    assert command_of(arm) == [
        os.fspath(executable),
        "--ros-args",
        "-r",
        "__node:=arm",
        "-r",
        "__ns:=/left",
        "-p",
        'robot_ip:="127.0.0.9"',
        "-p",
        "rate_hz:=100.0",
    ]
