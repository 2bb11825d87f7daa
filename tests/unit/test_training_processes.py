"""Two processes that share every batch learn what one learns alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mail_policy.core.config import to_plain
from mail_policy.inference.weights import load_tensors
from mail_policy.training import train as command
from mail_policy.training.state import STATE_NAME
from tests.unit import train_several
from tests.unit.synthetic_episodes import train_config
from tests.unit.training_runs import LIMIT_S, environment, metrics, words, write_config

MEMORY = {
    "history": 1,
    "stateful": True,
    "backbone": {
        "kind": "aggregation",
        "encoder": {"layers": 1, "state_size": 4},
        "decoder": {"layers": 1, "state_size": 4},
    },
}


@pytest.fixture
def data(episodes: Any) -> Path:
    """Return a folder with episodes of different lengths."""
    for number in range(5):
        episodes.record(7 + 2 * number, id=f"episode-{number}")
    return episodes.root


def test_two_processes_learn_what_one_does(data: Path, tmp_path: Path) -> None:
    plain = to_plain(train_config().model)
    configs = {
        "windows": train_config(steps=5, held_out_episodes=1),
        "memory": train_config(steps=5, held_out_episodes=1, model={**plain, **MEMORY}),
    }
    files = [write_config(tmp_path / f"{name}.yaml", config) for name, config in configs.items()]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launched = subprocess.run(
        [*launcher, "--nproc-per-node=2", train_several.__file__, str(data), *map(str, files)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert launched.returncode == 0, launched.stderr
    for name, file in zip(configs, files, strict=True):
        shared, alone = tmp_path / name, tmp_path / f"{name}-alone"
        assert json.loads((shared / "run.json").read_text())["starts"][0]["processes"] == 2
        assert command.main(words(file, data, alone)) == 0
        assert_same_training(shared, alone)


def assert_same_training(shared: Path, alone: Path) -> None:
    for one, other in zip(*map(metrics, (shared, alone)), strict=True):
        assert one.pop("group") == other.pop("group")
        assert one == pytest.approx(other, rel=1e-4)
    expected = load_tensors(alone / STATE_NAME)
    for name, value in load_tensors(shared / STATE_NAME).items():
        if name.startswith(("policy/", "averaged/")):
            torch.testing.assert_close(value, expected[name], rtol=0.0, atol=1e-5, msg=name)
