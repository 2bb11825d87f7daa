"""Feeds training steps: the next batch is made in a thread while the device computes.

All chance in step n is drawn from (seed, n), whatever was done before it.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

import numpy as np

from mail_policy.data.batch import Batch
from mail_policy.data.batches import BatchMaker
from mail_policy.training.config import TrainConfig

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One of the batches of a step; a policy with windows has one, one with memory has many.

    Attributes:
        batch: To learn from.
        samples: Decisions of the whole step, in all its parts and processes.
        targets: Rows of actions that count in these decisions.
        chance: Seed of whatever else is drawn in the step.
        is_last: Whether the step ends with it.
    """

    batch: Batch
    samples: int
    targets: int
    chance: int
    is_last: bool


class Feed:
    """Makes the parts of all steps, in order, one part ahead.

    Args:
        config: Of the run.
        maker: Of the batches.
        stage: Called with every batch, in the thread.
    """

    def __init__(
        self, config: TrainConfig, maker: BatchMaker, stage: Callable[[Batch], Batch]
    ) -> None:
        self._config = config
        self._maker = maker
        self._stage = stage
        self._parts: Ahead[Part] | None = None
        self._next_step = 0

    def step(self, number: int) -> Iterator[Part]:
        """Yield the parts of a step, counted from 0."""
        if self._parts is None or number != self._next_step:
            self._parts = Ahead(self._parts_from(number))
        for part in self._parts:
            yield part
            if part.is_last:
                break
        self._next_step = number + 1

    def _parts_from(self, first: int) -> Iterator[Part]:
        make = self._episodes if self._config.model.stateful else self._windows
        for number in count(first):
            yield from make(np.random.default_rng([self._config.seed, number]))

    def _windows(self, rng: np.random.Generator) -> Iterator[Part]:
        """Yield the one part of a step with windows."""
        config = self._config
        batch = self._maker.training_batch(
            config.batch, config.augment, self._proprio_dropout(), rng
        )
        of_all = batch.mask_of_all
        yield Part(self._stage(batch), len(of_all), int(of_all.sum()), _seed(rng), is_last=True)

    def _episodes(self, rng: np.random.Generator) -> Iterator[Part]:
        """Yield the parts of a step with whole episodes, in order of time."""
        config = self._config
        episodes = self._maker.draw_episodes(config.batch.segments, rng)
        batches = self._maker.episode_batches(
            episodes,
            config.batch.decisions_per_segment,
            config.augment,
            self._proprio_dropout(),
            seed=_seed(rng),
        )
        samples, targets = self._maker.steps_of(episodes), self._maker.targets_of(episodes)
        chance = _seed(rng)
        for batch, is_last in _with_end(batches):
            yield Part(self._stage(batch), samples, targets, chance, is_last)

    def _proprio_dropout(self) -> float:
        proprio = self._config.model.proprio
        return proprio.dropout if proprio else 0.0


class Ahead(Generic[Item]):
    """Takes items from an endless iterator in a thread, one ahead of what was asked for."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._next: Future[Item] = self._thread.submit(next, items)

    def __iter__(self) -> Iterator[Item]:
        """Yield the items; may be called again, and then goes on."""
        while True:
            item = self._next.result()
            self._next = self._thread.submit(next, self._items)
            yield item


def _with_end(items: Iterator[Item]) -> Iterator[tuple[Item, bool]]:
    """Yield items, and whether each is the last."""
    item = next(items)
    for following in items:
        yield item, False
        item = following
    yield item, True


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**63))
