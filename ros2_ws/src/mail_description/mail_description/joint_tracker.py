"""Decides which joint states become transforms. What is old or odd becomes none.

A transform that is never renewed lets viewers and lookups fail visibly; one that is renewed from
old joint states would show an arm where it no longer is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_collection.topics import joint_names
from mail_policy.core.robot_limits import RobotType


@dataclass(frozen=True, slots=True)
class Ignored:
    """Joint states that become no transforms.

    Attributes:
        reason: Why.
    """

    reason: str


class JointTracker:
    """Takes joint states as they arrive.

    Args:
        robot_type: Whose joints are expected.
        max_age_s: Joint states older, or further ahead of the clock, than this are ignored [s].
    """

    def __init__(self, robot_type: RobotType, max_age_s: float) -> None:
        if not 0.0 < max_age_s <= 5.0:
            raise ValueError(f"max_age_s must be in (0, 5] s, got {max_age_s}")
        self._names = joint_names(robot_type.value)
        self._max_age_s = max_age_s
        self._newest_s = -math.inf
        self._last_reason = "no joint states received yet"

    def accept(
        self, names: Sequence[str], positions: Sequence[float], stamp_s: float, now_s: float
    ) -> Mapping[str, float] | Ignored:
        """Return positions by joint name, or why there are none.

        Args:
            names: Of joints.
            positions: Of these joints [rad] or [m].
            stamp_s: When they were measured [s].
            now_s: Current time on the same clock [s].
        """
        # A clock that was set back, as in a replay from the start, begins a new story.
        if self._newest_s > now_s + self._max_age_s:
            self._newest_s = -math.inf
        reason = self._fault(names, positions) or self._lateness(stamp_s, now_s)
        if reason:
            self._last_reason = reason
            return Ignored(reason)
        self._newest_s, self._last_reason = stamp_s, "joint states ended"
        found = dict(zip(names, positions, strict=True))
        return {name: found[name] for name in self._names}

    def silence(self, now_s: float) -> str:
        """Return why the arm has no transforms at present; "" if it has."""
        age_s = now_s - self._newest_s
        if age_s <= self._max_age_s:
            return ""
        since = f"for {age_s:.1f} s" if math.isfinite(age_s) else "since the start"
        return f"the arm has no transforms {since}: {self._last_reason}"

    def _fault(self, names: Sequence[str], positions: Sequence[float]) -> str:
        if len(names) != len(positions):
            return f"joint_states has {len(names)} names, but {len(positions)} positions"
        missing = [name for name in self._names if name not in names]
        if missing:
            return f"joint_states lacks {', '.join(missing)}; is robot_type right?"
        if not all(map(math.isfinite, positions)):
            return "joint_states must be finite, got NaN or infinity"
        return ""

    def _lateness(self, stamp_s: float, now_s: float) -> str:
        age_s = now_s - stamp_s
        if abs(age_s) > self._max_age_s:
            return f"joint states are {age_s:.2f} s old, limit is {self._max_age_s:.2f} s"
        if stamp_s <= self._newest_s:
            return "joint states were measured before the newest ones, or with them"
        return ""
