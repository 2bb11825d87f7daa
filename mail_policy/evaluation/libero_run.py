"""Runs a protocol of LIBERO: every task, every initial state, every seed; what is done is kept."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from mail_policy.evaluation.environment import Environment
from mail_policy.evaluation.job import EpisodeKey
from mail_policy.evaluation.libero_protocol import RATE_HZ, LiberoProtocol, LiberoTask, Suite
from mail_policy.evaluation.log import EpisodeLog
from mail_policy.evaluation.playback import NO_LIMITS
from mail_policy.evaluation.rollout import (
    EpisodeResult,
    RolloutConfig,
    WindowPredictor,
    run_episode,
)


class TaskPredictor(WindowPredictor, Protocol):
    """What a run needs of a policy."""

    def set_task(self, sentence: str) -> str:
        """Follow a sentence from now on."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LiberoRun:
    """What is run.

    Attributes:
        suite: Which suite.
        tasks: Which of its tasks.
        protocol: In which way.
        exec_horizon: Steps after which the policy plans again.
    """

    suite: Suite
    tasks: tuple[LiberoTask, ...]
    protocol: LiberoProtocol
    exec_horizon: int

    @property
    def rollout(self) -> RolloutConfig:
        """How a policy acts. It thinks in no time, and LIBERO's controller limits its steps."""
        return RolloutConfig(
            period_s=1.0 / RATE_HZ,
            exec_horizon=self.exec_horizon,
            max_steps=self.protocol.max_steps[self.suite],
            limits=NO_LIMITS,
        )

    def keys(self, seed: int, task: LiberoTask) -> list[EpisodeKey]:
        """Return the episodes of a task and seed, in the order of their initial states."""
        states = range(self.protocol.initial_states)
        return [EpisodeKey(f"seed {seed}", task.name, state) for state in states]

    @property
    def episodes(self) -> int:
        """How many episodes this is."""
        return len(self.protocol.seeds) * len(self.tasks) * self.protocol.initial_states


def run_libero(
    run: LiberoRun,
    open_world: Callable[[LiberoTask, int], AbstractContextManager[Environment]],
    open_policy: Callable[[int], TaskPredictor],
    log: EpisodeLog,
    on_episode: Callable[[EpisodeKey, EpisodeResult], None] = lambda key, result: None,
) -> None:
    """Run all episodes that the log does not hold yet.

    Args:
        run: What is run.
        open_world: Returns the environment of a task and seed. It is reset with the number of an
            initial state.
        open_policy: Returns the policy of a seed.
        log: Where episodes are kept.
        on_episode: Told every episode as it comes.
    """
    for seed in run.protocol.seeds:
        policy: TaskPredictor | None = None
        for task in run.tasks:
            left = [key for key in run.keys(seed, task) if key not in log.results]
            if not left:
                continue
            policy = policy or open_policy(seed)
            policy.set_task(task.sentence)
            with open_world(task, seed) as world:
                for key in left:
                    result = run_episode(world, policy, key.seed, run.rollout)
                    log.add(key, result)
                    on_episode(key, result)
