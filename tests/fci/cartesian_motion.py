"""Motion generators of the end effector: from poses or twists to joint velocities.

Elbow commands are ignored: the redundant joint follows from the pseudo-inverse.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mail_policy.core.frames import Array, pose_error
from mail_policy.core.kinematics import forward_kinematics, jacobian
from mail_policy.core.robot_limits import RobotType
from tests.fci.motion_limits import (
    CARTESIAN_LIMITS,
    CARTESIAN_PREFIX,
    POSITION_ACCELERATION_NOISE,
    POSITION_JERK_NOISE,
    STEP_S,
    JointCheck,
    cartesian_violation,
)

# Only decides the name of the error: smaller jumps violate the limits of the derivatives.
_START_TOLERANCE = 0.005
# How far columns of a commanded rotation may be from orthonormal; the wire has single precision.
_FRAME_TOLERANCE = 1e-5
_DAMPING = 1e-8
# The pseudo-inverse turns noise of the pose into about this much more noise of the joints; at
# home its largest singular value is below 4.
_JOINT_NOISE_GAIN = 4.0
_NOISE = (0.0, POSITION_ACCELERATION_NOISE, POSITION_JERK_NOISE)


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """A command: velocity and acceleration of the end effector, and its pose if it was one."""

    twist: Sequence[float]
    acceleration: Sequence[float]
    pose: Array | None


class CartesianGenerator:
    """Follows poses or twists of the end effector, and checks their derivatives.

    Attributes:
        joint_check: For the joint motion that follows from the commands.
    """

    def __init__(self, robot_type: RobotType) -> None:
        self.joint_check = JointCheck(
            robot_type,
            CARTESIAN_PREFIX,
            _JOINT_NOISE_GAIN * POSITION_ACCELERATION_NOISE,
            _JOINT_NOISE_GAIN * POSITION_JERK_NOISE,
        )
        self._limits = CARTESIAN_LIMITS[robot_type]
        self.restart()

    def restart(self) -> None:
        """Forget what was commanded; the next command starts from the arm's own pose."""
        self._accepted = self._next = _Step([0.0] * 6, [0.0] * 6, None)

    @property
    def twist(self) -> Sequence[float]:
        """Last accepted velocity [m/s, rad/s], in the base frame."""
        return self._accepted.twist

    def follow_pose(
        self, joint_positions: Sequence[float], columns: Sequence[float]
    ) -> list[float] | str:
        """Return the joint velocities towards a pose [rad/s], or the error that it is.

        Args:
            joint_positions: Where the arm is [rad].
            columns: The pose in the base frame, column by column.
        """
        pose = np.reshape(columns, (4, 4)).T
        here = forward_kinematics(np.array(joint_positions))
        rotation = pose[:3, :3]
        if not np.abs(rotation.T @ rotation - np.eye(3)).max() <= _FRAME_TOLERANCE:
            return "cartesian_position_motion_generator_invalid_frame"
        last = self._accepted.pose
        if last is None:
            last = here
            if not np.abs(pose_error(here, pose)).max() <= _START_TOLERANCE:
                return "cartesian_position_motion_generator_start_pose_invalid"
        twist = (pose_error(last, pose) / STEP_S).tolist()
        return self._plan(twist, pose) or _joint_velocities(
            joint_positions, pose_error(here, pose) / STEP_S
        )

    def follow_twist(
        self, joint_positions: Sequence[float], twist: Sequence[float]
    ) -> list[float] | str:
        """Return the joint velocities for a twist [rad/s], or the error that it is.

        Args:
            joint_positions: Where the arm is [rad].
            twist: [m/s, rad/s], in the base frame.
        """
        return self._plan(twist, None) or _joint_velocities(joint_positions, np.array(twist))

    def extrapolate(self, joint_positions: Sequence[float], velocities: Sequence[float]) -> None:
        """Take over where the arm went by itself in a lost cycle [rad, rad/s]."""
        q = np.array(joint_positions)
        twist = (jacobian(q) @ np.array(velocities)).tolist()
        self._accepted = _Step(twist, self._accepted.acceleration, forward_kinematics(q))

    def commit(self) -> None:
        """Remember the last command as executed."""
        self._accepted = self._next

    def _plan(self, twist: Sequence[float], pose: Array | None) -> str | None:
        last = self._accepted
        acceleration = [(new - v) / STEP_S for new, v in zip(twist, last.twist, strict=True)]
        pairs = zip(acceleration, last.acceleration, strict=True)
        jerk = [(new - a) / STEP_S for new, a in pairs]
        self._next = _Step(twist, acceleration, pose)
        return cartesian_violation(self._limits, (twist, acceleration, jerk), _NOISE)


def _joint_velocities(joint_positions: Sequence[float], twist: Array) -> list[float]:
    j = jacobian(np.array(joint_positions))
    weights = np.linalg.solve(j @ j.T + _DAMPING * np.eye(6), twist)
    velocities: list[float] = (j.T @ weights).tolist()
    return velocities
