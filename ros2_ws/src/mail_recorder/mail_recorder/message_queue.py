"""A queue between the callbacks, which must not wait, and the thread that writes."""

import threading
from collections import Counter, deque
from collections.abc import Sequence
from itertools import islice

from data_collection.writer import Recorded

# Messages are written together: the fewer chunks, the less a recording costs and the shorter its
# end takes. A picture is written no later than this, which a kill may cost.
LINGER_S = 0.05
MOST_AT_ONCE = 64


class MessageQueue:
    """Keeps the order of arrival; a topic that is not written fast enough loses its own messages.

    Args:
        limit_per_topic: Messages of one topic that may wait.
        limit_bytes_per_topic: Memory that they may take [bytes]; pictures reach this first. The
            default holds nearly 5 s of 640x480 at 30 Hz: a busy machine may stand still for 2 s.
        ahead: Messages that come in front, whatever the limits.
    """

    def __init__(
        self,
        limit_per_topic: int,
        limit_bytes_per_topic: int = 128 << 20,
        ahead: Sequence[Recorded] = (),
    ) -> None:
        self._limit = limit_per_topic
        self._limit_bytes = limit_bytes_per_topic
        self._ahead: deque[Recorded] = deque(ahead)
        self._messages: deque[Recorded] = deque()
        self._waiting: Counter[str] = Counter()
        self._waiting_bytes: Counter[str] = Counter()
        self._condition = threading.Condition()
        self._is_closed = False
        self.offered: Counter[str] = Counter(message.topic for message in ahead)
        self.dropped: Counter[str] = Counter()

    def put(self, message: Recorded) -> bool:
        """Add a message without waiting; False if there was no room or the queue is closed."""
        with self._condition:
            if self._is_closed:
                return False
            topic = message.topic
            self.offered[topic] += 1
            waiting_bytes = self._waiting_bytes[topic] + len(message.cdr)
            if self._waiting[topic] >= self._limit or waiting_bytes > self._limit_bytes:
                self.dropped[topic] += 1
                return False
            self._waiting[topic] += 1
            self._waiting_bytes[topic] = waiting_bytes
            self._messages.append(message)
            # The writer looks by itself after a while: waking it for every message costs more.
            if len(self._messages) >= MOST_AT_ONCE:
                self._condition.notify()
            return True

    def take(self, linger_s: float) -> list[Recorded]:
        """Remove the oldest messages, after some time or as soon as they are many."""
        with self._condition:
            if not self._ahead:
                self._condition.wait_for(self._need_not_wait, linger_s)
            source = self._ahead or self._messages
            taken = list(islice(source, MOST_AT_ONCE))
            for message in taken:
                source.popleft()
                if source is self._messages:
                    self._waiting[message.topic] -= 1
                    self._waiting_bytes[message.topic] -= len(message.cdr)
            return taken

    def count_as_dropped(self, topic: str) -> None:
        """Count a message that was taken but could not be written."""
        with self._condition:
            self.dropped[topic] += 1

    def close(self) -> None:
        """Accept nothing more; what is waiting can still be taken."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()

    @property
    def is_drained(self) -> bool:
        """True once the queue is closed and empty."""
        with self._condition:
            return self._is_closed and not self._messages and not self._ahead

    @property
    def dropped_share(self) -> float:
        """Share of all messages that were dropped, 0 to 1."""
        with self._condition:
            return self.dropped.total() / max(1, self.offered.total())

    def _need_not_wait(self) -> bool:
        return self._is_closed or len(self._messages) >= MOST_AT_ONCE
