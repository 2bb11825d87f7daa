"""Which episodes an evaluation has: every policy, every task, every initial state."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mail_policy.evaluation.job import EpisodeKey, Job, Trial
from mail_policy.evaluation.rollout import RolloutConfig
from mail_policy.evaluation.videos import Videos


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyEntry:
    """A policy that is tried.

    Attributes:
        label: "A", or "B" for the one that A is compared with.
        name: Of the checkpoint.
        sha256: Of its weights.
        folder: Where it lies.
        period_s: Time of one step [s].
        exec_horizon: Steps after which it plans again.
    """

    label: str
    name: str
    sha256: str
    folder: Path
    period_s: float
    exec_horizon: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskEntry:
    """A task that is tried.

    Attributes:
        name: Short, for files and tables.
        sentence: What the policies are told.
        max_steps: Steps after which an episode has failed.
    """

    name: str
    sentence: str
    max_steps: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is evaluated.

    Attributes:
        robot: In what.
        suite: Name of the set of tasks, "" for a single one.
        policies: One, or two that are compared.
        tasks: Their tasks.
        left_out: Sentences of the suite that not every policy knows.
        seeds: Of the initial states.
        latency_steps: Steps between an observation and the chunk made from it.
        videos: Which episodes are filmed.
        vary: What looks different in every episode of a twin, kinds separated by commas.
        stages: What a person judges beside success, in the order in which it is done.
    """

    robot: str
    suite: str
    policies: tuple[PolicyEntry, ...]
    tasks: tuple[TaskEntry, ...]
    left_out: tuple[str, ...]
    seeds: Sequence[int]
    latency_steps: int
    videos: Videos = Videos.FAILURES
    vary: str = ""
    stages: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Name of the suite, or the sentence of the only task."""
        return self.suite or self.tasks[0].sentence

    def trials(self) -> list[Trial]:
        """Return all episodes.

        Policies take turns on every initial state, so that an evaluation which ends early has
        compared them, and slow changes of a machine or a robot meet both.
        """
        return [
            Trial(self.key(policy, task, seed), self.job(policy, task))
            for task in self.tasks
            for seed in self.seeds
            for policy in self.policies
        ]

    def key(self, policy: PolicyEntry, task: TaskEntry, seed: int) -> EpisodeKey:
        """Return the key of an episode."""
        return EpisodeKey(policy.label, task.name, seed)

    def job(self, policy: PolicyEntry, task: TaskEntry) -> Job:
        """Return what a policy does for a task."""
        config = RolloutConfig(
            period_s=policy.period_s,
            exec_horizon=policy.exec_horizon,
            max_steps=task.max_steps,
            latency_steps=self.latency_steps,
        )
        return Job(policy.folder, task.sentence, config, self.videos, self.vary)

    def settings(self) -> dict[str, Any]:
        """Return what episodes must have in common to be counted together.

        The number of initial states is no part of it: more of them may be tried later.
        """
        return {
            "robot": self.robot,
            "policies": {
                policy.label: {
                    "name": policy.name,
                    "sha256": policy.sha256,
                    "exec_horizon": policy.exec_horizon,
                }
                for policy in self.policies
            },
            "tasks": {
                task.name: {"sentence": task.sentence, "max_steps": task.max_steps}
                for task in self.tasks
            },
            "latency_steps": self.latency_steps,
            # Left out where there is none: logs from before it was a choice can go on.
            **({"vary": self.vary} if self.vary else {}),
            "stages": list(self.stages),
        }
