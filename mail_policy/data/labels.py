"""Chunks that a policy should predict, in the action schema that it is trained for.

A label says where the demonstrator wanted to be after each row, from what was commanded at the
decision on. Recorded actions of one schema therefore give labels of any other: rows become
targets, and targets become rows.

Letters used for shapes in this file:
    L  steps of an episode    A  rows of a chunk    R  different rows
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mail_policy.core.action_schema import (
    ActionSchema,
    Reference,
    rows_from_targets,
    schema_named,
    targets_from_rows,
)
from mail_policy.core.frames import Array
from mail_policy.core.kinematics import forward_kinematics, inverse_kinematics
from mail_policy.data.episodes import DatasetError, EpisodeArrays

_MAX_MISS_M = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The chunks of an episode. Chunks may share rows.

    Attributes:
        rows: Of the action schema, shape (R, size).
        chunks: Which rows each chunk consists of, shape (L, A).
    """

    rows: Array
    chunks: NDArray[np.int64]


def make_labels(
    episode: EpisodeArrays,
    schema: ActionSchema,
    steps: NDArray[np.int64],
    exists: NDArray[np.bool_],
) -> Labels:
    """Return the chunk that each step of an episode teaches.

    Args:
        episode: With actions of any schema.
        schema: Of the labels.
        steps: Steps whose actions each chunk repeats, shape (L, A).
        exists: False where there is no such step any more, shape (L, A). Such a place of a chunk
            means nothing, and a loss must not count it.

    Raises:
        DatasetError: An action cannot be expressed in the schema.
    """
    recorded = schema_named(episode.action_schema)
    # Rows that do not count from the decision are the same in every chunk.
    if recorded is schema and schema.counted_from is not Reference.ANCHOR:
        return Labels(episode.actions, steps)
    anchors = np.array([forward_kinematics(joints) for joints in episode.commanded])  # (L, 4, 4)
    chunks = np.where(exists, exists.ravel().cumsum().reshape(exists.shape) - 1, 0)
    rows = []
    for step in range(len(steps)):
        repeated = steps[step][exists[step]]
        wanted = _wanted(episode, recorded, anchors, step, repeated)
        try:
            targets = _as_targets_of(schema, wanted, episode.commanded[step])
            widths_m = episode.actions[repeated, -1]
            rows.append(rows_from_targets(schema, anchors[step], targets, widths_m))
        except ValueError as error:
            raise DatasetError(f"episode {episode.id}, step {step}: {error}") from error
    return Labels(np.concatenate(rows), chunks)


def _wanted(
    episode: EpisodeArrays,
    recorded: ActionSchema,
    anchors: Array,
    step: int,
    rows: NDArray[np.int64],
) -> Array:
    """Return the targets of recorded actions, as they would have been chosen at one step."""
    actions = episode.actions[rows]
    if recorded.counted_from is Reference.ANCHOR:
        each = [
            targets_from_rows(recorded, anchors[row], action[None])[0]
            for row, action in zip(rows, actions, strict=True)
        ]
        return np.array(each)
    return targets_from_rows(recorded, anchors[step], actions)


def _as_targets_of(schema: ActionSchema, wanted: Array, seed: Array) -> Array:
    """Turn poses into joint positions or back, if the schema needs it."""
    if schema.is_cartesian:
        return wanted if wanted.ndim == 3 else np.array([forward_kinematics(q) for q in wanted])
    return wanted if wanted.ndim == 2 else _follow(wanted, seed)


def _follow(poses: Array, seed: Array) -> Array:
    """Follow TCP poses (rows, 4, 4) with the arm; return joint positions [rad] (rows, 7)."""
    joints = []
    for pose in poses:
        solution = inverse_kinematics(pose, seed)
        if solution.position_error_m > _MAX_MISS_M:
            missed_mm = 1e3 * solution.position_error_m
            raise ValueError(f"the arm misses an action by {missed_mm:.0f} mm; leave it out")
        seed = solution.joint_positions
        joints.append(seed)
    return np.array(joints)
