"""Recording scripted demonstrations: what is kept, resumed, refused."""

import os
import subprocess
import sys
import time
from concurrent.futures import Future
from contextlib import suppress
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
    parse,
)
from mail_sim.world.demonstration import Demonstration
from mail_sim.world.scene import CAMERAS
from mail_sim.world.scripted_episode import episode_name, is_finished, write_demonstration
from mail_sim.world.variation import Variation

SENTENCE = "open the top drawer of the cabinet"


class InlinePool:
    """Runs jobs at once, in the order of their submission."""

    def __init__(self, workers: int) -> None: ...

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

    monkeypatch.setattr(module, "worker_pool", InlinePool)
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
    assert "variation" not in manifest.software


def test_an_episode_says_what_was_varied(tmp_path: Path) -> None:
    folder = tmp_path / episode_name(SENTENCE, 12)
    looks = parse(["--task", SENTENCE, "--out", str(tmp_path), "--vary", "light,camera"]).variation
    assert looks == Variation(camera=True, light=True)
    write_demonstration(folder, SENTENCE, 12, demonstration(), looks)
    assert load_manifest(folder).software["variation"] == "camera,light"


def test_what_a_dead_recording_left_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / episode_name(SENTENCE, 12)
    folder.mkdir()
    (folder / "episode.mcap").write_bytes(b"torn")
    assert not is_finished(folder)
    write_demonstration(folder, SENTENCE, 12, demonstration())
    assert is_finished(folder)


def wait_for_the_end_of_the_group(group: int) -> None:
    """Wait until the workers of a killed collection have ended, too."""
    deadline_s = time.monotonic() + 60.0
    with suppress(ProcessLookupError):
        while True:
            os.killpg(group, 0)
            assert time.monotonic() < deadline_s, "a worker outlives its parent"
            time.sleep(0.02)


def test_a_killed_collection_goes_on_where_it_was(tmp_path: Path) -> None:
    words = ["--task", "press_cued", "--episodes", "3", "--out", str(tmp_path), "--workers", "1"]
    command = [sys.executable, "-m", "mail_sim.world.collect", *words, "--image-size", "32"]
    first = tmp_path / "press_cued-000000"
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL) as killed:
        while not is_finished(first):
            assert killed.poll() is None, "the collection ended before it could be killed"
            time.sleep(0.01)
        killed.kill()
    wait_for_the_end_of_the_group(killed.pid)
    written = (first / "episode.mcap").stat()
    finished = sum(is_finished(folder) for folder in tmp_path.iterdir())
    again = subprocess.run(command, capture_output=True, text=True, timeout=100.0, check=True)
    assert "3 episodes" in again.stdout
    assert [is_finished(tmp_path / f"press_cued-{seed:06d}") for seed in range(3)] == [True] * 3
    assert (first / "episode.mcap").stat().st_mtime_ns == written.st_mtime_ns
    assert finished < 3


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
        (["--task", SENTENCE, "--vary", "weather"], "variation must be of camera, light, texture"),
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
