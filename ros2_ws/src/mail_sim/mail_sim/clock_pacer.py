"""Decides when simulated time is published. Pure: the caller brings the time."""


class ClockPacer:
    """Lets one time stamp through per period of simulated time, never one that does not grow."""

    def __init__(self, rate_hz: float) -> None:
        """Choose the rate in stamps per simulated second [Hz]."""
        self._period_s = 1.0 / rate_hz
        self._last_s = float("-inf")

    def is_due(self, time_s: float) -> bool:
        """Say whether this simulated time [s] should be published; the caller then does so."""
        # The nudge forgives the rounding of sums of milliseconds.
        if time_s - self._last_s < self._period_s - 1e-9:
            return False
        self._last_s = time_s
        return True
