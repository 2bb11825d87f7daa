"""Limits of the two arms, as published by Franka Robotics.

Source: Franka documentation, "Robot and interface specifications"
(https://frankarobotics.github.io/docs/robot_specifications.html). Values are per joint, joint 1
first. These are the robot's own limits; working limits are a share of them.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class RobotType(StrEnum):
    """The arms that this project drives. FER is the Franka Emika Robot, known as Panda."""

    FER = "fer"
    FR3 = "fr3"


# eq=False: comparing arrays yields arrays.
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class JointLimits:
    """Limits of each joint, all arrays of shape (7,).

    Attributes:
        lower: Smallest joint position [rad].
        upper: Largest joint position [rad].
        velocity: Largest speed [rad/s].
        acceleration: Largest acceleration [rad/s2].
        jerk: Largest jerk [rad/s3].
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    velocity: NDArray[np.float64]
    acceleration: NDArray[np.float64]
    jerk: NDArray[np.float64]


FER_JOINT_LIMITS = JointLimits(
    lower=np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973]),
    upper=np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973]),
    velocity=np.array([2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61]),
    acceleration=np.array([15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0]),
    jerk=np.array([7500.0, 3750.0, 5000.0, 6250.0, 7500.0, 10000.0, 10000.0]),
)

# The rectangular velocity limits: the true ones depend on the joint position and are never lower.
FR3_JOINT_LIMITS = JointLimits(
    lower=np.array([-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159]),
    upper=np.array([2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159]),
    velocity=np.array([2.0, 1.0, 1.5, 1.25, 3.0, 1.5, 3.0]),
    acceleration=np.full(7, 10.0),
    jerk=np.full(7, 5000.0),
)


def joint_limits(robot_type: RobotType) -> JointLimits:
    """Return the published limits of an arm."""
    return FER_JOINT_LIMITS if robot_type is RobotType.FER else FR3_JOINT_LIMITS


# The library that streams to either arm accepts no larger limit for any joint [rad/s2].
_STREAMED_ACCELERATION = 10.0

# A posture or a demonstration inside these limits is legal on both arms.
SHARED_JOINT_LIMITS = JointLimits(
    lower=np.maximum(FER_JOINT_LIMITS.lower, FR3_JOINT_LIMITS.lower),
    upper=np.minimum(FER_JOINT_LIMITS.upper, FR3_JOINT_LIMITS.upper),
    velocity=np.minimum(FER_JOINT_LIMITS.velocity, FR3_JOINT_LIMITS.velocity),
    acceleration=np.minimum(FER_JOINT_LIMITS.acceleration, FR3_JOINT_LIMITS.acceleration),
    jerk=np.minimum(FER_JOINT_LIMITS.jerk, FR3_JOINT_LIMITS.jerk),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitShares:
    """Which share of the robot's own limits may be used. Shares can only tighten.

    Attributes:
        velocity: Share of the joint velocity limits.
        acceleration: Share of the joint acceleration limits.
        jerk: Share of the joint jerk limits.
        braking_acceleration: Share of the joint acceleration limits for protective stops.
        braking_jerk: Share of the joint jerk limits for protective stops.
        position_margin_rad: Distance kept from the joint position limits [rad].
    """

    velocity: float = 0.5
    acceleration: float = 0.5
    jerk: float = 0.1
    braking_acceleration: float = 0.8
    braking_jerk: float = 0.5
    position_margin_rad: float = 0.05

    def __post_init__(self) -> None:
        """Refuse shares that would loosen a limit or forbid all motion."""
        for name in ("velocity", "acceleration", "jerk", "braking_acceleration", "braking_jerk"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(
                    f"{name} must be a share in (0, 1], got {getattr(self, name)}; "
                    "the robot's own limits cannot be exceeded"
                )
        if self.braking_acceleration < self.acceleration or self.braking_jerk < self.jerk:
            raise ValueError(
                "braking_acceleration and braking_jerk must not be below acceleration and jerk: a "
                "motion must be stopped at least as fast as it began"
            )
        if not 0.0 <= self.position_margin_rad <= 0.5:
            raise ValueError(
                f"position_margin_rad must be in [0, 0.5] rad, got {self.position_margin_rad}"
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WorkingLimits(JointLimits):
    """What of a robot's limits is used: calm motion, and harder braking for protective stops.

    Attributes:
        braking_acceleration: Largest acceleration while braking [rad/s2].
        braking_jerk: Largest jerk while braking [rad/s3].
    """

    braking_acceleration: NDArray[np.float64]
    braking_jerk: NDArray[np.float64]


def tightened(limits: JointLimits, shares: LimitShares) -> WorkingLimits:
    """Return working limits: a share of the robot's limits, inside its position limits."""
    acceleration = np.minimum(limits.acceleration, _STREAMED_ACCELERATION)
    return WorkingLimits(
        lower=limits.lower + shares.position_margin_rad,
        upper=limits.upper - shares.position_margin_rad,
        velocity=limits.velocity * shares.velocity,
        acceleration=acceleration * shares.acceleration,
        jerk=limits.jerk * shares.jerk,
        braking_acceleration=acceleration * shares.braking_acceleration,
        braking_jerk=limits.jerk * shares.braking_jerk,
    )
