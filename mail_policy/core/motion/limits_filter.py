"""Makes set-points that obey every limit, whatever the reference does.

The filter always knows a complete braking motion from where it is: a stop along a cubic
velocity profile that keeps all limits. A tick towards the reference is taken only if a braking
motion exists from its result too; otherwise the filter takes (a part of) a tick of the braking
motion that it already knows. So a limit can never become unavoidable.

Set-points are samples of a trajectory with bounded velocity, acceleration and jerk, therefore
their backward differences, which the robot computes, are bounded by the same numbers.
"""

from dataclasses import dataclass

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.motion.config import EnvelopeConfig
from mail_policy.core.motion.geometry import arm_geometry, arm_points
from mail_policy.core.robot_limits import JointLimits
from mail_policy.core.types import JointSetPoint

# How closely the filter follows: a triple pole of the tracking error per tick.
_TRACKING_POLE = 0.45
# Where a braking motion is checked, as shares of its duration.
_U = np.array([0.08, 0.16, 0.3, 0.5])
_VELOCITY_OF_V = 1.0 - 3.0 * _U**2 + 2.0 * _U**3
_VELOCITY_OF_A = _U - 2.0 * _U**2 + _U**3
_POSITION_OF_V = _U - _U**3 + 0.5 * _U**4
_POSITION_OF_A = 0.5 * _U**2 - 2.0 / 3.0 * _U**3 + 0.25 * _U**4
_MIX = (1.0, 0.5, 0.25)


@dataclass(frozen=True, slots=True, eq=False)
class JointMotion:
    """Where all joints are and how they move, each array of shape (7,).

    Attributes:
        positions: [rad].
        velocities: [rad/s].
        accelerations: [rad/s2].
    """

    positions: Array
    velocities: Array
    accelerations: Array

    def mixed_with(self, other: "JointMotion", share: float) -> "JointMotion":
        """Return a part of this motion and the rest of the other."""
        return JointMotion(
            share * self.positions + (1.0 - share) * other.positions,
            share * self.velocities + (1.0 - share) * other.velocities,
            share * self.accelerations + (1.0 - share) * other.accelerations,
        )


@dataclass(frozen=True, slots=True, eq=False)
class BrakingMotion:
    """A stop from a state within a duration, all joints together.

    Attributes:
        start: The state in which braking starts.
        duration_s: Time to standstill [s].
    """

    start: JointMotion
    duration_s: float

    def after(self, time_s: float) -> JointMotion:
        """Return the state some time after the start [s]."""
        u = min(time_s / self.duration_s, 1.0)
        t = self.duration_s
        v, at = self.start.velocities, self.start.accelerations * t
        return JointMotion(
            self.start.positions
            + t * (v * (u - u**3 + 0.5 * u**4) + at * (0.5 * u**2 - 2 / 3 * u**3 + 0.25 * u**4)),
            v * (1.0 - 3.0 * u**2 + 2.0 * u**3) + at * (u - 2.0 * u**2 + u**3),
            (v * 6.0 * (u**2 - u) + at * (1.0 - 4.0 * u + 3.0 * u**2)) / t,
        )

    @property
    def end(self) -> Array:
        """Where the joints come to rest [rad], shape (7,)."""
        t = self.duration_s
        rest: Array = self.start.positions + t * (
            0.5 * self.start.velocities + t / 12.0 * self.start.accelerations
        )
        return rest


def plan_braking(state: JointMotion, limits: JointLimits, shortest_s: float) -> BrakingMotion:
    """Return the shortest stop of its kind that keeps acceleration and jerk limits.

    With v and a at its start, the profile's jerk is at most 6 |v| / T^2 + 4 |a| / T, and its
    acceleration at most the limit if T >= 1.5 |v| / (A - |a| / 3).
    """
    v, a = np.abs(state.velocities), np.abs(state.accelerations)
    jerk = limits.jerk
    by_jerk = (2.0 * a + np.sqrt(4.0 * a**2 + 6.0 * v * jerk)) / jerk
    by_acceleration = 1.5 * v / (limits.acceleration - a / 3.0)
    duration_s = max(shortest_s, float(by_jerk.max()), float(by_acceleration.max()))
    return BrakingMotion(state, duration_s)


def _peak_velocity(v: Array, at: Array) -> Array:
    """Return the largest speed of each joint during a braking motion [rad/s], shape (7,).

    Args:
        v: Velocities at its start [rad/s], shape (7,).
        at: Accelerations at its start times its duration [rad/s], shape (7,).
    """
    # The velocity profile has its extreme where -6 v u + at (1 - 3 u) = 0.
    below = 6.0 * v + 3.0 * at
    u = np.clip(at / np.where(np.abs(below) < 1e-12, np.inf, below), 0.0, 1.0)
    extreme = v * (1.0 - 3.0 * u**2 + 2.0 * u**3) + at * (u - 2.0 * u**2 + u**3)
    peak: Array = np.maximum(np.abs(v), np.abs(extreme))
    return peak


class LimitsFilter:
    """Follows a reference within the limits of joints and space.

    Args:
        limits: Working limits of the joints.
        envelope: Limits in space.
        tick_s: Time between set-points [s].
    """

    def __init__(self, limits: JointLimits, envelope: EnvelopeConfig, tick_s: float) -> None:
        self._limits = limits
        self._envelope = envelope
        self._tick_s = tick_s
        self._lower_m = np.array(envelope.tcp_lower_m)
        self._upper_m = np.array(envelope.tcp_upper_m)
        self._gains = tracking_gains(tick_s)
        self.reset(0.5 * (limits.lower + limits.upper))

    def reset(self, positions: Array) -> None:
        """Start at rest at joint positions [rad]."""
        still = np.zeros_like(positions)
        self.state = JointMotion(positions.copy(), still, still)
        self._escape = BrakingMotion(self.state, self._tick_s)
        self._escape_used_s = 0.0

    def step(self, reference: JointMotion) -> bool:
        """Move one tick towards the reference. Returns False if a limit stood in the way."""
        towards = self._towards(reference)
        braking = self._escape.after(self._escape_used_s + self._tick_s)
        for share in _MIX:
            candidate = towards.mixed_with(braking, share)
            escape = plan_braking(candidate, self._limits, self._tick_s)
            if self._is_safe(escape):
                self.state, self._escape, self._escape_used_s = candidate, escape, 0.0
                return share == 1.0
        self._escape_used_s += self._tick_s
        self.state = braking
        return False

    @property
    def stopping_place(self) -> Array:
        """Where the known braking motion ends [rad], shape (7,)."""
        return self._escape.end

    def set_point(self) -> JointSetPoint:
        """Return the state as a set-point."""
        return JointSetPoint(self.state.positions, self.state.velocities)

    def _towards(self, reference: JointMotion) -> JointMotion:
        """Return the state after a tick of the jerk that reduces the tracking error."""
        q, v, a = self.state.positions, self.state.velocities, self.state.accelerations
        dt, limits = self._tick_s, self._limits
        jerk = (
            self._gains[0] * (reference.positions - q - v * dt - 0.5 * a * dt**2)
            + self._gains[1] * (reference.velocities - v - a * dt)
            + self._gains[2] * (reference.accelerations - a)
        )
        jerk = np.clip(jerk, -limits.jerk, limits.jerk)
        jerk = np.clip(jerk, (-limits.acceleration - a) / dt, (limits.acceleration - a) / dt)
        return JointMotion(
            q + v * dt + 0.5 * a * dt**2 + jerk * dt**3 / 6.0,
            v + a * dt + 0.5 * jerk * dt**2,
            a + jerk * dt,
        )

    def _is_safe(self, escape: BrakingMotion) -> bool:
        """Whether a state can be left by braking without meeting a limit."""
        start, limits, t = escape.start, self._limits, escape.duration_s
        v, at = start.velocities, start.accelerations * t
        if (_peak_velocity(v, at) > limits.velocity).any():
            return False
        velocities = np.vstack([v, np.outer(_VELOCITY_OF_V, v) + np.outer(_VELOCITY_OF_A, at)])
        way = t * (np.outer(_POSITION_OF_V, v) + np.outer(_POSITION_OF_A, at))
        positions = np.vstack([start.positions, start.positions + way, escape.end])
        if (positions < limits.lower).any() or (positions > limits.upper).any():
            return False
        return self._keeps_speed(start.positions, velocities) and self._is_inside(escape.end)

    def _keeps_speed(self, positions: Array, velocities: Array) -> bool:
        geometry = arm_geometry(positions)
        for jacobian in (geometry.tcp_jacobian[:3], geometry.elbow_jacobian):
            speeds = velocities @ jacobian.T
            if np.einsum("ij,ij->i", speeds, speeds).max() > self._envelope.speed_m_s**2:
                return False
        return True

    def _is_inside(self, positions: Array) -> bool:
        tcp, elbow = arm_points(positions)
        return bool(
            (tcp >= self._lower_m).all()
            and (tcp <= self._upper_m).all()
            and elbow[2] >= self._envelope.elbow_lower_z_m
        )


def tracking_gains(tick_s: float, pole: float = _TRACKING_POLE) -> Array:
    """Return gains on the predicted error of position, velocity, acceleration, shape (3,).

    Pole placement for a sampled triple integrator (Ackermann 1972): all three poles of the
    tracking error lie at `pole` per tick.
    """
    dt = tick_s
    a = np.array([[1.0, dt, 0.5 * dt**2], [0.0, 1.0, dt], [0.0, 0.0, 1.0]])
    b = np.array([dt**3 / 6.0, 0.5 * dt**2, dt])
    controllability = np.stack([b, a @ b, a @ a @ b], axis=1)
    last_row = np.linalg.solve(controllability.T, np.array([0.0, 0.0, 1.0]))
    wanted = np.linalg.matrix_power(a - pole * np.eye(3), 3)
    # The filter knows the error after a tick without jerk, so one transition is taken out.
    gains: Array = np.linalg.solve(a.T, last_row @ wanted)
    return gains
