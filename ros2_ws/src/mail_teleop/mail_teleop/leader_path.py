"""How the arm follows a leader arm. Pure."""

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.types import NUM_JOINTS


class LeaderPath:
    """The joint positions that the arm is asked to follow: the leader's motion, scaled.

    Summing scaled steps keeps the path without a jump when the person changes the scale.

    Args:
        max_step_rad: A leader that jumps by more between two readings makes no sense [rad].
    """

    def __init__(self, max_step_rad: float) -> None:
        self._max_step_rad = max_step_rad
        self._last = self._path = np.zeros(NUM_JOINTS)

    def fault(self, positions: Array, *, is_followed: bool) -> str:
        """Return what is wrong with joint positions of the leader [rad], "" if nothing."""
        if positions.shape != (NUM_JOINTS,) or not np.isfinite(positions).all():
            return f"the leader's joints are not {NUM_JOINTS} finite numbers"
        step_rad = float(np.abs(positions - self._last).max())
        if not is_followed or step_rad <= self._max_step_rad:
            return ""
        return f"the leader jumped by {step_rad:.2f} rad, limit is {self._max_step_rad} rad"

    def begin(self, positions: Array) -> None:
        """The clutch closes at joint positions of the leader [rad]."""
        self._last = self._path = positions.copy()

    def advance(self, positions: Array, scale: float) -> Array:
        """Follow the leader to joint positions [rad]; return where the arm is asked to be."""
        self._path = self._path + scale * (positions - self._last)
        self._last = positions.copy()
        return self._path
