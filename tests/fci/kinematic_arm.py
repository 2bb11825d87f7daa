"""An ideal arm: it is always exactly where its set-point is, so q = q_d and dq = dq_d."""

import math
from collections.abc import Sequence

import numpy as np
from franky_sim.franka_robot_protocol import StateMotionGeneratorMode, UDPCommand

from mail_policy.core.kinematics import forward_kinematics, jacobian
from mail_policy.core.robot_limits import RobotType, joint_limits
from tests.fci.cartesian_motion import CartesianGenerator
from tests.fci.motion_limits import (
    CARTESIAN_PREFIX,
    JOINT_PREFIX,
    POSITION_ACCELERATION_NOISE,
    POSITION_JERK_NOISE,
    STEP_S,
    VELOCITY_JERK_NOISE,
    JointCheck,
    Motion,
)

# Only decides the name of the error: smaller jumps violate the limits of the derivatives.
_START_TOLERANCE_RAD = 0.005
_JOINT_MODES = (
    StateMotionGeneratorMode.kJointPosition,
    StateMotionGeneratorMode.kJointVelocity,
)
# Braking keeps this share of the limits.
_BRAKE_SHARE = 0.9


class KinematicArm:
    """Follows commands inside the limits, extrapolates lost ones, and brakes.

    Attributes:
        q: Joint positions [rad].
        dq: Joint velocities [rad/s].
        ddq: Joint accelerations [rad/s2].
    """

    def __init__(self, robot_type: RobotType, start: Sequence[float]) -> None:
        limits = joint_limits(robot_type)
        self.q = list(start)
        self.dq = [0.0] * 7
        self.ddq = [0.0] * 7
        self._velocity = limits.velocity.tolist()
        self._acceleration = limits.acceleration.tolist()
        self._jerk = limits.jerk.tolist()
        self._position_check = JointCheck(
            robot_type, JOINT_PREFIX, POSITION_ACCELERATION_NOISE, POSITION_JERK_NOISE
        )
        self._velocity_check = JointCheck(robot_type, JOINT_PREFIX, 0.0, VELOCITY_JERK_NOISE)
        self._cartesian = CartesianGenerator(robot_type)
        self._mode = StateMotionGeneratorMode.kIdle
        self._is_first = True

    @property
    def commanded_twist(self) -> Sequence[float] | None:
        """Commanded velocity of the end effector [m/s, rad/s]; None outside Cartesian motions."""
        return None if self._mode in _JOINT_MODES else self._cartesian.twist

    @property
    def at_rest(self) -> bool:
        """Whether no joint moves or accelerates."""
        return not any(self.dq) and not any(self.ddq)

    def pose(self) -> list[float]:
        """Return O_T_EE of the hand's usual TCP, column by column as libfranka does."""
        columns: list[float] = forward_kinematics(np.array(self.q)).T.ravel().tolist()
        return columns

    def twist(self) -> list[float]:
        """Return the velocity of the hand's usual TCP [m/s, rad/s], in the base frame."""
        if not any(self.dq):
            return [0.0] * 6
        twist: list[float] = (jacobian(np.array(self.q)) @ np.array(self.dq)).tolist()
        return twist

    def begin(self, mode: StateMotionGeneratorMode) -> None:
        """Start to follow commands of a motion generator."""
        self._mode = mode
        self._is_first = True
        self._cartesian.restart()

    def follow(self, command: UDPCommand) -> str | None:
        """Execute one command, or return its error and stay in the state before it."""
        if self._mode is StateMotionGeneratorMode.kJointVelocity:
            return self._accept(self._next(command.dq_c), self._velocity_check)
        if self._mode is StateMotionGeneratorMode.kJointPosition:
            return self._follow_positions(command.q_c)
        if self._mode is StateMotionGeneratorMode.kCartesianPosition:
            velocities = self._cartesian.follow_pose(self.q, command.O_T_EE_c)
        else:
            velocities = self._cartesian.follow_twist(self.q, command.O_dP_EE_c)
        if isinstance(velocities, str):
            return velocities
        error = self._accept(self._next(velocities), self._cartesian.joint_check)
        if error is None:
            self._cartesian.commit()
        return error

    def extrapolate(self) -> None:
        """Execute a lost cycle as Control does: with constant acceleration.

        Source: Franka documentation, "libfranka", under the hood. The speed is not extrapolated
        beyond its limit, as franky assumes too.
        """
        velocities = []
        for speed, acceleration, limit in zip(self.dq, self.ddq, self._velocity, strict=True):
            velocities.append(max(-limit, min(limit, speed + acceleration * STEP_S)))
        self._move(self._next(velocities))
        if self._mode not in _JOINT_MODES:
            self._cartesian.extrapolate(self.q, self.dq)

    def brake(self) -> None:
        """Execute one cycle towards rest, inside the limits of acceleration and jerk."""
        self._cartesian.restart()
        if self.at_rest:
            return
        joints = zip(self.dq, self.ddq, self._acceleration, self._jerk, strict=True)
        self._move(self._next([_braked(*joint) for joint in joints]))

    def end_error(self) -> str | None:
        """Return the error of a motion that ends now: a client must come to rest before."""
        pairs = zip(self.dq, self._acceleration, strict=True)
        if all(abs(speed) / STEP_S <= limit for speed, limit in pairs):
            return None
        is_joint = self._mode in _JOINT_MODES
        return f"{JOINT_PREFIX if is_joint else CARTESIAN_PREFIX}velocity_discontinuity"

    def _follow_positions(self, positions: Sequence[float]) -> str | None:
        steps = [wanted - q for wanted, q in zip(positions, self.q, strict=True)]
        if self._is_first and not all(abs(step) <= _START_TOLERANCE_RAD for step in steps):
            return "joint_position_motion_generator_start_pose_invalid"
        self._is_first = False
        return self._accept(self._next([step / STEP_S for step in steps]), self._position_check)

    def _next(self, velocities: Sequence[float]) -> Motion:
        accelerations = [(new - v) / STEP_S for new, v in zip(velocities, self.dq, strict=True)]
        return Motion(
            [q + v * STEP_S for q, v in zip(self.q, velocities, strict=True)],
            velocities,
            accelerations,
            [(new - a) / STEP_S for new, a in zip(accelerations, self.ddq, strict=True)],
        )

    def _accept(self, motion: Motion, check: JointCheck) -> str | None:
        error = check.first_violation(motion)
        if error is None:
            self._move(motion)
        return error

    def _move(self, motion: Motion) -> None:
        self.q = list(motion.positions)
        self.dq = list(motion.velocities)
        self.ddq = list(motion.accelerations)


def _braked(speed: float, acceleration: float, limit: float, jerk: float) -> float:
    """Return the speed of a joint one cycle later [rad/s], when it brakes.

    Near rest the deceleration falls with the root of the speed; along that curve it changes at
    half the jerk, so that a step of the jerk limit always reaches it.
    """
    step = _BRAKE_SHARE * jerk * STEP_S
    to_rest = -speed / STEP_S
    if abs(to_rest) <= step and abs(to_rest - acceleration) <= step:
        return 0.0
    wanted = min(_BRAKE_SHARE * limit, math.sqrt(_BRAKE_SHARE * jerk * abs(speed)))
    wanted = -math.copysign(wanted, speed)
    return speed + STEP_S * max(acceleration - step, min(acceleration + step, wanted))
