"""How many demonstrations are learned from, and which: what low-data comparisons depend on."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from mail_policy.data.dataset import sentences_of
from mail_policy.data.episodes import DatasetError, EpisodeArrays


class DemonstrationOrder(StrEnum):
    """Which demonstrations are the first ones of a task."""

    NUMERIC = "numeric"
    PUBLISHED = "published"
    SEEDED = "seeded"


@dataclass(frozen=True, kw_only=True, slots=True)
class DemonstrationConfig:
    """How many demonstrations are used, and which.

    Attributes:
        per_task: Of each task; None for all.
        order: Which come first.
    """

    per_task: int | None = None
    order: DemonstrationOrder = DemonstrationOrder.NUMERIC

    def __post_init__(self) -> None:
        """Refuse to learn from nothing."""
        if self.per_task is not None and self.per_task < 1:
            raise ValueError(f"per_task must be at least 1, got {self.per_task}")


def demonstration_order(count: int, order: DemonstrationOrder, seed: int) -> list[int]:
    """Return in which order demonstrations 0..count - 1 are used.

    The published code takes the places of sorted numbers in a list of names that is sorted as
    text ("demo_10" before "demo_2"), and uses the places as numbers (mail-model.md 6, row 7).
    """
    match order:
        case DemonstrationOrder.NUMERIC:
            return list(range(count))
        case DemonstrationOrder.PUBLISHED:
            as_text = sorted(range(count), key=str)
            return [as_text.index(number) for number in range(count)]
        case DemonstrationOrder.SEEDED:
            drawn = np.random.default_rng(seed).permutation(count)
            return [int(number) for number in drawn]


def choose_demonstrations(
    episodes: Sequence[EpisodeArrays], config: DemonstrationConfig, seed: int
) -> list[EpisodeArrays]:
    """Take so many demonstrations of each task; they are numbered by their place."""
    if config.per_task is None:
        return list(episodes)
    chosen: list[EpisodeArrays] = []
    for sentence in sentences_of(episodes):
        of_task = [episode for episode in episodes if episode.task == sentence]
        if len(of_task) < config.per_task:
            raise DatasetError(
                f"{config.per_task} demonstrations of {sentence!r} are wanted, there are "
                f"{len(of_task)}; record more, or lower demonstrations.per_task"
            )
        order = demonstration_order(len(of_task), config.order, seed)
        chosen += [of_task[number] for number in order[: config.per_task]]
    return chosen
