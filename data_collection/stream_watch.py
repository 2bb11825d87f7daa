"""What the stamps of streams say about them: rate, gaps, drops, clocks. In bounded memory."""

from collections import Counter, deque

from mail_policy.data.step_grid import StepGrid

_INTERVAL_UNIT_NS = 100_000
_DELAY_UNIT_NS = 1_000_000
# What is longer is counted as so long: a broken clock must not fill the memory with its stamps.
_LONGEST_NS = 10_000_000_000
# A tenth of a second at any rate that a camera has.
_SYNC_MEMORY = 64


class StreamWatch:
    """Counts one stream, message by message.

    Attributes:
        count: Messages.
        first_log_ns: When the first one was received [ns].
        last_log_ns: When the last one was received [ns].
        largest_gap_s: Longest time between two stamps [s].
        backward: Stamps that went back.
        repeated: Stamps equal to the last one, as simulated time makes them that comes in steps.
        ahead: Stamps from the future.
        unreadable: Messages without a readable stamp.

    Args:
        ahead_limit_ns: A stamp may be so much later than its arrival [ns].
    """

    def __init__(self, ahead_limit_ns: int) -> None:
        self.count = 0
        self.first_log_ns = 0
        self.last_log_ns = 0
        self.largest_gap_s = 0.0
        self.backward = 0
        self.repeated = 0
        self.ahead = 0
        self.unreadable = 0
        self._ahead_limit_ns = ahead_limit_ns
        self._last_stamp_ns: int | None = None
        self._intervals: Counter[int] = Counter()
        self._delays: Counter[int] = Counter()

    def add(self, stamp_ns: int | None, log_time_ns: int) -> None:
        """Take the stamp of a message, None if it has none that can be read."""
        if self.count == 0:
            self.first_log_ns = log_time_ns
        self.count += 1
        self.last_log_ns = max(self.last_log_ns, log_time_ns)
        if stamp_ns is None:
            self.unreadable += 1
            return
        delay_ns = max(-_LONGEST_NS, min(_LONGEST_NS, log_time_ns - stamp_ns))
        self._delays[round(delay_ns / _DELAY_UNIT_NS)] += 1
        self.ahead += delay_ns < -self._ahead_limit_ns
        if self._last_stamp_ns is not None:
            self._add_interval(stamp_ns - self._last_stamp_ns)
        self._last_stamp_ns = stamp_ns

    @property
    def period_s(self) -> float:
        """The usual time between two stamps [s], 0 if there are too few to tell."""
        return median(self._intervals) * _INTERVAL_UNIT_NS * 1e-9

    @property
    def rate_hz(self) -> float:
        """Stamps per second over the whole time [Hz], 0 if there are too few to tell."""
        duration = sum(interval * count for interval, count in list(self._intervals.items()))
        return self._intervals.total() / (duration * _INTERVAL_UNIT_NS * 1e-9) if duration else 0.0

    @property
    def drops(self) -> int:
        """How many messages are missing from the grid that most of the stamps keep to."""
        period = median(self._intervals)
        if not period:
            return 0
        return sum(
            count * max(0, round(interval / period) - 1)
            for interval, count in list(self._intervals.items())
        )

    @property
    def delay_s(self) -> float:
        """Usual time from stamp to arrival [s]."""
        return median(self._delays) * _DELAY_UNIT_NS * 1e-9

    def _add_interval(self, interval_ns: int) -> None:
        if interval_ns <= 0:
            self.backward += interval_ns < 0
            self.repeated += interval_ns == 0
            return
        self.largest_gap_s = max(self.largest_gap_s, interval_ns * 1e-9)
        self._intervals[round(min(interval_ns, _LONGEST_NS) / _INTERVAL_UNIT_NS)] += 1


class GridWatch:
    """Counts the instants of an episode's time grid that a camera has no picture of.

    Attributes:
        missing: How many there are so far.
        instants: How many instants have passed.

    Args:
        rate_hz: Of the grid [Hz].
    """

    def __init__(self, rate_hz: float) -> None:
        self.missing = 0
        self.instants = 0
        self._grid = StepGrid(1.0 / rate_hz)

    def add(self, stamp_ns: int) -> None:
        """Take the stamp of a picture."""
        instant = self._grid.take(stamp_ns * 1e-9)
        if instant is not None:
            self.missing += instant - self.instants
            self.instants = instant + 1


class SyncWatch:
    """Measures how far the pictures of two cameras are apart in time."""

    def __init__(self) -> None:
        self._own: deque[int] = deque(maxlen=_SYNC_MEMORY)
        self._others: deque[int] = deque(maxlen=_SYNC_MEMORY)
        self._distances: Counter[int] = Counter()

    def add(self, stamp_ns: int, *, is_first: bool) -> None:
        """Take a stamp of the first camera, or of the other one."""
        (self._own if is_first else self._others).append(stamp_ns)
        while self._own and self._others and self._others[-1] >= self._own[0]:
            own_ns = self._own.popleft()
            distance_ns = min(abs(own_ns - other_ns) for other_ns in self._others)
            self._distances[round(min(distance_ns, _LONGEST_NS) / _DELAY_UNIT_NS)] += 1

    @property
    def usual_s(self) -> float:
        """How far the next picture of the other camera usually is [s]."""
        return median(self._distances) * _DELAY_UNIT_NS * 1e-9

    @property
    def spread_s(self) -> float:
        """What 95 % of the pictures of the first camera keep to [s]."""
        return quantile(self._distances, 0.95) * _DELAY_UNIT_NS * 1e-9


def median(counted: Counter[int]) -> int:
    """Return the median of counted numbers, 0 if there are none."""
    return quantile(counted, 0.5)


def quantile(counted: Counter[int], share: float) -> int:
    """Return the smallest counted number below or at which a share of all lies, 0 without any."""
    # A copy in one step: another thread may be counting.
    numbers = sorted(counted.copy().items())
    wanted = share * sum(count for _, count in numbers)
    for number, count in numbers:
        wanted -= count
        if wanted <= 0.0:
            return number
    return 0
