"""What an evaluation does, wherever it runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mail_policy.evaluation.rollout import EpisodeResult, RolloutConfig


@dataclass(frozen=True, slots=True)
class Job:
    """What is done once per seed.

    Attributes:
        checkpoint: Folder of the policy.
        task: The resolved sentence.
        config: How the policy acts.
    """

    checkpoint: Path
    task: str
    config: RolloutConfig


class Evaluator(Protocol):
    """Runs one episode per seed in some world."""

    def __call__(
        self,
        job: Job,
        seeds: Sequence[int],
        workers: int,
        on_result: Callable[[EpisodeResult], None],
    ) -> list[EpisodeResult]:
        """Return results in the order of the seeds; tell each one as it comes."""
        ...
