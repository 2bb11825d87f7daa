"""Where the arm has been, and what it was commanded, during the last seconds."""

from collections import deque

import numpy as np

from mail_monitor.seen import ArmSeen
from mail_policy.core.frames import Array

KEPT_S = 6.0
# Nearer points add nothing to a picture [m].
_APART_M = 0.001


class TcpHistory:
    """Remembers the last seconds of the arm by the stamps of its states."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, Array]] = deque()
        self._set_points: deque[tuple[float, Array]] = deque()

    def add(self, arm: ArmSeen) -> None:
        """Remember a state. A stamp from the past, as after a restart, begins a new history."""
        if self._set_points and arm.stamp_s < self._set_points[-1][0]:
            self._points.clear()
            self._set_points.clear()
        self._set_points.append((arm.stamp_s, arm.set_point))
        if not self._points or _distance_m(self._points[-1][1], arm.tcp_position_m) > _APART_M:
            self._points.append((arm.stamp_s, arm.tcp_position_m))
        for kept in (self._points, self._set_points):
            while kept[0][0] < arm.stamp_s - KEPT_S and len(kept) > 1:
                kept.popleft()

    def executed_m(self) -> Array:
        """Return the path of the TCP in the base frame [m], oldest first, shape (n, 3)."""
        return np.array([point for _, point in self._points]).reshape(-1, 3)

    def set_point_at(self, time_s: float) -> Array | None:
        """Return what was commanded at a time [s]: joint positions [rad], shape (7,).

        None if nothing is known yet; the oldest that is known if the time is long ago.
        """
        found = None
        for stamp_s, set_point in self._set_points:
            if found is not None and stamp_s > time_s:
                break
            found = set_point
        return found


def _distance_m(first: Array, second: Array) -> float:
    return float(np.linalg.norm(first - second))
