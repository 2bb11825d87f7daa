"""All decisions of a set of episodes: what was seen, and what was done next.

Letters used for shapes in this file:
    M  steps of all episodes together    T  observations of a window
    A  rows of a chunk                   R  different rows of actions
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mail_policy.core.action_schema import EE_DELTA, schema_named
from mail_policy.core.types import Hold
from mail_policy.data.episodes import DatasetError, EpisodeArrays
from mail_policy.data.labels import make_labels
from mail_policy.data.normalisation import Statistics, proprio_vector, statistics_of
from mail_policy.data.picture_store import StackedPictures
from mail_policy.data.step_grid import StepGrid
from mail_policy.data.windows import target_rows, window_indices
from mail_policy.models.config import Windows


@dataclass(frozen=True, slots=True)
class Split:
    """Episodes to learn from, and episodes to be measured on.

    Attributes:
        training: For learning.
        validation: Held out.
    """

    training: tuple[EpisodeArrays, ...]
    validation: tuple[EpisodeArrays, ...]


def split_episodes(episodes: Sequence[EpisodeArrays], held_out: int, seed: int) -> Split:
    """Hold out so many episodes, drawn at random; steps of one episode never part."""
    if not 0 <= held_out < len(episodes):
        raise DatasetError(
            f"cannot hold out {held_out} of {len(episodes)} episodes; record more, or hold out less"
        )
    drawn = set(np.random.default_rng(seed).permutation(len(episodes))[:held_out].tolist())
    return Split(
        training=tuple(e for i, e in enumerate(episodes) if i not in drawn),
        validation=tuple(e for i, e in enumerate(episodes) if i in drawn),
    )


@dataclass(frozen=True, slots=True)
class WindowRule:
    """How decisions are cut out of episodes.

    Attributes:
        history: T.
        chunk: A.
        period_s: Time between two steps [s].
        windows: Which steps of an episode can be decisions.
        action_schema: Name of the schema that chunks are predicted in.
    """

    history: int
    chunk: int
    period_s: float
    windows: Windows = Windows.PADDED
    action_schema: str = EE_DELTA.name


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """Every step of some episodes as a decision.

    Attributes:
        images: M pictures, RGB uint8 of shape (rows, columns, 3), by camera name.
        proprio: Joint positions [rad] and gripper width [m], shape (M, 8).
        actions: Different rows of the policy's action schema, shape (R, size).
        tasks: Number of the sentence, shape (M,).
        windows: Steps that the policy sees, oldest first, shape (M, T).
        targets: Rows of `actions` that it should predict, shape (M, A).
        target_exists: False past the end of an episode, shape (M, A).
        valid: False where there is no window, because of a gap or a rule, shape (M,).
        starts: First step of every episode, and M, shape (episodes + 1,).
        sentences: The tasks, by number.
    """

    images: dict[str, StackedPictures]
    proprio: NDArray[np.float64]
    actions: NDArray[np.float64]
    tasks: NDArray[np.int64]
    windows: NDArray[np.int64]
    targets: NDArray[np.int64]
    target_exists: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    starts: NDArray[np.int64]
    sentences: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.windows)


def sentences_of(episodes: Sequence[EpisodeArrays]) -> tuple[str, ...]:
    """Return the different tasks, sorted."""
    return tuple(sorted({episode.task for episode in episodes}))


def make_decisions(
    episodes: Sequence[EpisodeArrays], rule: WindowRule, sentences: tuple[str, ...]
) -> Decisions:
    """Cut episodes into decisions. Every step is one; none is invented."""
    starts = np.cumsum([0, *(len(episode) for episode in episodes)])
    parts = [_cut(episode, rule) for episode in episodes]
    schema = schema_named(rule.action_schema)
    labels = [
        make_labels(episode, schema, part.steps, part.target_exists)
        for episode, part in zip(episodes, parts, strict=True)
    ]
    first_rows = np.cumsum([0, *(len(label.rows) for label in labels)])[:-1]
    if not any(part.valid.any() for part in parts):
        raise DatasetError(
            f"no episode is long enough for a window of {rule.history} observations and a chunk of "
            f"{rule.chunk} actions; record longer ones, or train with model.windows: padded"
        )
    offsets = starts[:-1]
    return Decisions(
        images={
            camera: StackedPictures([episode.images[camera] for episode in episodes])
            for camera in episodes[0].images
        },
        proprio=np.concatenate(
            [proprio_vector(e.joint_positions, e.gripper_widths_m) for e in episodes]
        ),
        actions=np.concatenate([label.rows for label in labels]),
        tasks=np.concatenate([[sentences.index(e.task)] * len(e) for e in episodes]),
        windows=np.concatenate([p.windows + o for p, o in zip(parts, offsets, strict=True)]),
        targets=np.concatenate([x.chunks + o for x, o in zip(labels, first_rows, strict=True)]),
        target_exists=np.concatenate([part.target_exists for part in parts]),
        valid=np.concatenate([part.valid for part in parts]),
        starts=starts,
        sentences=sentences,
    )


def require_unbroken(episodes: Sequence[EpisodeArrays], period_s: float) -> None:
    """Refuse episodes with lost steps: a policy with memory would not notice that time passed.

    Args:
        episodes: To learn from.
        period_s: Time between two steps [s].

    Raises:
        DatasetError: Names the first broken episode.
    """
    for episode in episodes:
        grid = StepGrid(period_s)
        for index, stamp_s in enumerate(episode.times_s):
            if grid.take(float(stamp_s)) != index:
                raise DatasetError(
                    f"episode {episode.id}: a step is missing {stamp_s - episode.times_s[0]:.2f} s "
                    "after the start; a policy with memory cannot learn from it, leave it out"
                )


def measure_statistics(decisions: Decisions) -> tuple[Statistics, Statistics]:
    """Return the statistics of actions, and of joint positions with the gripper width."""
    return statistics_of(decisions.actions), statistics_of(decisions.proprio)


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """Decisions of one episode, counted from its first step."""

    windows: NDArray[np.int64]
    steps: NDArray[np.int64]
    target_exists: NDArray[np.bool_]
    valid: NDArray[np.bool_]


def _cut(episode: EpisodeArrays, rule: WindowRule) -> _Cut:
    steps = len(episode)
    cut = _Cut(
        windows=np.zeros((steps, rule.history), dtype=np.int64),
        steps=np.zeros((steps, rule.chunk), dtype=np.int64),
        target_exists=np.zeros((steps, rule.chunk), dtype=np.bool_),
        valid=np.ones(steps, dtype=np.bool_),
    )
    published = rule.windows is Windows.PUBLISHED
    start_s = None if published else float(episode.times_s[0])
    for step in range(steps):
        found = window_indices(
            episode.times_s,
            step,
            history=rule.history,
            period_s=rule.period_s,
            start_s=start_s,
        )
        if isinstance(found, Hold):
            cut.valid[step] = False
        else:
            cut.windows[step] = found
        cut.steps[step], cut.target_exists[step] = target_rows(
            episode.times_s, step, chunk=rule.chunk, period_s=rule.period_s
        )
    if published:
        cut.valid[:] &= cut.target_exists.all(axis=1)
    return cut
