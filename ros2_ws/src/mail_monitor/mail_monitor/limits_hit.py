"""Which limits the arm is at."""

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import chain_frames
from mail_policy.core.motion.config import MotionConfig
from mail_policy.core.motion.workspace import workspace
from mail_policy.core.robot_limits import RobotType, joint_limits, tightened

# Nearer than this counts as being there [m, rad]; set-points stop a little before a limit.
NEAR_M = 0.003
NEAR_RAD = 0.01
_AXES = "xyz"


class LimitsWatch:
    """Names the limits of joints and workspace that a posture is at.

    Args:
        motion: Settings of the motion core, which keeps these limits.
        robot_type: Which arm.
    """

    def __init__(self, motion: MotionConfig, robot_type: RobotType) -> None:
        self._joints = tightened(joint_limits(robot_type), motion.joints)
        self._workspace = workspace(motion.envelope)

    def hit(self, joint_positions: Array) -> tuple[str, ...]:
        """Return the limits in words, for joint positions [rad] of shape (7,)."""
        room_rad = np.minimum(
            joint_positions - self._joints.lower, self._joints.upper - joint_positions
        )
        joints = [f"joint {i + 1}" for i in np.flatnonzero(room_rad < NEAR_RAD)]
        points = self._workspace.points(chain_frames(joint_positions[None]))
        _, axes, at = np.nonzero(self._workspace.excess_m(points) > -NEAR_M)
        faces = [
            f"{self._workspace.name(int(point))} in {_AXES[axis]}"
            for axis, point in zip(axes, at, strict=True)
        ]
        return tuple(dict.fromkeys([*joints, *faces]))
