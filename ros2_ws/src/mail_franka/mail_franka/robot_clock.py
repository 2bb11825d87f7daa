"""Translates the robot's own clock to the clock that stamps observations."""

from collections import deque

_WINDOW = 300
# A step of one of the clocks: forget what was learned before [s].
_JUMP_S = 0.5


class RobotClock:
    """Estimates observation clock minus robot clock from pairs of their times.

    On a robot every delay makes the observation clock look later, so a low share of the samples
    is trusted (a minimum filter). On a twin the clock itself arrives late by message, which
    makes it look earlier, so a high share is.

    Args:
        trusted_share: Which of the sorted samples to take, from 0 (smallest) to 1 (largest).
    """

    def __init__(self, trusted_share: float) -> None:
        if not 0.0 <= trusted_share <= 1.0:
            raise ValueError(f"trusted_share must be in [0, 1], got {trusted_share}")
        self._trusted_share = trusted_share
        self._samples: deque[float] = deque(maxlen=_WINDOW)
        self._offset_s: float | None = None
        self._last_s = float("-inf")

    def add(self, robot_time_s: float, observation_time_s: float) -> None:
        """Take the two times of one instant [s]."""
        sample = observation_time_s - robot_time_s
        if self._offset_s is not None and abs(sample - self._offset_s) > _JUMP_S:
            self._samples.clear()
            self._last_s = float("-inf")
        self._samples.append(sample)
        ordered = sorted(self._samples)
        self._offset_s = ordered[round(self._trusted_share * (len(ordered) - 1))]

    @property
    def spread_s(self) -> float:
        """How much the samples differ [s]: a bound of the error."""
        return max(self._samples) - min(self._samples) if self._samples else float("inf")

    def to_observation_time(self, robot_time_s: float) -> float:
        """Return the observation time of a robot time [s]; it never runs backwards."""
        offset_s = 0.0 if self._offset_s is None else self._offset_s
        self._last_s = max(self._last_s, robot_time_s + offset_s)
        return self._last_s
