"""Plays timed chunks step by step: what the arm node does in continuous time, on a grid."""

import numpy as np

from mail_policy.core.action_schema import (
    EE_DELTA,
    MAX_ROTATION_STEP_RAD,
    MAX_TRANSLATION_STEP_M,
    poses_from_ee_delta,
)
from mail_policy.core.frames import Array, move_pose, pose_error


class ChunkPlayback:
    """Turns chunks that were made in the past into the action of this step.

    Row k of a chunk made at step i says where to be at step i + k + 1, counted from the pose that
    was commanded at step i. A chunk may arrive late: rows whose time has passed are skipped, but
    what they would have done is not lost, because places are absolute.

    Poses are counted from the start of the episode; rows are steps in the base frame, so where
    that is does not matter.

    Args:
        gripper_width_m: Wanted distance between the fingers until a chunk says otherwise [m].
    """

    def __init__(self, gripper_width_m: float) -> None:
        self._commanded = [np.eye(4)]
        self._poses = np.empty((0, 4, 4))
        self._widths_m = np.empty(0)
        self._made_at = 0
        self._width_m = gripper_width_m

    @property
    def step(self) -> int:
        """How many actions have been taken."""
        return len(self._commanded) - 1

    def load(self, values: Array, made_at: int) -> None:
        """Follow a chunk from now on.

        Args:
            values: Rows of EE_DELTA, shape (rows, 7).
            made_at: Step of the observation that it was made from.
        """
        self._poses = poses_from_ee_delta(self._commanded[made_at], values)
        self._widths_m = values[:, -1]
        self._made_at = made_at

    def next_action(self) -> Array:
        """Return the action of this step, and count it; hold when the chunk is over."""
        now, row = self._commanded[-1], self.step - self._made_at
        action = np.zeros(EE_DELTA.size)
        if row < len(self._poses):
            action[:6] = _limited(pose_error(now, self._poses[row]))
            self._width_m = float(self._widths_m[row])
        action[6] = self._width_m
        self._commanded.append(move_pose(now, action[:6]))
        return action


def _limited(step: Array) -> Array:
    """Shorten a step to what the arm may do in one period; the rest follows in the next."""
    limited = step.copy()
    for part, limit in (
        (slice(0, 3), MAX_TRANSLATION_STEP_M),
        (slice(3, 6), MAX_ROTATION_STEP_RAD),
    ):
        length = float(np.linalg.norm(step[part]))
        if length > limit:
            limited[part] *= limit / length
    return limited
