"""Lets devices start one after the other, with time in between."""

import threading
import time
from collections.abc import Callable


class StartGate:
    """Opens for one device at a time."""

    def __init__(
        self,
        spacing_s: float,
        steady: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Describe the gate.

        Args:
            spacing_s: Least time between two starts [s].
            steady: A clock that nobody can set [s].
            sleep: Waits so many seconds of that clock.
        """
        self._spacing_s, self._steady, self._sleep = spacing_s, steady, sleep
        self._lock = threading.Lock()
        self._next_s = -float("inf")

    def wait_turn(self) -> None:
        """Wait until the last device had its time to start."""
        with self._lock:
            self._sleep(max(0.0, self._next_s - self._steady()))
            self._next_s = self._steady() + self._spacing_s
