"""Conditions that must last before they count, and the memory of rejections."""

from collections import deque

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.motion.admission import Rejection
from mail_policy.core.types import NUM_JOINTS

_WINDOW_S = 2.0
_FEW = 6
# A wrong schema will not cure itself; NaN twice in a row will hardly do so.
_AT_ONCE = "schema"
_TWICE = "finite"


class Lasting:
    """Says when a condition has held without a break for some time.

    Args:
        duration_s: How long it must hold [s].
    """

    def __init__(self, duration_s: float) -> None:
        self._duration_s = duration_s
        self._since_s: float | None = None

    def update(self, condition: bool, now_s: float) -> bool:
        """Take the condition of this instant; True once it has lasted."""
        if not condition:
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s >= self._duration_s


class RejectionWatch:
    """Decides when rejected chunks are too many to go on.

    Args:
        max_share: Largest share of rejected chunks within two seconds; 1 never stops.
    """

    def __init__(self, max_share: float) -> None:
        self._max_share = max_share
        self.clear()

    def clear(self) -> None:
        """Forget all chunks."""
        self._recent: deque[tuple[float, bool]] = deque(maxlen=1000)
        self._last_rule = ""

    def note(self, rejection: Rejection | None, now_s: float) -> str:
        """Count a chunk. Returns why the arm must stop, "" if it need not."""
        rule = rejection.rule if rejection else ""
        twice = rule == self._last_rule == _TWICE
        self._last_rule = rule
        self._recent.append((now_s, rejection is not None))
        while self._recent[0][0] < now_s - _WINDOW_S:
            self._recent.popleft()
        if rejection and (rule == _AT_ONCE or twice):
            return f"chunk refused: {rule}: {rejection.detail}"
        rejected = sum(refused for _, refused in self._recent)
        if rejected >= _FEW and rejected > self._max_share * len(self._recent):
            return f"{rejected} of the last {len(self._recent)} chunks refused, last by {rule}"
        return ""


class OscillationWatch:
    """Sees an arm that shakes: joints that change their direction again and again.

    Args:
        speed_rad_s: Slower motion of a joint has no direction [rad/s].
        changes_per_s: More changes of direction of one joint within a second are shaking.
    """

    def __init__(self, speed_rad_s: float, changes_per_s: int) -> None:
        self._speed_rad_s = speed_rad_s
        self._changes_per_s = changes_per_s
        self.clear()

    def clear(self) -> None:
        """Forget all motion."""
        self._directions = np.zeros(NUM_JOINTS)
        self._changed_at_s: list[deque[float]] = [deque() for _ in range(NUM_JOINTS)]

    def update(self, velocities: Array, now_s: float) -> str:
        """Take commanded velocities [rad/s]. Returns which joint shakes, "" if none."""
        fast = np.abs(velocities) > self._speed_rad_s
        turned = fast & (self._directions * velocities < 0.0)
        self._directions = np.where(fast, np.sign(velocities), self._directions)
        for joint in np.flatnonzero(turned):
            times_s = self._changed_at_s[joint]
            times_s.append(now_s)
            while times_s[0] < now_s - 1.0:
                times_s.popleft()
            if len(times_s) > self._changes_per_s:
                return f"joint {joint + 1} changed direction {len(times_s)} times within a second"
        return ""
