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
from mail_policy.core.motion.space_guard import SpaceGuard
from mail_policy.core.robot_limits import WorkingLimits
from mail_policy.core.types import JointSetPoint

# How closely the filter follows: a triple pole of the tracking error per tick.
_TRACKING_POLE = 0.45
# Where a braking motion is checked, as shares of its duration; the last is where it ends. One that
# begins nearly without acceleration only becomes slower, and fewer places are enough.
_U = np.array([0.0, 0.07, 0.14, 0.21, 0.28, 0.36, 0.45, 0.6, 1.0])
_FEW_U = np.array([0.0, 0.2, 0.5, 1.0])
_FEW_SHARE = 0.15
# A reference this near to where the arm would come to rest asks it to brake [rad].
_SAME_PLACE_RAD = 1e-9
# Where a whole tick towards the reference is not possible, this share of one is tried; the rest is
# braking. Near a face it halves the jerk; a second share would cost more time than it is worth.
_PART = 0.35


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


def plan_braking(state: JointMotion, limits: WorkingLimits, shortest_s: float) -> BrakingMotion:
    """Return the shortest stop of its kind that keeps acceleration and jerk limits of braking.

    With v and a at its start, the profile's jerk is at most 6 |v| / T^2 + 4 |a| / T, and its
    acceleration at most the limit if T >= 1.5 |v| / (A - |a| / 3).
    """
    v, a = np.abs(state.velocities), np.abs(state.accelerations)
    jerk = limits.braking_jerk
    by_jerk = (2.0 * a + np.sqrt(4.0 * a**2 + 6.0 * v * jerk)) / jerk
    by_acceleration = 1.5 * v / (limits.braking_acceleration - a / 3.0)
    duration_s = max(shortest_s, float(by_jerk.max()), float(by_acceleration.max()))
    return BrakingMotion(state, duration_s)


def _joint_stays_inside(
    q: float, v: float, at: float, t: float, limits: tuple[float, float, float]
) -> bool:
    """Whether one joint keeps its range and velocity while it brakes.

    Args:
        q: Where it starts [rad].
        v: Its velocity [rad/s].
        at: Its acceleration times the duration [rad/s].
        t: The duration of the braking motion [s].
        limits: Lowest and highest position [rad], highest velocity [rad/s].
    """
    lower, upper, fastest = limits
    end = q + t * (0.5 * v + at / 12.0)
    if not (abs(v) <= fastest and lower <= q <= upper and lower <= end <= upper):
        return False
    # The velocity v (1 - 3 u^2 + 2 u^3) + at (u - 2 u^2 + u^3) is extreme where its derivative
    # is zero, and zero where the position is extreme.
    slope, zero = 6.0 * v + 3.0 * at, -(2.0 * v + at)
    if slope != 0.0 and 0.0 < (u := at / slope) < 1.0:
        rest = (1.0 - u) ** 2
        if abs(rest * (v * (1.0 + 2.0 * u) + at * u)) > fastest:
            return False
    if zero != 0.0 and 0.0 < (u := v / zero) < 1.0:
        square = u * u
        turn = q + t * (
            v * (u - square * u + 0.5 * square * square)
            + at * square * (0.5 - 2.0 / 3.0 * u + 0.25 * square)
        )
        return lower <= turn <= upper
    return True


def _profile(u: Array) -> tuple[Array, Array]:
    """Return velocities and ways of a braking motion at shares of its duration.

    Returns:
        Velocities at all shares but the last, then ways at all, per duration; each row holds the
        factors of the velocity and of acceleration times duration at the start.
    """
    velocity = np.stack([1.0 - 3.0 * u**2 + 2.0 * u**3, u - 2.0 * u**2 + u**3], axis=1)
    way = np.stack([u - u**3 + 0.5 * u**4, 0.5 * u**2 - 2.0 / 3.0 * u**3 + 0.25 * u**4], axis=1)
    return velocity[:-1], way


_PROFILE, _FEW_PROFILE = _profile(_U), _profile(_FEW_U)


class LimitsFilter:
    """Follows a reference within the limits of joints and space.

    Args:
        limits: Working limits of the joints.
        envelope: Limits in space.
        tick_s: Time between set-points [s].
    """

    def __init__(self, limits: WorkingLimits, envelope: EnvelopeConfig, tick_s: float) -> None:
        self._limits = limits
        self._joints = list(
            zip(
                *(values.tolist() for values in (limits.lower, limits.upper, limits.velocity)),
                strict=True,
            )
        )
        self._tick_s = tick_s
        self._guard = SpaceGuard(envelope, tick_s)
        self._gains = tracking_gains(tick_s)
        self.reset(0.5 * (limits.lower + limits.upper))

    def reset(self, positions: Array) -> None:
        """Start at rest at joint positions [rad]."""
        still = np.zeros_like(positions)
        self.state = JointMotion(positions.copy(), still, still)
        self._escape = BrakingMotion(self.state, self._tick_s)
        self._escape_used_s = 0.0
        self._guard.reset(self.state.positions)

    def step(self, reference: JointMotion) -> bool:
        """Move one tick towards the reference. Returns False if a limit stood in the way."""
        if self._is_stopping_place(reference):
            self._brake()
            return True
        towards = self._towards(reference)
        if self._takes(towards):
            return True
        if not self._takes(towards.mixed_with(self._braking(), _PART)):
            self._brake()
        return False

    def _takes(self, candidate: JointMotion) -> bool:
        """Move to a state if it can be left by braking; return whether it can."""
        escape = plan_braking(candidate, self._limits, self._tick_s)
        if not self._is_safe(escape):
            return False
        self.state, self._escape, self._escape_used_s = candidate, escape, 0.0
        self._guard.accept()
        return True

    def _braking(self) -> JointMotion:
        """Return the state after a tick of the known braking motion."""
        return self._escape.after(self._escape_used_s + self._tick_s)

    def _brake(self) -> None:
        self.state = self._braking()
        self._escape_used_s += self._tick_s

    def _is_stopping_place(self, reference: JointMotion) -> bool:
        """Whether all that is wanted is to brake: no other way to that place is as good."""
        if reference.velocities.any() or reference.accelerations.any():
            return False
        return bool(np.abs(reference.positions - self._escape.end).max() < _SAME_PLACE_RAD)

    @property
    def stopping_place(self) -> Array:
        """Where the known braking motion ends [rad], shape (7,)."""
        return self._escape.end

    def set_point(self) -> JointSetPoint:
        """Return the state as a set-point."""
        return JointSetPoint(self.state.positions, self.state.velocities, self.state.accelerations)

    def _towards(self, reference: JointMotion) -> JointMotion:
        """Return the state after a tick of the jerk that reduces the tracking error."""
        dt, a, limits = self._tick_s, self.state.accelerations, self._limits
        v = self.state.velocities + dt * a
        q = self.state.positions + dt * (self.state.velocities + 0.5 * dt * a)
        gains = self._gains
        jerk = (
            gains[0] * (reference.positions - q)
            + gains[1] * (reference.velocities - v)
            + gains[2] * (reference.accelerations - a)
        )
        most = np.minimum(limits.jerk, (limits.acceleration - a) / dt)
        least = np.maximum(-limits.jerk, (-limits.acceleration - a) / dt)
        jerk = np.minimum(np.maximum(jerk, least), most)
        return JointMotion(q + dt**3 / 6.0 * jerk, v + 0.5 * dt**2 * jerk, a + dt * jerk)

    def _is_safe(self, escape: BrakingMotion) -> bool:
        """Whether a state can be left by braking without meeting a limit."""
        start, t = escape.start, escape.duration_s
        # The velocity within the tick may exceed that at both ends of it.
        step = np.abs(start.positions - self.state.positions)
        if (step > self._limits.velocity * self._tick_s).any():
            return False
        motion = np.stack([start.velocities, start.accelerations * t])
        joints = zip(start.positions.tolist(), *motion.tolist(), self._joints, strict=True)
        if not all(_joint_stays_inside(q, v, at, t, limits) for q, v, at, limits in joints):
            return False
        speeds = np.abs(motion).max(axis=1)
        velocity, way = _FEW_PROFILE if speeds[1] < _FEW_SHARE * speeds[0] else _PROFILE
        positions = start.positions + t * (way @ motion)
        return self._guard.allows(self.state.positions, positions, velocity @ motion)


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
