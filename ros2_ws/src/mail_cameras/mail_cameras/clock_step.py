"""Notices when somebody sets the computer's clock (row F10 of the fault table)."""

from collections.abc import Callable

# NTP slews by less than 1 ms per second; more than this between two looks is a step [s].
_STEP_S = 0.005
# A look that took longer was interrupted, and says nothing.
_INTERRUPTED_S = 0.001


class ClockStepDetector:
    """Compares the time of day with a clock that nobody can set."""

    def __init__(self, now: Callable[[], float], steady: Callable[[], float]) -> None:
        """Begin to compare.

        Args:
            now: Time of day [s].
            steady: A clock that nobody can set [s].
        """
        self._now, self._steady = now, steady
        self._offset_s: float | None = None

    def look(self) -> float:
        """Return by how much the time of day was set since the last look [s], 0 if it was not."""
        before_s = self._steady()
        now_s = self._now()
        after_s = self._steady()
        if after_s - before_s > _INTERRUPTED_S:
            return 0.0
        last_s, self._offset_s = self._offset_s, now_s - 0.5 * (before_s + after_s)
        if last_s is None or abs(self._offset_s - last_s) < _STEP_S:
            return 0.0
        return self._offset_s - last_s
