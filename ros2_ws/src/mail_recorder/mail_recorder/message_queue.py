"""A queue between the callbacks, which must not wait, and the thread that writes."""

import threading
from collections import Counter, deque

from data_collection.writer import Recorded


class MessageQueue:
    """Keeps the order of arrival; a topic that is not written fast enough loses its own messages.

    Args:
        limit_per_topic: Messages of one topic that may wait.
        limit_bytes_per_topic: Memory that they may take [bytes]; pictures reach this first.
    """

    def __init__(self, limit_per_topic: int, limit_bytes_per_topic: int = 64 << 20) -> None:
        self._limit = limit_per_topic
        self._limit_bytes = limit_bytes_per_topic
        self._messages: deque[Recorded] = deque()
        self._waiting: Counter[str] = Counter()
        self._waiting_bytes: Counter[str] = Counter()
        self._condition = threading.Condition()
        self._is_closed = False
        self.offered: Counter[str] = Counter()
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
            self._condition.notify()
            return True

    def take(self, timeout_s: float) -> list[Recorded]:
        """Wait for messages and remove all of them; an empty list if none came in time."""
        with self._condition:
            if not self._messages and not self._is_closed:
                self._condition.wait(timeout_s)
            messages = list(self._messages)
            self._messages.clear()
            self._waiting.clear()
            self._waiting_bytes.clear()
            return messages

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
            return self._is_closed and not self._messages

    @property
    def dropped_share(self) -> float:
        """Share of all messages that were dropped, 0 to 1."""
        with self._condition:
            return self.dropped.total() / max(1, self.offered.total())
