"""An episode with what was done at each step, ready for another format."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_collection import topics
from data_collection.errors import EpisodeError
from data_collection.manifest import EpisodeQuality
from data_collection.step_index import EpisodeIndex, index_steps
from mail_policy.core.action_schema import (
    EE_DELTA,
    JOINT_POSITION,
    ActionSchema,
    rows_from_targets,
    schema_named,
    targets_from_rows,
)
from mail_policy.core.frames import Array
from mail_policy.data.episodes import DatasetError, EpisodeArrays
from mail_policy.data.labels import Labels, make_labels
from mail_policy.data.set_points import actions_from_set_points, read_set_points

_FROM_HERE = np.eye(4)


@dataclass(frozen=True, slots=True, eq=False)
class Demonstration:
    """The steps of an episode that have an action; L is their number.

    Attributes:
        index: The steps.
        actions: Shape (L, schema.size).
        schema: What the actions mean.
        rate_hz: Steps per second.
    """

    index: EpisodeIndex
    actions: Array
    schema: ActionSchema
    rate_hz: float

    def __len__(self) -> int:
        return len(self.index)


def read_demonstration(folder: Path) -> Demonstration:
    """Read an episode for export. Where no actions were recorded, set-points are taken for them.

    Raises:
        EpisodeError: The episode is damaged or unfinished, has gaps, or holds no actions.
    """
    index = index_steps(folder)
    manifest = index.manifest
    if manifest.quality is EpisodeQuality.RECORDING:
        raise EpisodeError(f"{folder} was never finished; `mailctl episodes repair {folder}`")
    has_action = ~np.isnan(index.actions).any(axis=1)
    if not has_action.any():
        return _driven_by_hand(index)
    kept = np.flatnonzero(has_action)
    missing = int(kept[-1] + 1 - kept[0] - len(kept))
    if missing:
        raise EpisodeError(
            f"{folder}: {missing} steps between others have no action; leave the episode out"
        )
    index = index.at(kept)
    schema = schema_named(manifest.action_schema)
    return Demonstration(index, index.actions, schema, manifest.rate_hz)


def thinned(demonstration: Demonstration, rate_hz: float) -> Demonstration:
    """Keep fewer steps per second; each action then says what several did together.

    Raises:
        EpisodeError: The recorded rate is no multiple.
    """
    recorded_hz = demonstration.rate_hz
    stride = round(recorded_hz / rate_hz)
    folder = demonstration.index.folder
    if stride < 1 or abs(stride * rate_hz - recorded_hz) > 1e-6:
        raise EpisodeError(
            f"{folder} has {recorded_hz:g} steps per second, which is no multiple of {rate_hz:g}"
        )
    count = len(demonstration) // stride
    if not count:
        raise EpisodeError(f"{folder} is shorter than one step at {rate_hz:g} steps per second")
    labels = _labels(demonstration, demonstration.schema, stride)
    chunks = labels.rows[labels.chunks[::stride][:count]]
    actions = chunks[:, -1]
    if demonstration.schema is EE_DELTA:
        actions = np.concatenate([_together(chunk) for chunk in chunks])
    index = demonstration.index.at(np.arange(count) * stride)
    return Demonstration(index, actions, demonstration.schema, rate_hz)


def expressed_in(demonstration: Demonstration, schema: ActionSchema) -> Demonstration:
    """Return the same actions in another schema.

    Raises:
        EpisodeError: An action cannot be expressed in it.
    """
    labels = _labels(demonstration, schema, 1)
    return dataclasses.replace(
        demonstration, actions=labels.rows[labels.chunks[:, 0]], schema=schema
    )


def _driven_by_hand(index: EpisodeIndex) -> Demonstration:
    rate_hz = index.manifest.rate_hz
    actions = actions_from_set_points(index.folder, index.times_s, 1.0 / rate_hz)
    if actions is None:
        raise EpisodeError(
            f"{index.folder} holds neither actions on {topics.DEMONSTRATION_ACTION} nor commands "
            f"on {topics.ARM_STATE} and {topics.GRIPPER_STATE}, so nobody can learn from it"
        )
    return Demonstration(index, actions, JOINT_POSITION, rate_hz)


def _labels(demonstration: Demonstration, schema: ActionSchema, rows: int) -> Labels:
    """Return the chunk of so many rows that begins at each step."""
    index = demonstration.index
    steps: NDArray[np.int64] = np.arange(len(index))[:, None] + np.arange(rows)
    exists = steps < len(index)
    try:
        arrays = EpisodeArrays(
            id=index.manifest.id,
            task=index.manifest.task,
            times_s=index.times_s,
            images={},
            joint_positions=index.joint_positions,
            gripper_widths_m=index.gripper_widths_m,
            actions=demonstration.actions,
            set_points=read_set_points(index.folder, index.times_s),
            action_schema=demonstration.schema.name,
        )
        return make_labels(arrays, schema, np.where(exists, steps, 0), exists)
    except DatasetError as error:
        raise EpisodeError(f"{index.folder}: {error}") from error


def _together(chunk: Array) -> Array:
    """Return the one row of EE_DELTA that moves as far as several, shape (1, 7)."""
    last = targets_from_rows(EE_DELTA, _FROM_HERE, chunk)[-1:]
    return rows_from_targets(EE_DELTA, _FROM_HERE, last, chunk[-1:, -1])
