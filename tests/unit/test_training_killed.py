"""A run that is killed loses nothing that it cannot do again, bit by bit."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mail_policy.inference.weights import load_tensors
from mail_policy.training import train as command
from mail_policy.training.state import STATE_NAME
from tests.unit.synthetic_episodes import train_config
from tests.unit.training_runs import LIMIT_S, environment, metrics, words, write_config


def test_a_run_that_was_killed_ends_with_the_same_weights(episodes: Any, tmp_path: Path) -> None:
    for number in range(4):
        episodes.record(9, id=f"episode-{number}")
    data = episodes.root
    config = train_config(steps=24, save_every=4, validate_every=24, held_out_episodes=1)
    file = write_config(tmp_path / "tiny.yaml", config)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    train = [sys.executable, "-m", "mail_policy.mailctl", "train", *words(file, data, killed)]
    with subprocess.Popen(train, env=environment(), stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: (killed / STATE_NAME).exists() and last_step(killed) >= 6, process)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert 6 <= last_step(killed) < 24
    assert command.main([*words(file, data, killed), "--resume"]) == 0
    assert command.main(words(file, data, whole)) == 0
    assert metrics(killed) == metrics(whole)
    for name in (STATE_NAME, "checkpoint/weights.safetensors"):
        expected = load_tensors(whole / name)
        for key, value in load_tensors(killed / name).items():
            assert torch.equal(value, expected[key]), f"{name} {key}"
    first, second = json.loads((killed / "run.json").read_text())["starts"]
    assert first["step"] == 0
    assert second["step"] >= 4


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not condition():
        assert process.poll() is None, "the run ended early"
        assert time.monotonic() < end_s, "the run is stuck"
        time.sleep(0.01)


def last_step(folder: Path) -> int:
    """Return the newest step in the metrics; the line after it may be half written."""
    lines = (folder / "metrics.jsonl").read_text().split("\n")[:-1]
    return json.loads(lines[-1])["step"] if lines else 0
