"""How far the clock of another machine is ahead of ours, seen from the stamps of its messages."""

from collections import deque

_WINDOW = 40


class ClockProbe:
    """Estimates an offset from one-way delays.

    A message cannot arrive before it was sent, so the smallest difference of many is the offset
    plus the shortest delay, which is below a millisecond on a wire.
    """

    def __init__(self) -> None:
        self._delays_s: deque[float] = deque(maxlen=_WINDOW)

    def add(self, sent_at_s: float, received_at_s: float) -> None:
        """Take the times of one message, on the clocks of sender and receiver [s]."""
        self._delays_s.append(received_at_s - sent_at_s)

    @property
    def offset_s(self) -> float:
        """How far the sender's clock is ahead of ours [s]; 0 before the first message."""
        return -min(self._delays_s, default=0.0)
