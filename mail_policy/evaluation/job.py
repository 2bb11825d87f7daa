"""What an evaluation does, wherever it runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mail_policy.evaluation.rollout import EpisodeResult, RolloutConfig
from mail_policy.evaluation.videos import Videos

# Reasons of failures that an arm which stopped by itself has caused begin with it.
FAULT = "fault: "


class EvaluationError(RuntimeError):
    """Episodes cannot be run. The text names the remedy."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is done once per seed.

    Attributes:
        checkpoint: Folder of the policy.
        task: The resolved sentence.
        config: How the policy acts.
        videos: Which episodes are filmed.
        vary: What looks different in every episode of a twin, kinds separated by commas.
    """

    checkpoint: Path
    task: str
    config: RolloutConfig
    videos: Videos = Videos.NONE
    vary: str = ""


@dataclass(frozen=True, slots=True)
class EpisodeKey:
    """Which episode of an evaluation.

    Attributes:
        policy: Label of the policy, "A" or "B".
        task: Short name of the task.
        seed: Of the initial state.
    """

    policy: str
    task: str
    seed: int

    @property
    def file_stem(self) -> str:
        """Name of the episode's files, without their endings."""
        return f"{self.policy}-{self.task}-{self.seed}"


@dataclass(frozen=True, slots=True)
class Trial:
    """One episode that is to be run."""

    key: EpisodeKey
    job: Job


OnResult = Callable[[Trial, EpisodeResult], None]


class Evaluator(Protocol):
    """Runs trials in some world."""

    def __call__(
        self, trials: Sequence[Trial], workers: int, folder: Path, on_result: OnResult
    ) -> None:
        """Run trials; tell each result as it comes.

        Args:
            trials: What to run, in this order as far as workers allow.
            workers: Processes.
            folder: Where videos and logs go.
            on_result: Called with every result.

        Raises:
            EvaluationError: Not all trials could be run.
        """
        ...
