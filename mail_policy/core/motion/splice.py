"""Joins a new trajectory to the ones before it, without a jump."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import forward_kinematics
from mail_policy.core.motion.trajectory import HermitePath

_KNOTS = 6
_FADE_S = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """How far two paths are apart at one progress.

    Attributes:
        joints_rad: Distance of each joint [rad], shape (7,).
        tcp_m: Distance of the TCP [m].
    """

    joints_rad: Array
    tcp_m: float

    @property
    def largest_rad(self) -> float:
        """The largest joint distance [rad]."""
        return float(self.joints_rad.max())


def gap_between(running: HermitePath, new: HermitePath, progress_s: float) -> Gap:
    """Measure how far two paths are apart at one progress [s]."""
    here, there = (path.at(progress_s).positions for path in (running, new))
    way_m = forward_kinematics(there)[:3, 3] - forward_kinematics(here)[:3, 3]
    return Gap(np.abs(there - here), float(np.linalg.norm(way_m)))


def ensemble(paths: Iterable[HermitePath], progress_s: float, decay: float) -> HermitePath:
    """Return the weighted mean of paths, from some progress to the end of the newest.

    Temporal ensembling (ACT, Zhao et al. 2023): each instant is the mean of all paths that speak
    about it, the k-th oldest of them with weight exp(-decay k).

    Args:
        paths: The oldest first; the newest decides about instants and end.
        progress_s: Where the mean begins [s].
        decay: How fast the weight falls from the oldest to the newest.
    """
    *older, newest = paths
    knots_s = np.concatenate([[progress_s], newest.progress_s[newest.progress_s > progress_s]])
    positions = []
    for knot_s in knots_s.tolist():
        speaking = [path for path in older if path.end_s > knot_s]
        # A path fades out before its end: the mean must not jump when it has no more to say.
        fading = [min(1.0, (path.end_s - knot_s) / _FADE_S) for path in speaking]
        weights = np.exp(-decay * np.arange(len(speaking) + 1)) * [*fading, 1.0]
        rows = np.array([path.at(knot_s).positions for path in (*speaking, newest)])
        positions.append(weights @ rows / weights.sum())
    return HermitePath(knots_s, np.array(positions))


def splice(
    running: HermitePath, new: HermitePath, *, progress_s: float, blend_s: float
) -> HermitePath:
    """Leave one path and be fully on another after a blend.

    The weight of the new path is a quintic, so that the join adds no step in acceleration.

    Args:
        running: The path followed so far.
        new: The path to follow from now on.
        progress_s: Where the blend starts [s].
        blend_s: How long it lasts [s]; shortened if the new path ends before.
    """
    end_s = min(progress_s + blend_s, 0.5 * (progress_s + new.end_s))
    knots_s = np.linspace(progress_s, end_s, _KNOTS)
    u = (knots_s - progress_s) / (end_s - progress_s)
    weights = u**3 * (10.0 - 15.0 * u + 6.0 * u**2)
    slopes = 30.0 * u**2 * (1.0 - u) ** 2 / (end_s - progress_s)
    positions, velocities = [], []
    for knot_s, weight, slope in zip(knots_s, weights, slopes, strict=True):
        old, fresh = running.at(float(knot_s)), new.at(float(knot_s))
        gap = fresh.positions - old.positions
        positions.append(old.positions + weight * gap)
        velocities.append((1.0 - weight) * old.velocities + weight * fresh.velocities + slope * gap)
    # A waypoint right behind the blend would make a piece too short to be smooth.
    later = new.progress_s > end_s + 0.25 * blend_s
    return HermitePath(
        np.concatenate([knots_s, new.progress_s[later]]),
        _stacked(positions, new.positions[later]),
        _stacked(velocities, new.velocities[later]),
    )


def _stacked(rows: list[Array], more: Array) -> Array:
    return np.vstack([np.array(rows), more])
