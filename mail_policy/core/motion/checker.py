"""Checks every set-point once more, by other means than those that made it.

Written separately from the limits filter: it knows nothing but the last set-points, takes
backward differences as the robot does, and measures speeds by moving points. A violation is a
fault of our own software, and the arm must not go on.
"""

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import joint_transforms
from mail_policy.core.motion.config import EnvelopeConfig
from mail_policy.core.robot_limits import JointLimits

_RELATIVE_TOLERANCE = 1.01
_ABSOLUTE_TOLERANCE = 1e-6
# The filter assumes a constant Jacobian over a braking distance; this is what that may cost.
_SPEED_TOLERANCE = 1.15
_POSITION_TOLERANCE_RAD = 0.005
_BOX_TOLERANCE_M = 0.01
_ELBOW, _TCP = 3, 7


class SetPointChecker:
    """Compares each set-point with the ones before it.

    Args:
        limits: Working limits of the joints.
        envelope: Limits in space.
        tick_s: Time between set-points [s].
    """

    def __init__(self, limits: JointLimits, envelope: EnvelopeConfig, tick_s: float) -> None:
        self._limits = limits
        self._envelope = envelope
        self._tick_s = tick_s
        self._past: list[Array] = []
        self._points: tuple[Array, Array] | None = None

    def reset(self, positions: Array) -> None:
        """Start at rest at joint positions [rad]."""
        self._past = [positions.copy() for _ in range(3)]
        self._points = self._watched_points(positions)

    def violation(self, positions: Array) -> str:
        """Return what a set-point [rad] violates, "" if nothing; then remember it."""
        found = self._violation(positions)
        self._past = [*self._past[1:], positions.copy()]
        return found

    def _violation(self, positions: Array) -> str:
        if positions.shape != (7,) or not np.isfinite(positions).all():
            return "set-point is not seven finite numbers"
        return (
            self._joint_violation(positions)
            or self._derivative_violation(positions)
            or self._space_violation(positions)
        )

    def _joint_violation(self, q: Array) -> str:
        below = self._limits.lower - q > _POSITION_TOLERANCE_RAD
        above = q - self._limits.upper > _POSITION_TOLERANCE_RAD
        if not (below | above).any():
            return ""
        joint = int(np.argmax(below | above))
        return (
            f"joint {joint + 1} at {q[joint]:.3f} rad, range is "
            f"{self._limits.lower[joint]:.3f} to {self._limits.upper[joint]:.3f}"
        )

    def _derivative_violation(self, q: Array) -> str:
        values = np.array([*self._past, q])
        for name, unit, limit in (
            ("velocity", "rad/s", self._limits.velocity),
            ("acceleration", "rad/s2", self._limits.acceleration),
            ("jerk", "rad/s3", self._limits.jerk),
        ):
            values = np.diff(values, axis=0) / self._tick_s
            size = np.abs(values[-1])
            excess = size - (_RELATIVE_TOLERANCE * limit + _ABSOLUTE_TOLERANCE)
            joint = int(np.argmax(excess))
            if excess[joint] > 0.0:
                return (
                    f"{name} of joint {joint + 1} is {size[joint]:.3f} {unit}, "
                    f"limit is {limit[joint]:.3f}"
                )
        return ""

    def _space_violation(self, q: Array) -> str:
        points = self._watched_points(q)
        before, self._points = self._points, points
        low = np.array(self._envelope.tcp_lower_m) - _BOX_TOLERANCE_M
        high = np.array(self._envelope.tcp_upper_m) + _BOX_TOLERANCE_M
        if (points[0] < low).any() or (points[0] > high).any():
            return f"TCP at {np.round(points[0], 3).tolist()} m is outside the workspace"
        if before is None:
            return ""
        for name, now, last in zip(("TCP", "elbow"), points, before, strict=True):
            speed_m_s = float(np.linalg.norm(now - last)) / self._tick_s
            if speed_m_s > _SPEED_TOLERANCE * self._envelope.speed_m_s:
                return (
                    f"{name} moves at {speed_m_s:.3f} m/s, limit is {self._envelope.speed_m_s} m/s"
                )
        return ""

    @staticmethod
    def _watched_points(q: Array) -> tuple[Array, Array]:
        transforms = joint_transforms(q)
        return transforms[_TCP, :3, 3], transforms[_ELBOW, :3, 3]
