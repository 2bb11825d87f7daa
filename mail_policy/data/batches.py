"""Batches for training: runs of consecutive decisions, every frame in them only once.

Neighbouring windows share all but one of their frames. A batch therefore holds segments of K
decisions in a row, the K + T - 1 frames that they look at, and where in these frames each window
is: a history of five costs little more than none.

Several processes share a batch: each draws all of it, and makes its own segments.

Letters used for shapes in this file:
    G  segments        K  decisions per segment      B = G x K, of this process
    N  frames          T  observations of a window   A  rows of a chunk
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mail_policy.data.augment import AugmentConfig, draw_changes
from mail_policy.data.batch import Batch
from mail_policy.data.dataset import Decisions
from mail_policy.data.episodes import DatasetError
from mail_policy.data.normalisation import Statistics

_NO_AUGMENTATION = AugmentConfig(shift_pixels=0, brightness=0.0, colour_gain=0.0)


@dataclass(frozen=True, slots=True)
class Share:
    """Which segments of every batch belong to a process.

    Attributes:
        rank: Number of the process, from 0.
        processes: How many there are.
    """

    rank: int = 0
    processes: int = 1

    def of(self, segments: int) -> NDArray[np.int64]:
        """Return the numbers of the segments, at most one more than another process has.

        Raises:
            DatasetError: There are more processes than segments.
        """
        if segments < self.processes:
            raise DatasetError(
                f"{self.processes} processes cannot share {segments} segments of a batch; start "
                "fewer, or raise batch.segments (a policy with memory needs as many episodes)"
            )
        return np.array_split(np.arange(segments), self.processes)[self.rank]


_EVERYTHING = Share()


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchConfig:
    """Sizes of a training batch.

    Attributes:
        segments: G.
        decisions_per_segment: K.
    """

    segments: int = 8
    decisions_per_segment: int = 8

    def __post_init__(self) -> None:
        """Refuse empty batches."""
        if min(self.segments, self.decisions_per_segment) < 1:
            raise ValueError(f"a batch needs at least one segment of one decision, got {self}")


class BatchMaker:
    """Makes batches of decisions.

    Args:
        decisions: To choose from.
        cameras: Names, in the order of the model.
        actions: Statistics of the actions.
        proprio: Statistics of joint positions and gripper width.
        share: Which segments of each batch are made here.
    """

    def __init__(
        self,
        decisions: Decisions,
        cameras: tuple[str, ...],
        actions: Statistics,
        proprio: Statistics,
        share: Share = _EVERYTHING,
    ) -> None:
        self._decisions = decisions
        self._share = share
        self._cameras = cameras
        self._actions = torch.from_numpy(actions.normalise(decisions.actions))  # (M, size)
        self._proprio = torch.from_numpy(proprio.normalise(decisions.proprio))  # (M, 8)
        lengths = np.diff(decisions.starts)
        self._episode_of = np.repeat(np.arange(len(lengths)), lengths)  # (M,)
        self._drawable = np.flatnonzero(decisions.valid)

    def training_batch(
        self,
        config: BatchConfig,
        augmentation: AugmentConfig,
        proprio_dropout: float,
        rng: np.random.Generator,
    ) -> Batch:
        """Draw a batch at random; every valid decision is as likely as any other.

        Args:
            config: Sizes.
            augmentation: How much pictures are changed.
            proprio_dropout: Share of segments whose proprio is replaced by the mean.
            rng: Source of chance.
        """
        # A segment holds a drawn decision at a drawn place, so decisions near the ends of an
        # episode are not rarer; places outside the episode are masked.
        drawn = rng.choice(self._drawable, config.segments)  # (G,)
        places = np.arange(config.decisions_per_segment)
        first = drawn - rng.integers(0, config.decisions_per_segment, config.segments)
        wanted = first[:, None] + places  # (G, K)
        starts = self._decisions.starts
        episodes = self._episode_of[drawn]
        low, high = starts[episodes][:, None], starts[episodes + 1][:, None] - 1
        inside = (wanted >= low) & (wanted <= high)
        hidden = rng.random(config.segments) < proprio_dropout
        return self._batch(np.clip(wanted, low, high), inside, augmentation, hidden, rng)

    def validation_batches(self, size: int) -> Iterator[Batch]:
        """Yield every decision once, in order, unchanged, up to so many per batch."""
        rng = np.random.default_rng(0)
        for first in range(0, len(self._decisions), size):
            rows = np.arange(first, min(first + size, len(self._decisions)))[None]  # (1, B)
            seen = np.zeros(1, dtype=np.bool_)
            yield self._batch(rows, np.ones_like(rows, np.bool_), _NO_AUGMENTATION, seen, rng)

    def draw_episodes(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw different episodes, or all if there are fewer; return their numbers."""
        episodes = len(self._decisions.starts) - 1
        return rng.permutation(episodes)[: min(count, episodes)]

    def all_episodes(self) -> Iterator[NDArray[np.int64]]:
        """Yield every episode by its number, alone."""
        yield from np.arange(len(self._decisions.starts) - 1)[:, None]

    def steps_of(self, episodes: NDArray[np.int64]) -> int:
        """Return how many decisions some episodes have."""
        lengths = np.diff(self._decisions.starts)[episodes]
        return int(lengths.sum())

    def targets_of(self, episodes: NDArray[np.int64]) -> int:
        """Return how many rows of actions count in the chunks of some episodes."""
        decisions = self._decisions
        counts = (decisions.target_exists & decisions.valid[:, None]).sum(axis=1)  # (M,)
        return int(counts[np.isin(self._episode_of, episodes)].sum())

    def episode_batches(
        self,
        episodes: NDArray[np.int64],
        steps: int,
        augmentation: AugmentConfig = _NO_AUGMENTATION,
        proprio_dropout: float = 0.0,
        seed: int = 0,
    ) -> Iterator[Batch]:
        """Yield whole episodes side by side, so many steps at a time, in order of time.

        Args:
            episodes: Numbers of the episodes, shape (G,).
            steps: K. After the end of an episode its last step is repeated and does not count.
            augmentation: How much pictures are changed: in one way per episode.
            proprio_dropout: Share of episodes whose proprio is replaced by the mean.
            seed: Of everything that is drawn.
        """
        starts = self._decisions.starts
        low, high = starts[episodes][:, None], starts[episodes + 1][:, None] - 1  # (G, 1)
        own = self._share.of(len(episodes))
        for first in range(0, int((high - low)[own].max()) + 1, steps):
            # Drawn again from the same seed for every part: an episode must not change in it.
            rng = np.random.default_rng(seed)
            hidden = rng.random(len(episodes)) < proprio_dropout
            wanted = low + first + np.arange(steps)  # (G, K)
            yield self._batch(np.minimum(wanted, high), wanted <= high, augmentation, hidden, rng)

    def _batch(
        self,
        rows: NDArray[np.int64],
        counts: NDArray[np.bool_],
        augmentation: AugmentConfig,
        hidden: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> Batch:
        """Gather this process's share of decisions (G of all, K).

        Some decisions do not count, some segments do not see their proprio.
        """
        decisions, total = self._decisions, len(self._decisions)
        own = self._share.of(len(rows))
        # A frame that two segments look at is there twice: they are augmented differently.
        keys = decisions.windows[rows[own]] + total * own[:, None, None]  # (G, K, T)
        unique, places = np.unique(keys, return_inverse=True)
        frames, groups = unique % total, unique // total  # (N,) each
        flat = rows[own].reshape(-1)  # (B,)
        valid = decisions.valid[rows] & counts
        mask = torch.from_numpy(decisions.target_exists[rows] & valid[..., None]).float()
        proprio = self._proprio[frames] * torch.from_numpy(~hidden[groups])[:, None]
        return Batch(
            pictures=tuple(
                torch.from_numpy(decisions.images[camera].take(frames)) for camera in self._cameras
            ),
            changes=tuple(
                draw_changes(groups, len(rows), augmentation, rng) for _ in self._cameras
            ),
            proprio=proprio,
            windows=torch.from_numpy(places.reshape(len(flat), -1)),
            tasks=torch.from_numpy(decisions.tasks[flat]),
            actions=self._actions[torch.from_numpy(decisions.targets[flat])],
            mask=mask[torch.from_numpy(own)].flatten(0, 1),
            mask_of_all=mask.flatten(0, 1),
            steps=rows.shape[1],
        )
