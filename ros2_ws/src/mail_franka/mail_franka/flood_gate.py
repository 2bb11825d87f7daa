"""Keeps a flood of messages from eating the time that the control loop needs."""


class FloodGate:
    """Lets messages through at a limited mean rate (token bucket); the rest is dropped unread.

    A burst after a stall passes, so that the newest message of a sound sender is never dropped.

    Args:
        rate_hz: Most messages per second in the long run.
        burst: Most messages at once.
    """

    def __init__(self, rate_hz: float, burst: int = 20) -> None:
        self._rate_hz = rate_hz
        self._burst = float(burst)
        self._tokens = float(burst)
        self._last_s: float | None = None
        self.dropped = 0

    def passes(self, now_s: float) -> bool:
        """Whether a message that arrives now [s, steady] may pass."""
        if self._last_s is not None:
            earned = self._rate_hz * (now_s - self._last_s)
            self._tokens = min(self._burst, self._tokens + earned)
        self._last_s = now_s
        if self._tokens < 1.0:
            self.dropped += 1
            return False
        self._tokens -= 1.0
        return True
