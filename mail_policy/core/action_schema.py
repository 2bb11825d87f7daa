"""What the numbers of an action chunk mean: names, units, frame, and how to reach them.

A schema turns the rows of a chunk into *targets*, which are timed TCP poses or joint positions,
and targets back into rows. All values are SI; the gripper is always the last number, as the
wanted distance between the fingers [m]. The *anchor* of a chunk is what was commanded when the
newest picture of its observation was taken.

On the wire and in checkpoints a schema is named by its id, for example "ee_delta:1a2b3c4d": the
name for people, and a hash of the content, so that numbers in another order, unit, frame or rate
are never taken for the known ones.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np

from mail_policy.core.frames import Array, vector_from_rotation

POLICY_RATE_HZ = 20.0
GRIPPER_OPEN_M = 0.08
# The Franka Hand knows two useful commands, open and grasp. A wanted width below the first number
# means grasp, above the second open, between them as before; twin and arm node agree on it.
GRIPPER_CLOSE_BELOW_M = 0.03
GRIPPER_OPEN_ABOVE_M = 0.05

# Largest step of one row that the twin's experts use; for joints, 2 rad/s at 20 Hz.
MAX_TRANSLATION_STEP_M = 0.03
MAX_ROTATION_STEP_RAD = 0.15
MAX_JOINT_STEP_RAD = 0.1
# A turn by pi has two rotation vectors, and noise flips one into the other: stay away from it.
MAX_TURN_RAD = 3.0

_HASH_LENGTH = 8
_EYE_3, _EYE_4 = np.eye(3), np.eye(4)


class Reference(StrEnum):
    """What a row is counted from."""

    ROW_BEFORE = "row_before"
    ANCHOR = "anchor"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class ActionSchema:
    """An action space.

    Attributes:
        name: Short name.
        names: One name per number.
        units: One unit per number.
        frame: Frame in which Cartesian numbers are expressed; "" for joint numbers.
        counted_from: What a row is counted from.
    """

    name: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    frame: str
    counted_from: Reference

    @property
    def size(self) -> int:
        """How many numbers one action has."""
        return len(self.names)

    @property
    def is_cartesian(self) -> bool:
        """Whether targets are TCP poses; otherwise they are joint positions."""
        return bool(self.frame)

    def id_at(self, rate_hz: float) -> str:
        """Return the name on the wire of this schema at so many rows per second."""
        return f"{self.name}:{_content_hash(self, rate_hz)}"


# Each row moves the commanded TCP pose by a small step, expressed in the base frame (LIBERO and
# the MaIL paper, in SI units instead of [-1, 1]). Rows add up, starting from the anchor.
EE_DELTA = ActionSchema(
    name="ee_delta",
    names=("dx", "dy", "dz", "drx", "dry", "drz", "gripper_width"),
    units=("m", "m", "m", "rad", "rad", "rad", "m"),
    frame="base",
    counted_from=Reference.ROW_BEFORE,
)

# Each row is the wanted TCP pose as seen from the anchor (UMI, Chi et al. 2024): translation and
# rotation vector in the TCP frame of the anchor, T_row = T_anchor * [rotation, translation].
EE_RELATIVE = ActionSchema(
    name="ee_relative",
    names=("x", "y", "z", "rx", "ry", "rz", "gripper_width"),
    units=("m", "m", "m", "rad", "rad", "rad", "m"),
    frame="tcp_at_anchor",
    counted_from=Reference.ANCHOR,
)

# Each row holds the wanted joint positions, joint 1 first.
JOINT_POSITION = ActionSchema(
    name="joint_position",
    names=("q1", "q2", "q3", "q4", "q5", "q6", "q7", "gripper_width"),
    units=("rad", "rad", "rad", "rad", "rad", "rad", "rad", "m"),
    frame="",
    counted_from=Reference.NOTHING,
)

SCHEMAS: dict[str, ActionSchema] = {
    schema.name: schema for schema in (EE_DELTA, EE_RELATIVE, JOINT_POSITION)
}


@cache
def _content_hash(schema: ActionSchema, rate_hz: float) -> str:
    content = (
        schema.name,
        ",".join(schema.names),
        ",".join(schema.units),
        schema.frame,
        str(schema.counted_from),
        f"{rate_hz:.6g} Hz",
    )
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:_HASH_LENGTH]


def schema_named(name: str) -> ActionSchema:
    """Return a schema by name. Raises ValueError that lists the known ones."""
    if name not in SCHEMAS:
        raise ValueError(f"unknown action schema {name!r}; known: {', '.join(SCHEMAS)}")
    return SCHEMAS[name]


def schema_with_id(schema_id: str, rate_hz: float) -> ActionSchema:
    """Return a schema by its id.

    Raises:
        ValueError: The name is unknown, or the content is not the one that is known here.
    """
    schema = schema_named(schema_id.partition(":")[0])
    expected = schema.id_at(rate_hz)
    if schema_id != expected:
        raise ValueError(
            f"action schema {schema_id!r} has other names, units, frame or rate than the one "
            f"known here, {expected!r} at {rate_hz:g} Hz"
        )
    return schema


def targets_from_rows(schema: ActionSchema, anchor: Array, values: Array) -> Array:
    """Turn rows into targets, the inverse of `rows_from_targets`.

    Args:
        schema: What the rows mean.
        anchor: transform_tcp_to_base at the anchor, shape (4, 4). Joint rows do not need it.
        values: Rows, shape (steps, schema.size).

    Returns:
        transform_tcp_to_base at the end of each row, shape (steps, 4, 4), or joint positions
        [rad], shape (steps, 7).
    """
    if not schema.is_cartesian:
        return values[:, :-1]
    poses = np.tile(_EYE_4, (len(values), 1, 1))
    turns = rotations_from_vectors(values[:, 3:6])
    if schema.counted_from is Reference.ANCHOR:
        poses[:, :3, :3] = anchor[:3, :3] @ turns
        poses[:, :3, 3] = anchor[:3, 3] + values[:, :3] @ anchor[:3, :3].T
        return poses
    poses[:, :3, 3] = np.cumsum(np.vstack([anchor[:3, 3], values[:, :3]]), axis=0)[1:]
    rotation = anchor[:3, :3]
    for row, turn in enumerate(turns):
        rotation = poses[row, :3, :3] = turn @ rotation
    return poses


def rows_from_targets(
    schema: ActionSchema, anchor: Array, targets: Array, widths_m: Array
) -> Array:
    """Turn targets into rows, the inverse of `targets_from_rows`.

    Args:
        schema: What the rows shall mean.
        anchor: transform_tcp_to_base at the anchor, shape (4, 4). Joint rows do not need it.
        targets: As `targets_from_rows` returns them.
        widths_m: Wanted distance between the fingers of each row [m], shape (steps,).

    Returns:
        Rows, shape (steps, schema.size).

    Raises:
        ValueError: A turn is so close to pi that its rotation vector would be a matter of chance.
    """
    if not schema.is_cartesian:
        return np.column_stack([targets, widths_m])
    before = np.broadcast_to(anchor, targets.shape)
    if schema.counted_from is Reference.ROW_BEFORE:
        before = np.concatenate([anchor[None], targets])[:-1]
    shifts = targets[:, :3, 3] - before[:, :3, 3]
    if schema.counted_from is Reference.ANCHOR:
        shifts = shifts @ anchor[:3, :3]
        turns = anchor[:3, :3].T @ targets[:, :3, :3]
    else:
        turns = targets[:, :3, :3] @ before[:, :3, :3].transpose(0, 2, 1)
    vectors = np.array([vector_from_rotation(turn) for turn in turns]).reshape(-1, 3)
    largest_rad = float(np.linalg.norm(vectors, axis=1).max(initial=0.0))
    if largest_rad > MAX_TURN_RAD:
        raise ValueError(
            f"a row of {schema.name} cannot turn by {largest_rad:.2f} rad, limit is "
            f"{MAX_TURN_RAD} rad; plan fewer rows, or move slower"
        )
    return np.column_stack([shifts, vectors, widths_m])


def cartesian_steps(schema: ActionSchema, values: Array) -> tuple[Array, Array]:
    """Return how far each Cartesian row is from the one before it, the first from the anchor.

    Returns:
        Translations [m] and rotations [rad], each of shape (steps,).
    """
    if schema.counted_from is Reference.ROW_BEFORE:
        return (
            np.linalg.norm(values[:, :3], axis=1),
            np.linalg.norm(values[:, 3:6], axis=1),
        )
    # Lengths do not depend on where the anchor is.
    places = np.vstack([np.zeros(3), values[:, :3]])
    rotations = np.concatenate([_EYE_3[None], rotations_from_vectors(values[:, 3:6])])
    turns = rotations[:-1].transpose(0, 2, 1) @ rotations[1:]
    return np.linalg.norm(np.diff(places, axis=0), axis=1), turn_angles(turns)


def limited_step(step: Array, max_translation_m: float, max_rotation_rad: float) -> Array:
    """Shorten a step (6,), or rows of steps (steps, 6), to a translation and a rotation."""
    limited = step.copy()
    for part, limit in ((slice(0, 3), max_translation_m), (slice(3, 6), max_rotation_rad)):
        sizes = np.linalg.norm(step[..., part], axis=-1, keepdims=True)
        limited[..., part] *= np.minimum(1.0, limit / np.maximum(sizes, 1e-12))
    return limited


def limited_joint_step(step: Array, max_step_rad: float) -> Array:
    """Shorten a step of all joints [rad], shape (7,), so that none moves too far."""
    return step * min(1.0, max_step_rad / max(float(np.abs(step).max()), 1e-12))


def rotations_from_vectors(vectors: Array) -> Array:
    """Convert rotation vectors [rad] (n, 3) to matrices (n, 3, 3), by Rodrigues' formula."""
    angles_rad = np.linalg.norm(vectors, axis=1)
    axes = vectors / np.maximum(angles_rad, 1e-12)[:, None]
    skews = np.zeros((len(vectors), 3, 3))
    skews[:, 2, 1], skews[:, 0, 2], skews[:, 1, 0] = axes.T
    skews -= skews.transpose(0, 2, 1)
    sines, cosines = np.sin(angles_rad)[:, None, None], np.cos(angles_rad)[:, None, None]
    rotations: Array = _EYE_3 + sines * skews + (1.0 - cosines) * (skews @ skews)
    return rotations


def turn_angles(rotations: Array) -> Array:
    """Return the angles of rotation matrices (n, 3, 3) [rad], shape (n,)."""
    double_sines = np.linalg.norm(
        (rotations - rotations.transpose(0, 2, 1))[:, [2, 0, 1], [1, 2, 0]], axis=1
    )
    angles: Array = np.arctan2(double_sines, np.trace(rotations, axis1=1, axis2=2) - 1.0)
    return angles
