"""Checks every set-point once more, by other means than those that made it.

Written separately from the limits filter: it knows nothing but the last set-points, takes
backward differences as the robot does, and measures speeds by moving points. A violation is a
fault of our own software, and the arm must not go on.
"""

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.motion.checked_body import CheckedBody
from mail_policy.core.motion.config import EnvelopeConfig
from mail_policy.core.robot_limits import WorkingLimits

# Backward differences of exact samples of a motion never exceed the bounds of the motion: only
# rounding is left, which a division by the cube of a tick magnifies.
_DERIVATIVE_TOLERANCE = 1e-6
# The filter checks where a joint turns back, so only rounding is left here too.
_POSITION_TOLERANCE_RAD = 1e-6
# Between the samples of a braking motion that the filter checks, a point may be a little faster,
# and a straight joint motion is an arc in space. Hostile fuzzing found no violation with half of
# these.
_SPEED_TOLERANCE = 1.01
_BOX_TOLERANCE_M = 0.0005
_CLEARANCE_TOLERANCE_M = 0.001


class SetPointChecker:
    """Compares each set-point with the ones before it.

    Args:
        limits: Working limits of the joints.
        envelope: Limits in space.
        tick_s: Time between set-points [s].
    """

    def __init__(self, limits: WorkingLimits, envelope: EnvelopeConfig, tick_s: float) -> None:
        self._limits = limits
        self._envelope = envelope
        self._tick_s = tick_s
        self._body = CheckedBody(envelope)
        self._lower = limits.lower - _POSITION_TOLERANCE_RAD
        self._upper = limits.upper + _POSITION_TOLERANCE_RAD
        self._bounds = [
            (name, unit, (1.0 + _DERIVATIVE_TOLERANCE) * limit + _DERIVATIVE_TOLERANCE)
            for name, unit, limit in (
                ("velocity", "rad/s", limits.velocity),
                ("acceleration", "rad/s2", limits.braking_acceleration),
                ("jerk", "rad/s3", limits.braking_jerk),
            )
        ]
        self._past: Array = np.zeros((4, 7))

    def reset(self, positions: Array) -> None:
        """Start at rest at joint positions [rad]."""
        self._past = np.tile(positions, (4, 1))
        self._body.place(positions)

    def violation(self, positions: Array) -> str:
        """Return what a set-point [rad] violates, "" if nothing; then remember it."""
        if positions.shape != (7,) or not np.isfinite(positions).all():
            return "set-point is not seven finite numbers"
        self._past[:3] = self._past[1:]
        self._past[3] = positions
        return (
            self._joint_violation(positions)
            or self._derivative_violation()
            or self._space_violation(positions)
        )

    def _joint_violation(self, q: Array) -> str:
        outside = (q < self._lower) | (q > self._upper)
        if not outside.any():
            return ""
        joint = int(np.argmax(outside))
        return (
            f"joint {joint + 1} at {q[joint]:.3f} rad, range is "
            f"{self._limits.lower[joint]:.3f} to {self._limits.upper[joint]:.3f}"
        )

    def _derivative_violation(self) -> str:
        values = self._past
        for name, unit, bound in self._bounds:
            values = (values[1:] - values[:-1]) / self._tick_s
            size = np.abs(values[-1])
            beyond = size > bound
            if beyond.any():
                joint = int(np.argmax(beyond))
                limit = bound[joint]
                return (
                    f"{name} of joint {joint + 1} is {size[joint]:.3f} {unit}, limit is {limit:.3f}"
                )
        return ""

    def _space_violation(self, q: Array) -> str:
        moved_m = self._body.place(q)
        outside = self._body.outside(_BOX_TOLERANCE_M)
        if outside:
            return outside
        fastest = int(np.argmax(moved_m))
        speed_m_s = float(moved_m[fastest]) / self._tick_s
        if speed_m_s > _SPEED_TOLERANCE * self._envelope.speed_m_s:
            name, limit = self._body.name(fastest), self._envelope.speed_m_s
            return f"{name} moves at {speed_m_s:.3f} m/s, limit is {limit} m/s"
        nearest_m = self._body.nearest_m(self._envelope.stop_clearance_m)
        if nearest_m < self._envelope.stop_clearance_m - _CLEARANCE_TOLERANCE_M:
            return f"the arm is {1000 * nearest_m:.1f} mm from itself"
        return ""
