"""How fast progress may run along a path, so that no velocity or speed limit is reached.

A path is slowed down in time and never bent in space. The idea is that of time-optimal path
parametrisation (Bobrow 1985), with a conservative, constant braking slope: a limit is computed
at a grid of points, then each point is lowered until the next one can be reached by braking.
"""

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import chain_frames, condition_numbers
from mail_policy.core.motion.config import EnvelopeConfig
from mail_policy.core.motion.self_collision import self_collision
from mail_policy.core.motion.trajectory import HermitePath
from mail_policy.core.motion.workspace import MOMENT_S, workspace
from mail_policy.core.robot_limits import JointLimits

# Keeps some of each limit for the corrections of the limits filter.
_USED_SHARE = 0.9
# Curvature is partly smoothed by the filter, so it never slows a path below this rate.
_LOWEST_CURVE_RATE = 0.3
_BRAKING_SHARE = 0.6
_LOWEST_SLOPE, _HIGHEST_SLOPE = 1.0, 8.0
_SMALL = 1e-9


class SpeedProfile:
    """The largest rate of progress (1 is the clock's) along one path, zero at its end.

    Args:
        path: The path.
        from_s: Where the profile starts; earlier parts are never played again [s].
        limits: Working limits of the joints.
        envelope: Limits in space.
    """

    def __init__(
        self, path: HermitePath, from_s: float, limits: JointLimits, envelope: EnvelopeConfig
    ) -> None:
        later = path.progress_s > from_s + _SMALL
        start = path.at(from_s)
        self._grid_s = np.concatenate([[from_s], path.progress_s[later]])
        positions = np.vstack([start.positions, path.positions[later]])
        velocities = np.vstack([start.velocities, path.velocities[later]])
        accelerations = _largest_accelerations(self._grid_s, positions, velocities)
        speeds = np.abs(velocities) + _SMALL
        rates = _USED_SHARE * np.min(limits.velocity / speeds, axis=1)
        rates = np.minimum(rates, _space_rates(positions, velocities, envelope))
        curve = np.sqrt(_USED_SHARE * np.min(limits.acceleration / accelerations, axis=1))
        rates = np.minimum(1.0, np.minimum(rates, np.maximum(curve, _LOWEST_CURVE_RATE)))
        slope = _BRAKING_SHARE * float(np.min(limits.acceleration / speeds))
        self.slope_per_s = min(_HIGHEST_SLOPE, max(_LOWEST_SLOPE, slope))
        self._rates_squared = _brakeable(self._grid_s, rates, self.slope_per_s)

    def rate_at(self, progress_s: float) -> float:
        """Return the largest allowed rate at a progress [s]."""
        return float(np.sqrt(np.interp(progress_s, self._grid_s, self._rates_squared)))


def _space_rates(positions: Array, velocities: Array, envelope: EnvelopeConfig) -> Array:
    """Return the rates that the limits in space allow, shape (n,)."""
    n, boxes = len(positions), workspace(envelope)
    frames = chain_frames(np.concatenate([positions, positions + MOMENT_S * velocities]))
    points, here = boxes.points(frames), frames[:, :n]
    fastest_m_s = boxes.longest_m(points[n:] - points[:n]) / MOMENT_S
    rates: Array = _USED_SHARE * envelope.speed_m_s / (fastest_m_s + _SMALL)
    for values, slow, stop in (
        (
            self_collision(envelope).clearances_m(here),
            envelope.slow_clearance_m,
            envelope.stop_clearance_m,
        ),
        (condition_numbers(here), envelope.slow_condition, envelope.stop_condition),
    ):
        shares = np.clip((values - stop) / (slow - stop), 0.0, 1.0)
        # Away from a danger is free: only a share that becomes smaller counts.
        nearing = np.diff(values, append=values[-1]) * (stop - slow) > 0.0
        rates = np.where(nearing, np.minimum(rates, shares), rates)
    return rates


def _largest_accelerations(grid_s: Array, positions: Array, velocities: Array) -> Array:
    """Return the larger second derivative on either side of each waypoint, shape (n, 7)."""
    width_s = np.diff(grid_s)[:, None]
    chord = np.diff(positions, axis=0) / width_s
    start, end = velocities[:-1], velocities[1:]
    largest = np.full_like(positions, _SMALL)
    leaving = np.abs(6.0 * chord - 4.0 * start - 2.0 * end) / width_s
    arriving = np.abs(2.0 * start + 4.0 * end - 6.0 * chord) / width_s
    largest[:-1] = np.maximum(largest[:-1], leaving)
    largest[1:] = np.maximum(largest[1:], arriving)
    return largest


def _brakeable(grid_s: Array, rates: Array, slope_per_s: float) -> Array:
    """Lower squared rates until each can be left by braking; the last one is zero."""
    squared: Array = rates**2
    squared[-1] = 0.0
    for i in range(len(grid_s) - 2, -1, -1):
        reachable = squared[i + 1] + 2.0 * slope_per_s * (grid_s[i + 1] - grid_s[i])
        squared[i] = min(squared[i], reachable)
    return squared
