"""`mailctl eval`: which episodes it runs, what it writes, how it goes on, and what it refuses."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mail_bringup import evaluate
from mail_bringup.evaluation_request import parser
from mail_policy.evaluation.job import EvaluationError, OnResult, Trial
from mail_policy.evaluation.log import LOG_NAME
from mail_policy.evaluation.rollout import EpisodeResult
from mail_policy.evaluation.seeds import FIRST_EVALUATION_SEED
from mail_policy.inference.checkpoint import load_manifest, save_manifest
from mail_policy.training.train import prepare, train
from tests.unit.synthetic_episodes import episode, train_config

OPEN = "open the top drawer of the cabinet"
CLOSE = "close the top drawer of the cabinet"
TASKS = (OPEN, CLOSE, "fold the towel")
Given = list[Trial]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that knows two tasks of the twin, and one that the twin does not have."""
    data = [episode(f"episode-{n}", seed=n, task=task) for n, task in enumerate(TASKS)]
    config = train_config(steps=1, held_out_episodes=0)
    folder = tmp_path_factory.mktemp("run")
    return train(prepare(config, data, "test"), folder, Console(quiet=True), tensorboard=False)


@pytest.fixture(scope="module")
def other(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that knows fewer tasks. Only its manifest is read here."""
    folder = tmp_path_factory.mktemp("other")
    manifest = load_manifest(checkpoint)
    save_manifest(
        folder, replace(manifest, name="other", task_sentences=(OPEN,), weights_sha256="0" * 64)
    )
    return folder


def run_as(
    given: Given, succeeds: Callable[[Trial], bool], stop_after: int
) -> Callable[[Sequence[Trial], int, Path, OnResult], None]:
    def run(trials: Sequence[Trial], workers: int, folder: Path, on_result: OnResult) -> None:
        for trial in trials:
            if len(given) == stop_after:
                raise EvaluationError("a worker process died")
            given.append(trial)
            success = succeeds(trial)
            why = "" if success else "time ran out"
            on_result(trial, EpisodeResult(trial.key.seed, success, 50, (1.0,), why))

    return run


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """Replace the twin: A succeeds from even seeds, B never; return the trials that ran."""
    trials: Given = []

    def even(trial: Trial) -> bool:
        return trial.key.policy == "A" and trial.key.seed % 2 == 0

    run = run_as(trials, even, stop_after=-1)
    monkeypatch.setattr(evaluate, "evaluator_for", lambda arguments, plan: run)
    return trials


def summary_of(folder: Path, *words: str) -> dict:
    assert evaluate.main([*words, "--out", str(folder)]) == 0
    return json.loads((folder / "summary.json").read_text())


def test_the_result_is_written_with_seeds_that_training_never_saw(
    checkpoint: Path, given: Given, tmp_path: Path
) -> None:
    also = tmp_path / "new" / "result.json"
    words = ["--checkpoint", str(checkpoint), "--task", "open drawer", "--episodes", "4"]
    summary = summary_of(tmp_path / "out", *words, "--json", str(also))
    assert json.loads(also.read_text()) == summary
    assert summary["task"] == OPEN
    assert summary["robot"] == "sim"
    assert summary["policy"]["name"] == "tiny"
    assert summary["policy"]["sha256"] == load_manifest(checkpoint).weights_sha256
    assert (summary["episodes"], summary["successes"]) == (4, 2)
    rows = summary["tasks"][0]["rows"]
    assert [row["seed"] for row in rows] == [100_000, 100_001, 100_002, 100_003]
    assert {row["failure"] for row in rows} == {"", "time ran out"}
    assert summary["timing"]["inference_ms"]["p50"] == 1.0
    assert summary["command"].startswith("mailctl eval --checkpoint")
    assert {"software", "machine", "faults", "dropped_frames"} <= summary.keys()
    assert given[0].job.task == OPEN
    assert given[0].job.config.exec_horizon == 2
    assert given[0].job.config.max_steps == 240
    assert "time ran out" in (tmp_path / "out" / "report.html").read_text()


def test_horizon_and_limit_can_be_changed(checkpoint: Path, given: Given, tmp_path: Path) -> None:
    words = ["--checkpoint", str(checkpoint), "--episodes", "1", "--exec-horizon", "3"]
    summary_of(tmp_path, *words, "--max-steps", "17")
    assert given[0].job.config.exec_horizon == 3
    assert given[0].job.config.max_steps == 17


def test_a_suite_has_the_tasks_that_the_policy_knows_and_fixed_initial_states(
    checkpoint: Path, given: Given, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--checkpoint", str(checkpoint), "--suite", "drawers10", "--episodes", "3"]
    summary = summary_of(tmp_path, *words)
    assert [task["name"] for task in summary["tasks"]] == ["open_top", "close_top"]
    assert len(summary["left_out"]) == 8
    assert "left out, not every policy knows it: put the red block in" in capsys.readouterr().out
    assert [trial.key.seed for trial in given] == [100_000, 100_001, 100_002] * 2
    assert summary["episodes"] == 6
    assert summary["success_rate"] == pytest.approx(2 / 3)
    assert "bootstrap over episodes" in summary["interval_method"]
    assert summary["interval_95"][0] < 2 / 3 < summary["interval_95"][1]


def test_two_policies_take_turns_on_the_same_initial_states(
    checkpoint: Path, other: Path, given: Given, tmp_path: Path
) -> None:
    words = ["--checkpoint", str(checkpoint), "--against", str(other), "--suite", "drawers10"]
    summary = summary_of(tmp_path, *words, "--episodes", "4")
    turns = [(trial.key.policy, trial.key.seed - FIRST_EVALUATION_SEED) for trial in given]
    assert turns == [("A", 0), ("B", 0), ("A", 1), ("B", 1), ("A", 2), ("B", 2), ("A", 3), ("B", 3)]
    assert CLOSE in summary["left_out"]
    found = summary["comparison"]
    assert found["difference"] == 0.5
    assert (found["both"], found["only_a"], found["only_b"], found["neither"]) == (0, 2, 0, 2)
    assert summary["against"]["policy"]["name"] == "other"
    assert summary["against"]["successes"] == 0


def test_an_evaluation_that_broke_off_goes_on_and_may_be_made_longer(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = Given(), Given(), Given()
    words = ["--checkpoint", str(checkpoint), "--episodes", "4", "--out", str(tmp_path)]

    def use(trials: Given, stop_after: int) -> None:
        run = run_as(trials, lambda trial: True, stop_after)
        monkeypatch.setattr(evaluate, "evaluator_for", lambda arguments, plan: run)

    use(first, stop_after=3)
    assert evaluate.main(words) == 1
    use(second, stop_after=-1)
    summary = summary_of(tmp_path, *words)
    assert [trial.key.seed for trial in first + second] == list(range(100_000, 100_004))
    assert len(second) == 1
    assert summary["successes"] == 4
    use(third, stop_after=-1)
    assert summary_of(tmp_path, *words, "--episodes", "6")["successes"] == 6
    assert len(third) == 2
    assert summary_of(tmp_path, *words, "--episodes", "2")["episodes"] == 2
    assert len(third) == 2


# Imports no more than it needs: a test of torch's import would take longer.
KILLED = """
import os, signal, sys
from mail_bringup import evaluate
from mail_policy.evaluation.rollout import EpisodeResult
def run(trials, workers, folder, on_result):
    for trial in trials:
        if trial.key.seed == 100_003:
            os.kill(os.getpid(), signal.SIGKILL)
        on_result(trial, EpisodeResult(trial.key.seed, True, 50, (1.0,)))
evaluate.evaluator_for = lambda arguments, plan: run
evaluate.main(sys.argv[1:])
"""


def test_a_killed_evaluation_keeps_every_episode_and_counts_none_twice(
    checkpoint: Path, given: Given, tmp_path: Path
) -> None:
    words = ["--checkpoint", str(checkpoint), "--episodes", "5", "--out", str(tmp_path)]
    command = [sys.executable, "-c", KILLED, *words]
    killed = subprocess.run(command, timeout=120, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    summary = summary_of(tmp_path, *words)
    assert [trial.key.seed for trial in given] == [100_003, 100_004]
    # The first three succeeded in the killed process, of the others one did.
    assert (summary["episodes"], summary["successes"]) == (5, 4)
    assert len((tmp_path / LOG_NAME).read_text().splitlines()) == 1 + 5


def test_other_settings_do_not_go_into_the_same_folder(
    checkpoint: Path, given: Given, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--checkpoint", str(checkpoint), "--episodes", "1", "--out", str(tmp_path)]
    assert evaluate.main(words) == 0
    assert evaluate.main([*words, "--latency-steps", "3"]) == 1
    assert "latency_steps was 1, is 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--task", "make coffee"], "nearest"),
        (["--task", "fold the towel"], "the twin cannot judge this task"),
        (["--suite", "kitchen"], "known: drawers10"),
        (["--suite", "memory"], "no task of memory is known"),
        (["--suite", "drawers10", "--episodes", "51"], "50 initial states"),
        (["--suite", "drawers10", "--seed0", "5"], "leave --seed0 out"),
        (["--episodes", "0"], "at least 1"),
        (["--robot", "sim-fci", "--exec-horizon", "3"], "for --robot sim"),
        (["--stages", "opened"], "judged by a person"),
        (["--vary", "smell"], "must be of camera, light, texture"),
        (["--robot", "sim-fci", "--vary", "light"], "--vary is for --robot sim"),
        (["--robot", "panda", "--against", "open_top_drawer"], "one after the other"),
        (["--against", "nowhere"], "is no checkpoint"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_runs(
    checkpoint: Path,
    given: Given,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    out = tmp_path / "out"
    assert evaluate.main(["--checkpoint", str(checkpoint), *words, "--out", str(out)]) == 1
    assert said in capsys.readouterr().err
    assert given == []
    assert not out.exists()


def test_a_real_robot_may_have_tasks_that_the_twin_does_not(
    checkpoint: Path, given: Given, tmp_path: Path
) -> None:
    words = ["--checkpoint", str(checkpoint), "--robot", "panda", "--episodes", "1"]
    stages = ["--stages", "grasped, folded"]
    summary = summary_of(tmp_path, *words, "--task", "fold the towel", *stages)
    assert summary["tasks"][0]["name"] == "fold_the_towel"
    assert summary["stages"] == ["grasped", "folded"]


def test_seeds_of_evaluation_are_those_that_demonstrations_never_use() -> None:
    assert parser().parse_args(["--checkpoint", "c"]).seed0 is None
    collect = pytest.importorskip("mail_sim.world.collect")
    with pytest.raises(ValueError, match=str(FIRST_EVALUATION_SEED - 1)):
        collect.CollectConfig(
            sentence=OPEN, episodes=1, folder=Path("x"), first_seed=FIRST_EVALUATION_SEED
        )
