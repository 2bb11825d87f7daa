"""Recording scripted demonstrations: what is kept, resumed, refused."""

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_collection.manifest import load_manifest
from mail_policy.core.types import Observation
from mail_sim.world import collect as module
from mail_sim.world.collect import (
    CollectConfig,
    CollectError,
    Played,
    collect,
    episode_name,
    is_finished,
    parse,
    write_demonstration,
)
from mail_sim.world.demonstration import Demonstration
from mail_sim.world.scene import CAMERAS

SENTENCE = "open the top drawer of the cabinet"


class InlinePool:
    """Runs jobs at once, in the order of their submission."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> "InlinePool":
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, function: Any, *arguments: Any) -> Future[Played]:
        future: Future[Played] = Future()
        future.set_result(function(*arguments))
        return future


def demonstration(steps: int = 3) -> Demonstration:
    image = np.zeros((32, 32, 3), np.uint8)
    observations = [
        Observation(0.05 * k, dict.fromkeys(CAMERAS, image), np.zeros(7), 0.08)
        for k in range(steps + 1)
    ]
    actions = [np.full(7, 0.01 * k) for k in range(steps)]
    return Demonstration(list(zip(observations, [*actions, None], strict=True)), success=True)


def played_seeds(
    monkeypatch: pytest.MonkeyPatch, config: CollectConfig, failing: set[int]
) -> list[int]:
    seeds: list[int] = []

    def play(config: CollectConfig, seed: int) -> Played:
        del config
        seeds.append(seed)
        return Played(seed not in failing, 10)

    monkeypatch.setattr(module, "ProcessPoolExecutor", InlinePool)
    monkeypatch.setattr(module, "play_seed", play)
    list(collect(config))
    return seeds


def config(folder: Path, **changes: Any) -> CollectConfig:
    return CollectConfig(**{"sentence": SENTENCE, "episodes": 5, "folder": folder} | changes)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_failures_are_redrawn_with_the_next_seeds_whatever_the_workers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, workers: int
) -> None:
    seeds = played_seeds(monkeypatch, config(tmp_path, workers=workers, first_seed=7), {8, 12})
    assert sorted(seeds) == [7, 8, 9, 10, 11, 12, 13]


def test_a_hopeless_expert_ends_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(CollectError, match=r"the expert failed in 1[12] of 1[12] episodes"):
        played_seeds(monkeypatch, config(tmp_path), set(range(1000)))


def test_a_demonstration_becomes_a_finished_episode(tmp_path: Path) -> None:
    folder = tmp_path / episode_name(SENTENCE, 12)
    assert folder.name == "open_top-000012"
    assert not is_finished(folder)
    write_demonstration(folder, SENTENCE, 12, demonstration())
    assert is_finished(folder)
    manifest = load_manifest(folder)
    assert (manifest.task, manifest.seed, manifest.steps) == (SENTENCE, 12, 4)
    assert manifest.source == "scripted"


def test_what_a_dead_recording_left_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / episode_name(SENTENCE, 12)
    folder.mkdir()
    (folder / "episode.mcap").write_bytes(b"torn")
    assert not is_finished(folder)
    write_demonstration(folder, SENTENCE, 12, demonstration())
    assert is_finished(folder)


def test_a_finished_episode_is_not_played_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_demonstration(tmp_path / episode_name(SENTENCE, 3), SENTENCE, 3, demonstration())
    monkeypatch.setattr(module, "World", None)
    assert module.play_seed(config(tmp_path), 3) == Played(success=True, steps=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "fly"], "unknown task 'fly'"),
        (["--task", SENTENCE, "--episodes", "0"], "episodes must be at least 1"),
        (["--task", SENTENCE, "--noise", "2"], "noise must be a share"),
        (["--task", SENTENCE, "--seed", "100000"], "later seeds are for evaluation"),
        (["--task", SENTENCE, "--seed", "99990"], "later seeds are for evaluation"),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_anything_starts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit):
        parse([*words, "--out", str(tmp_path)])
    assert message in capsys.readouterr().err
