"""Episodes of a policy in the directly stepped twin, several at a time."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING

import numpy as np

from mail_policy.core.frames import Array, pose_error
from mail_policy.core.kinematics import forward_kinematics
from mail_policy.core.types import Observation
from mail_policy.evaluation.job import Job
from mail_policy.evaluation.rollout import EpisodeResult, run_episode

if TYPE_CHECKING:
    from mail_sim.world.world import World

_run: Callable[[int], EpisodeResult]


def evaluate_sim(
    job: Job, seeds: Sequence[int], workers: int, on_result: Callable[[EpisodeResult], None]
) -> list[EpisodeResult]:
    """Run episodes in the directly stepped twin, several at a time.

    Args:
        job: The policy and its task.
        seeds: Of the initial states.
        workers: Processes.
        on_result: Called with every result as it comes.

    Returns:
        Results in the order of the seeds.
    """
    # One thread per process: OpenMP's barriers cost more than they bring on shared cores.
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    results: list[EpisodeResult] = []
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(job,)
    ) as pool:
        for future in as_completed([pool.submit(_run_seed, seed) for seed in seeds]):
            results.append(future.result())
            on_result(results[-1])
    return sorted(results, key=lambda result: result.seed)


class SteppedTwin:
    """A world that takes actions of every schema.

    Args:
        world: The directly stepped twin, inside its context.
    """

    def __init__(self, world: "World") -> None:
        self._world = world

    def reset(self, seed: int) -> Observation:
        """Begin an episode. The same seed gives the same episode."""
        return self._world.reset(seed)

    def step(self, action: Array) -> Observation:
        """Move the commanded pose by a row of EE_DELTA, shape (7,), and wait one period."""
        return self._world.step(action)

    def step_joints(self, action: Array) -> Observation:
        """Go to the TCP pose of a row of JOINT_POSITION, shape (8,), in one period.

        The world moves poses, so the elbow goes where its own inverse kinematics puts it: the
        one from which labels of joint positions are made.
        """
        goal = forward_kinematics(action[:-1])
        return self._world.step(np.append(pose_error(self._world.commanded_pose, goal), action[-1]))

    def success(self) -> bool:
        """Whether the task has been done since the reset."""
        return self._world.success()


def _start_worker(job: Job) -> None:
    """Load policy and world once per process."""
    global _run
    from mail_policy.inference.predictor import Predictor
    from mail_sim.world.world import World

    predictor = Predictor(job.checkpoint, threads=1)
    predictor.warm_up()
    predictor.set_task(job.task)
    names = tuple(camera.name for camera in predictor.manifest.cameras)
    # The world lives as long as the process, which ends with the pool.
    world = SteppedTwin(World(job.task, cameras=names).__enter__())
    _run = lambda seed: run_episode(world, predictor, seed, job.config)  # noqa: E731


def _run_seed(seed: int) -> EpisodeResult:
    return _run(seed)
