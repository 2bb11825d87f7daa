"""The processes that run episodes in the twin: what they bring back, and that they end."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from mail_policy.evaluation.job import EpisodeKey, EvaluationError, Job, OnResult, Trial
from mail_policy.evaluation.rollout import EpisodeResult, RolloutConfig
from mail_policy.evaluation.videos import Videos
from mail_policy.training.train import prepare, train
from mail_sim import direct_evaluation
from mail_sim.direct_evaluation import run_trials
from tests.unit.synthetic_episodes import episode, train_config

OPEN, CLOSE = "open the top drawer of the cabinet", "close the top drawer of the cabinet"
CONFIG = RolloutConfig(period_s=0.05, exec_horizon=2, max_steps=4)
ENDING_LIMIT_S = 30.0


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = [episode(f"episode-{n}", seed=n, task=task) for n, task in enumerate((OPEN, CLOSE))]
    config = train_config(steps=1, held_out_episodes=0)
    folder = tmp_path_factory.mktemp("run")
    return train(prepare(config, data, "test"), folder, Console(quiet=True), tensorboard=False)


def test_a_worker_changes_tasks_and_films_failures(checkpoint: Path, tmp_path: Path) -> None:
    found: dict[EpisodeKey, EpisodeResult] = {}
    trials = [
        Trial(EpisodeKey("A", name, 100_000), Job(checkpoint, task, CONFIG, Videos.FAILURES))
        for name, task in (("open_top", OPEN), ("close_top", CLOSE))
    ]
    run_trials(trials, 1, tmp_path, lambda trial, result: found.update({trial.key: result}))
    assert list(found) == [trial.key for trial in trials]
    opened, closed = found.values()
    assert opened.failure.startswith("time ran out: drawer open 0.0")
    assert closed.failure.startswith("time ran out: drawer still open 0.")
    for result in (opened, closed):
        assert (result.steps, len(result.inference_ms)) == (4, 2)
        assert (tmp_path / result.video).stat().st_size > 1000


def test_looks_differ_by_choice(checkpoint: Path, tmp_path: Path) -> None:
    videos = {}
    for vary in ("", "light,texture"):
        job = Job(checkpoint, OPEN, CONFIG, Videos.ALL, vary)
        folder = tmp_path / vary
        trial = Trial(EpisodeKey("A", "open_top", 100_000), job)
        found: list[EpisodeResult] = []
        run_trials([trial], 1, folder, lambda _, result, found=found: found.append(result))
        videos[vary] = (folder / found[0].video).read_bytes()
    assert videos[""] != videos["light,texture"]


def test_studies_get_results_in_the_order_of_their_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    def backwards(trials: Sequence[Trial], workers: int, folder: Path, on_result: OnResult) -> None:
        for trial in reversed(trials):
            assert trial.job.videos is Videos.NONE
            on_result(trial, EpisodeResult(trial.key.seed, True, 1, ()))

    monkeypatch.setattr(direct_evaluation, "run_trials", backwards)
    told: list[EpisodeResult] = []
    job = Job(Path("x"), OPEN, CONFIG, Videos.ALL)
    results = direct_evaluation.evaluate_sim(job, [3, 4, 5], 1, told.append)
    assert [result.seed for result in results] == [3, 4, 5]
    assert [result.seed for result in told] == [5, 4, 3]


def test_what_a_worker_cannot_use_ends_the_evaluation_by_name(tmp_path: Path) -> None:
    trial = Trial(EpisodeKey("A", "open_top", 1), Job(tmp_path / "nowhere", OPEN, CONFIG))
    with pytest.raises(EvaluationError, match="nowhere"):
        run_trials([trial], 1, tmp_path, lambda trial, result: None)


ORPHANED = """
import sys
from pathlib import Path
from mail_policy.evaluation.job import EpisodeKey, Job, Trial
from mail_policy.evaluation.rollout import RolloutConfig
from mail_sim.direct_evaluation import run_trials
if __name__ == "__main__":
    config = RolloutConfig(period_s=0.05, exec_horizon=2, max_steps=100_000)
    job = Job(Path(sys.argv[1]), sys.argv[2], config)
    run_trials([Trial(EpisodeKey("A", "open_top", 1), job)], 1, Path(), lambda *result: None)
"""


def test_workers_end_when_the_evaluation_is_killed(checkpoint: Path, tmp_path: Path) -> None:
    script = tmp_path / "orphaned.py"
    script.write_text(ORPHANED)
    with subprocess.Popen([sys.executable, str(script), str(checkpoint), OPEN]) as parent:
        workers: list[psutil.Process] = []
        deadline_s = time.monotonic() + ENDING_LIMIT_S
        # Python's own tracker of resources, and the worker.
        while len(workers) < 2 and time.monotonic() < deadline_s:
            workers = psutil.Process(parent.pid).children(recursive=True)
            time.sleep(0.05)
        parent.kill()
    assert len(workers) == 2
    _, alive = psutil.wait_procs(workers, timeout=ENDING_LIMIT_S)
    assert alive == []
