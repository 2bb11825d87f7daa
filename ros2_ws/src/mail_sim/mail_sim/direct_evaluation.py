"""Episodes of a policy in the directly stepped twin, several at a time."""

import atexit
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_collection.errors import VideoError
from mail_policy.core.frames import Array, pose_error
from mail_policy.core.kinematics import forward_kinematics
from mail_policy.core.types import Observation
from mail_policy.evaluation.job import EpisodeKey, EvaluationError, Job, OnResult, Trial
from mail_policy.evaluation.rollout import EpisodeResult, run_episode
from mail_policy.evaluation.videos import Film, Videos, is_wanted
from mail_policy.inference.checkpoint import CheckpointError
from mail_sim.failure_words import TIME_RAN_OUT, EpisodeWatch
from mail_sim.worker_pool import worker_pool
from mail_sim.world.graphics import GraphicsError
from mail_sim.world.variation import Variation
from mail_sim.world.world import World

if TYPE_CHECKING:
    from mail_policy.inference.predictor import Predictor


def evaluate_sim(
    job: Job, seeds: Sequence[int], workers: int, on_result: Callable[[EpisodeResult], None]
) -> list[EpisodeResult]:
    """Run episodes of one job in the directly stepped twin, several at a time.

    Args:
        job: The policy and its task. Nothing is filmed.
        seeds: Of the initial states.
        workers: Processes.
        on_result: Called with every result as it comes.

    Returns:
        Results in the order of the seeds.
    """
    results: list[EpisodeResult] = []

    def keep(trial: Trial, result: EpisodeResult) -> None:
        del trial
        results.append(result)
        on_result(result)

    job = replace(job, videos=Videos.NONE)
    trials = [Trial(EpisodeKey("A", job.task, seed), job) for seed in seeds]
    run_trials(trials, workers, Path(), keep)
    return sorted(results, key=lambda result: result.seed)


def run_trials(trials: Sequence[Trial], workers: int, folder: Path, on_result: OnResult) -> None:
    """Run episodes in the directly stepped twin, several at a time; see `Evaluator`."""
    with worker_pool(workers) as pool:
        running = {pool.submit(_run_trial, trial, folder): trial for trial in trials}
        try:
            for future in as_completed(running):
                on_result(running[future], future.result())
        except BrokenProcessPool as error:
            raise EvaluationError("a worker process died; its error is above") from error
        except (CheckpointError, GraphicsError, VideoError) as error:
            raise EvaluationError(str(error)) from error
        finally:
            # After an interruption, what has not begun must not begin.
            pool.shutdown(wait=False, cancel_futures=True)


class SteppedTwin:
    """A world that takes actions of every schema.

    Args:
        world: The directly stepped twin, inside its context.
    """

    # Created by reset.
    _watch: EpisodeWatch

    def __init__(self, world: World) -> None:
        self._world = world

    def reset(self, seed: int) -> Observation:
        """Begin an episode. The same seed gives the same episode."""
        observation = self._world.reset(seed)
        self._watch = EpisodeWatch(self._world.task, self._world.data)
        return observation

    def step(self, action: Array) -> Observation:
        """Move the commanded pose by a row of EE_DELTA, shape (7,), and wait one period."""
        observation = self._world.step(action)
        self._watch.advance(self._world.model, self._world.data)
        return observation

    def step_joints(self, action: Array) -> Observation:
        """Go to the TCP pose of a row of JOINT_POSITION, shape (8,), in one period.

        The world moves poses, so the elbow goes where its own inverse kinematics puts it: the
        one from which labels of joint positions are made.
        """
        goal = forward_kinematics(action[:-1])
        return self.step(np.append(pose_error(self._world.commanded_pose, goal), action[-1]))

    def success(self) -> bool:
        """Whether the task has been done since the reset."""
        return self._world.success()

    def explain(self) -> str:
        """Say in words why the task has not been done."""
        if reason := self._world.failure():
            return reason
        return f"{TIME_RAN_OUT}: {self._watch.explain(self._world.model, self._world.data)}"


def _run_trial(trial: Trial, folder: Path) -> EpisodeResult:
    job, key = trial.job, trial.key
    predictor = _predictor(job.checkpoint)
    predictor.set_task(job.task)
    names = tuple(camera.name for camera in predictor.manifest.cameras)
    film = Film(1.0 / job.config.period_s)
    result = run_episode(
        _opened(job.task, names, job.vary),
        predictor,
        key.seed,
        job.config,
        watch=film.add if job.videos is not Videos.NONE else _ignore,
    )
    if not is_wanted(job.videos, result.success, folder, key.file_stem):
        return result
    return replace(result, video=film.save(folder, key.file_stem, result.success))


# Two policies are compared at most; a worker keeps both loaded.
@lru_cache(maxsize=2)
def _predictor(checkpoint: Path) -> "Predictor":
    from mail_policy.inference.predictor import Predictor

    predictor = Predictor(checkpoint, threads=1)
    predictor.warm_up()
    return predictor


_open_world: tuple[tuple[str, tuple[str, ...], str], SteppedTwin, World] | None = None


def _opened(task: str, cameras: tuple[str, ...], vary: str) -> SteppedTwin:
    """Return the twin of a task. One at a time is open: its pictures need graphics memory."""
    global _open_world
    if _open_world is None or _open_world[0] != (task, cameras, vary):
        _close_world()
        world = World(task, cameras=cameras, variation=Variation.parse(vary)).__enter__()
        # Only now: before the exit handlers of the graphics, which this one makes use of.
        atexit.register(_close_world)
        _open_world = (task, cameras, vary), SteppedTwin(world), world
    return _open_world[1]


def _close_world() -> None:
    global _open_world
    if _open_world is not None:
        _open_world[2].__exit__()
        _open_world = None


def _ignore(observation: Observation) -> None:
    del observation
