"""A smooth path through timed joint waypoints: cubic Hermite pieces.

The parameter of a path is its *progress* [s]. It runs with the clock while the arm is fast
enough, slower where a limit is near, and not at all while the arm holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mail_policy.core.frames import Array


@dataclass(frozen=True, slots=True, eq=False)
class PathPoint:
    """One point of a path.

    Attributes:
        positions: [rad], shape (7,).
        velocities: Derivative by progress [rad/s], shape (7,).
        accelerations: Second derivative by progress [rad/s2], shape (7,).
    """

    positions: Array
    velocities: Array
    accelerations: Array


class HermitePath:
    """A path with continuous position and velocity; it holds still before and after its ends.

    Args:
        progress_s: Increasing progress of each waypoint [s], shape (n,), n >= 2.
        positions: [rad], shape (n, 7).
        velocities: [rad/s], shape (n, 7); None takes finite differences of the waypoints.
    """

    def __init__(
        self, progress_s: Array, positions: Array, velocities: Array | None = None
    ) -> None:
        if len(progress_s) < 2 or positions.shape[0] != len(progress_s):
            raise ValueError(
                f"a path needs two or more waypoints with one time each, got {positions.shape} "
                f"positions and {len(progress_s)} times"
            )
        if not (np.diff(progress_s) > 0.0).all():
            raise ValueError(f"progress_s must increase, got {progress_s}")
        self.progress_s = progress_s
        self.positions = positions
        self.velocities = (
            finite_difference(progress_s, positions) if velocities is None else velocities
        )

    @property
    def start_s(self) -> float:
        """Progress of the first waypoint [s]."""
        return float(self.progress_s[0])

    @property
    def end_s(self) -> float:
        """Progress of the last waypoint [s]."""
        return float(self.progress_s[-1])

    def at(self, progress_s: float) -> PathPoint:
        """Return the point at a progress [s]."""
        still = np.zeros_like(self.positions[0])
        if progress_s >= self.end_s:
            return PathPoint(self.positions[-1], still, still)
        if progress_s < self.start_s:
            return PathPoint(self.positions[0], still, still)
        i = int(np.searchsorted(self.progress_s, progress_s, side="right")) - 1
        width_s = float(self.progress_s[i + 1] - self.progress_s[i])
        u = (progress_s - float(self.progress_s[i])) / width_s
        start, slope = self.positions[i], self.velocities[i] * width_s
        end_slope = self.velocities[i + 1] * width_s
        square, cube = _cubic(slope, self.positions[i + 1] - start, end_slope)
        return PathPoint(
            start + u * (slope + u * (square + u * cube)),
            (slope + u * (2.0 * square + 3.0 * u * cube)) / width_s,
            (2.0 * square + 6.0 * u * cube) / width_s**2,
        )

    def positions_at(self, progress_s: Array) -> Array:
        """Return the positions at many progresses [s] at once [rad], shape (n, 7)."""
        clipped_s = np.clip(progress_s, self.start_s, self.end_s)
        piece = np.clip(np.searchsorted(self.progress_s, clipped_s, side="right"), 1, None) - 1
        piece = np.minimum(piece, len(self.progress_s) - 2)
        widths_s = np.diff(self.progress_s)[piece][:, None]
        u = (clipped_s - self.progress_s[piece])[:, None] / widths_s
        start, slope = self.positions[piece], self.velocities[piece] * widths_s
        end_slope = self.velocities[piece + 1] * widths_s
        square, cube = _cubic(slope, self.positions[piece + 1] - start, end_slope)
        positions: Array = start + u * (slope + u * (square + u * cube))
        return positions


def _cubic(slope: Array, chord: Array, end_slope: Array) -> tuple[Array, Array]:
    """Return the factors of u^2 and u^3 of pieces from their slopes and their chord."""
    return 3.0 * chord - 2.0 * slope - end_slope, slope + end_slope - 2.0 * chord


def finite_difference(progress_s: Array, positions: Array) -> Array:
    """Return central differences of waypoints [rad/s], one-sided at both ends."""
    velocities = np.empty_like(positions)
    slopes = np.diff(positions, axis=0) / np.diff(progress_s)[:, None]
    velocities[0], velocities[-1] = slopes[0], slopes[-1]
    span_s = (progress_s[2:] - progress_s[:-2])[:, None]
    velocities[1:-1] = (positions[2:] - positions[:-2]) / span_s
    return velocities


def minimum_jerk_path(
    start: Array, end: Array, *, peak_velocity: Array, start_progress_s: float, knots: int = 24
) -> HermitePath:
    """Plan a straight joint-space move at rest at both ends (Flash and Hogan 1985).

    Args:
        start: [rad], shape (7,).
        end: [rad], shape (7,).
        peak_velocity: Largest velocity of each joint [rad/s], shape (7,).
        start_progress_s: Progress at the start [s].
        knots: Number of waypoints.
    """
    # The profile 10 u^3 - 15 u^4 + 6 u^5 has its peak slope, 15/8, in the middle.
    duration_s = max(0.3, float(np.max(1.875 * np.abs(end - start) / peak_velocity)))
    u = np.linspace(0.0, 1.0, knots)
    share = u**3 * (10.0 - 15.0 * u + 6.0 * u**2)
    slope = 30.0 * u**2 * (1.0 - u) ** 2 / duration_s
    return HermitePath(
        start_progress_s + u * duration_s,
        start + share[:, None] * (end - start),
        slope[:, None] * (end - start),
    )


def join_paths(paths: Sequence[HermitePath]) -> HermitePath:
    """Join paths that each begin where the one before ends."""
    return HermitePath(
        np.concatenate([paths[0].progress_s, *(path.progress_s[1:] for path in paths[1:])]),
        np.concatenate([paths[0].positions, *(path.positions[1:] for path in paths[1:])]),
        np.concatenate([paths[0].velocities, *(path.velocities[1:] for path in paths[1:])]),
    )
