"""`mailctl eval`: which episodes it runs, what it writes, and what it refuses."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from mail_bringup import evaluate
from mail_policy.evaluation.rollout import EpisodeResult
from mail_policy.evaluation.seeds import FIRST_EVALUATION_SEED
from mail_policy.training.train import prepare, train
from tests.unit.synthetic_episodes import TASK, episodes, train_config


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = prepare(train_config(steps=1), episodes(3), "test")
    return train(run, tmp_path_factory.mktemp("run"), Console(quiet=True), tensorboard=False)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[evaluate.Job]:
    """Replace the twin by an evaluator in which even seeds succeed; return what it was given."""
    given = []

    def run(
        job: evaluate.Job,
        seeds: Sequence[int],
        workers: int,
        on_result: Callable[[EpisodeResult], None],
    ) -> list[EpisodeResult]:
        given.append(job)
        results = [EpisodeResult(seed, seed % 2 == 0, 50, (1.0,)) for seed in seeds]
        for result in results:
            on_result(result)
        return results

    monkeypatch.setitem(evaluate.EVALUATORS, "sim", run)
    return given


def test_the_result_is_written_with_seeds_that_training_never_saw(
    checkpoint: Path, jobs: list[evaluate.Job], tmp_path: Path
) -> None:
    result = tmp_path / "new" / "result.json"
    words = ["--checkpoint", str(checkpoint), "--task", "square", "--episodes", "4"]
    assert evaluate.main([*words, "--json", str(result)]) == 0
    summary = json.loads(result.read_text())
    assert summary["task"] == TASK
    assert summary["robot"] == "sim"
    assert summary["policy"]["name"] == "tiny"
    assert summary["successes"] == 2
    assert [row["seed"] for row in summary["rows"]] == [100_000, 100_001, 100_002, 100_003]
    assert jobs[0].task == TASK
    assert jobs[0].config.exec_horizon == 2


def test_the_horizon_can_be_changed(checkpoint: Path, jobs: list[evaluate.Job]) -> None:
    evaluate.main(["--checkpoint", str(checkpoint), "--exec-horizon", "3", "--episodes", "1"])
    assert jobs[0].config.exec_horizon == 3


def test_an_unknown_checkpoint_or_task_is_refused(
    checkpoint: Path, jobs: list[evaluate.Job], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["--checkpoint", "nowhere"]) == 1
    assert "is no checkpoint" in capsys.readouterr().err
    assert evaluate.main(["--checkpoint", str(checkpoint), "--task", "make coffee"]) == 1
    assert "nearest" in capsys.readouterr().err
    assert jobs == []


def test_by_default_the_seeds_are_those_that_demonstrations_never_use() -> None:
    assert evaluate._parser().parse_args(["--checkpoint", "c"]).seed0 == FIRST_EVALUATION_SEED
    collect = pytest.importorskip("mail_sim.world.collect")
    with pytest.raises(ValueError, match=str(FIRST_EVALUATION_SEED - 1)):
        collect.CollectConfig(
            sentence="open the top drawer of the cabinet",
            episodes=1,
            folder=Path("x"),
            first_seed=FIRST_EVALUATION_SEED,
        )
