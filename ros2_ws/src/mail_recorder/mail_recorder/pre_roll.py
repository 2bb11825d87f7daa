"""The last seconds before an episode is started."""

from collections import deque

from data_collection.writer import Recorded

_TOLERANCE_NS = 250_000_000


class PreRoll:
    """Remembers the newest messages, as many as fit into a time and into the memory.

    Args:
        duration_s: How far it goes back [s]; 0 remembers nothing.
        limit_bytes: Memory that the messages may take [bytes]. What is too much is forgotten from
            the oldest on, so that what is left has no hole.
    """

    def __init__(self, duration_s: float, limit_bytes: int) -> None:
        self._duration_ns = round(1e9 * duration_s)
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._messages: deque[Recorded] = deque()

    def add(self, message: Recorded) -> None:
        """Remember a message, forget those that are too old now."""
        if not self._duration_ns:
            return
        newest_ns = self._messages[-1].log_time_ns if self._messages else 0
        if message.log_time_ns < newest_ns - _TOLERANCE_NS:
            # The clock was set back: nobody knows how old the others are.
            self.clear()
        self._messages.append(message)
        self._size_bytes += len(message.cdr)
        oldest_ns = message.log_time_ns - self._duration_ns
        while self._messages and (
            self._messages[0].log_time_ns < oldest_ns or self._size_bytes > self._limit_bytes
        ):
            self._size_bytes -= len(self._messages.popleft().cdr)

    def newest(self, duration_s: float) -> list[Recorded]:
        """Return the messages of the last seconds, oldest first."""
        if not self._messages:
            return []
        since_ns = self._messages[-1].log_time_ns - round(1e9 * duration_s)
        return [message for message in self._messages if message.log_time_ns > since_ns]

    def clear(self) -> None:
        """Forget everything."""
        self._messages.clear()
        self._size_bytes = 0
