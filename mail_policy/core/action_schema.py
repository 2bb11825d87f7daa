"""What the numbers of an action chunk mean: names, units, frame, and how to reach them.

A schema turns the rows of a chunk into timed TCP poses or joint positions. All values are SI;
the gripper is always the last number, as the wanted distance between the fingers [m].
"""

from dataclasses import dataclass

import numpy as np

from mail_policy.core.frames import Array, move_pose

POLICY_RATE_HZ = 20.0
GRIPPER_OPEN_M = 0.08
# The Franka Hand knows two useful commands, open and grasp. A wanted width below the first number
# means grasp, above the second open, between them as before; twin and arm node agree on it.
GRIPPER_CLOSE_BELOW_M = 0.03
GRIPPER_OPEN_ABOVE_M = 0.05


@dataclass(frozen=True, slots=True)
class ActionSchema:
    """An action space.

    Attributes:
        name: Short name, also its id on the wire.
        names: One name per number.
        units: One unit per number.
        frame: Frame in which Cartesian numbers are expressed; "" for joint numbers.
    """

    name: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    frame: str

    @property
    def size(self) -> int:
        """How many numbers one action has."""
        return len(self.names)


# Each row moves the commanded TCP pose by a small step, expressed in the base frame (LIBERO and
# the MaIL paper, in SI units instead of [-1, 1]). Rows add up, starting from the pose that was
# commanded when the newest picture was taken.
EE_DELTA = ActionSchema(
    name="ee_delta",
    names=("dx", "dy", "dz", "drx", "dry", "drz", "gripper_width"),
    units=("m", "m", "m", "rad", "rad", "rad", "m"),
    frame="base",
)

SCHEMAS: dict[str, ActionSchema] = {schema.name: schema for schema in (EE_DELTA,)}

# Largest step of one EE_DELTA row that the twin's experts use.
MAX_TRANSLATION_STEP_M = 0.03
MAX_ROTATION_STEP_RAD = 0.15


def schema_named(name: str) -> ActionSchema:
    """Return a schema by name. Raises ValueError that lists the known ones."""
    if name not in SCHEMAS:
        raise ValueError(f"unknown action schema {name!r}; known: {', '.join(SCHEMAS)}")
    return SCHEMAS[name]


def poses_from_ee_delta(transform_anchor_to_base: Array, values: Array) -> Array:
    """Integrate EE_DELTA rows to TCP poses.

    Args:
        transform_anchor_to_base: The TCP pose that was commanded when the newest picture of the
            observation was taken, shape (4, 4).
        values: Rows of EE_DELTA, shape (steps, 7).

    Returns:
        transform_tcp_to_base after each row, shape (steps, 4, 4).
    """
    poses = np.empty((len(values), 4, 4))
    pose = transform_anchor_to_base
    for row, value in enumerate(values):
        pose = move_pose(pose, value[:6])
        poses[row] = pose
    return poses
