"""Plays timed chunks step by step: what the arm node does in continuous time, on a grid."""

import math
from dataclasses import dataclass

import numpy as np

from mail_policy.core.action_schema import (
    MAX_JOINT_STEP_RAD,
    MAX_ROTATION_STEP_RAD,
    MAX_TRANSLATION_STEP_M,
    ActionSchema,
    limited_joint_step,
    limited_step,
    targets_from_rows,
)
from mail_policy.core.frames import Array, move_pose, pose_error
from mail_policy.core.kinematics import forward_kinematics
from mail_policy.core.types import Observation


@dataclass(frozen=True, slots=True)
class StepLimits:
    """What is too far for one period of the arm; the rest follows in the next.

    Attributes:
        translation_m: Of a step of the pose [m].
        rotation_rad: Of a step of the pose [rad].
        joint_rad: Of every joint [rad].
    """

    translation_m: float = MAX_TRANSLATION_STEP_M
    rotation_rad: float = MAX_ROTATION_STEP_RAD
    joint_rad: float = MAX_JOINT_STEP_RAD


TWIN_LIMITS = StepLimits()
# For a world that limits steps in its own way.
NO_LIMITS = StepLimits(math.inf, math.inf, math.inf)


class ChunkPlayback:
    """Turns chunks that were made in the past into the action of this step.

    Row k of a chunk made at step i says where to be at step i + k + 1; what is counted from a
    place is counted from where the arm was commanded to at step i. A chunk may arrive late: rows
    whose time has passed are skipped, but what they would have done is not lost, because targets
    are absolute.

    Args:
        schema: What the rows of the chunks mean.
        start: The first observation of the episode. Until a chunk says otherwise the arm stays
            there, and its fingers too.
        limits: How far a step may go.
    """

    def __init__(
        self, schema: ActionSchema, start: Observation, limits: StepLimits = TWIN_LIMITS
    ) -> None:
        joints = np.asarray(start.joint_positions, dtype=np.float64)
        self._schema = schema
        self._limits = limits
        # Poses or joint positions, as the schema has them.
        self._commanded = [forward_kinematics(joints) if schema.is_cartesian else joints]
        self._targets = np.empty((0, *self._commanded[0].shape))
        self._widths_m = np.empty(0)
        self._made_at = 0
        self._width_m = start.gripper_width_m

    @property
    def step(self) -> int:
        """How many actions have been taken."""
        return len(self._commanded) - 1

    def load(self, values: Array, made_at: int) -> None:
        """Follow a chunk from now on.

        Args:
            values: Rows of the schema, shape (rows, schema.size).
            made_at: Step of the observation that it was made from.
        """
        self._targets = targets_from_rows(self._schema, self._commanded[made_at], values)
        self._widths_m = values[:, -1]
        self._made_at = made_at

    def next_action(self) -> Array:
        """Return the action of this step, and count it; hold when the chunk is over.

        Returns:
            A row of EE_DELTA, or of JOINT_POSITION if the chunks hold joint positions.
        """
        now, row = self._commanded[-1], self.step - self._made_at
        is_over = row >= len(self._targets)
        if not is_over:
            self._width_m = float(self._widths_m[row])
        if self._schema.is_cartesian:
            moved = np.zeros(6) if is_over else self._pose_step(now, self._targets[row])
            self._commanded.append(move_pose(now, moved))
        else:
            step = np.zeros_like(now) if is_over else self._targets[row] - now
            moved = now + limited_joint_step(step, self._limits.joint_rad)
            self._commanded.append(moved)
        return np.append(moved, self._width_m)

    def _pose_step(self, now: Array, target: Array) -> Array:
        limits = self._limits
        return limited_step(pose_error(now, target), limits.translation_m, limits.rotation_rad)
