"""The limit checks of Franka's Control, by backward Euler on the commanded values at 1 kHz.

Names and conditions: Franka documentation, "Robot and interface specifications" (necessary
conditions) and "libfranka", errors due to noncompliant commanded values. Comparisons are written
so that NaN violates them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mail_policy.core.robot_limits import JointLimits, RobotType, joint_limits

STEP_S = 0.001
# How the error names of joint motion begin, by the client's motion generator.
JOINT_PREFIX = "joint_motion_generator_"
CARTESIAN_PREFIX = "cartesian_motion_generator_joint_"
# libfranka keeps this distance from the limits of its own rate limiter (rate_limiting.h,
# kLimitEps), so Control must accept commands at the limit itself.
_LIMIT_EPSILON = 1e-3
# The state on the wire has single precision, and libfranka's low-pass of 100 Hz mixes 61 % of it
# into each commanded position. Half a unit in the last place of numbers up to 4 is 1.2e-7; the
# second difference of such noise is up to four times as large, the third up to eight times.
_WIRE_NOISE = 0.614 * 2.0**-23
POSITION_ACCELERATION_NOISE = 4 * _WIRE_NOISE / STEP_S**2  # 0.29 rad/s2
POSITION_JERK_NOISE = 8 * _WIRE_NOISE / STEP_S**3  # 586 rad/s3
VELOCITY_JERK_NOISE = 4 * _WIRE_NOISE / STEP_S**2  # 0.29 rad/s3


@dataclass(frozen=True, slots=True)
class Motion:
    """One commanded step of all joints.

    Attributes:
        positions: [rad].
        velocities: [rad/s].
        accelerations: [rad/s2].
        jerks: [rad/s3].
    """

    positions: Sequence[float]
    velocities: Sequence[float]
    accelerations: Sequence[float]
    jerks: Sequence[float]


class JointCheck:
    """Checks of one motion generator.

    Args:
        robot_type: Whose limits.
        prefix: Of the error names: JOINT_PREFIX or CARTESIAN_PREFIX.
        acceleration_noise: Tolerated beyond the acceleration limits [rad/s2].
        jerk_noise: Tolerated beyond the jerk limits [rad/s3].
    """

    def __init__(
        self, robot_type: RobotType, prefix: str, acceleration_noise: float, jerk_noise: float
    ) -> None:
        limits: JointLimits = joint_limits(robot_type)
        self._prefix = prefix
        self._lower = limits.lower.tolist()
        self._upper = limits.upper.tolist()
        self._velocity = (limits.velocity + _LIMIT_EPSILON).tolist()
        self._acceleration = (limits.acceleration + _LIMIT_EPSILON + acceleration_noise).tolist()
        self._jerk = (limits.jerk + _LIMIT_EPSILON + jerk_noise).tolist()

    def first_violation(self, motion: Motion) -> str | None:
        """Return the error that Control would raise, or None if the step is legal."""
        ranges = zip(self._lower, motion.positions, self._upper, strict=True)
        if not all(low <= q <= high for low, q, high in ranges):
            return f"{self._prefix}position_limits_violation"
        if not _within(motion.velocities, self._velocity):
            return f"{self._prefix}velocity_limits_violation"
        if not _within(motion.accelerations, self._acceleration):
            return f"{self._prefix}velocity_discontinuity"
        if not _within(motion.jerks, self._jerk):
            return f"{self._prefix}acceleration_discontinuity"
        return None


def _within(values: Sequence[float], limits: Sequence[float]) -> bool:
    return all(abs(value) <= limit for value, limit in zip(values, limits, strict=True))


@dataclass(frozen=True, slots=True)
class CartesianLimits:
    """Limits of the end effector: translation [m/s, m/s2, m/s3], rotation [rad/s, ...]."""

    translation: tuple[float, float, float]
    rotation: tuple[float, float, float]


# Franka documentation, "Robot and interface specifications".
CARTESIAN_LIMITS = {
    RobotType.FER: CartesianLimits((1.7, 13.0, 6500.0), (2.5, 25.0, 12500.0)),
    RobotType.FR3: CartesianLimits((3.0, 9.0, 4500.0), (2.5, 17.0, 8500.0)),
}
_CARTESIAN_ERRORS = (
    "cartesian_motion_generator_velocity_limits_violation",
    "cartesian_motion_generator_velocity_discontinuity",
    "cartesian_motion_generator_acceleration_discontinuity",
)


def cartesian_violation(
    limits: CartesianLimits, derivatives: Sequence[Sequence[float]], noise: Sequence[float]
) -> str | None:
    """Return the error that Control would raise for a step of the end effector.

    Args:
        limits: Of the arm.
        derivatives: Velocity, acceleration and jerk, each translation xyz then rotation xyz.
        noise: Tolerated beyond each of the three limits.
    """
    triples = zip(derivatives, limits.translation, limits.rotation, noise, strict=True)
    for error, (value, translation, rotation, extra) in zip(
        _CARTESIAN_ERRORS, triples, strict=True
    ):
        tolerance = _LIMIT_EPSILON + extra
        if not (
            _norm(value[:3]) <= translation + tolerance and _norm(value[3:]) <= rotation + tolerance
        ):
            return error
    return None


def _norm(vector: Sequence[float]) -> float:
    x, y, z = vector
    return float((x * x + y * y + z * z) ** 0.5)
