"""Decides when the state is worth a message."""

from mail_policy.core.motion.values import MotionOutputs, MotionState

PERIOD_S = 0.05


class StatePacer:
    """Says yes at 20 Hz and at every change of state, cause or lease."""

    def __init__(self) -> None:
        self._last: tuple[MotionState, str, int] | None = None
        self._next_s = float("-inf")

    def is_due(self, outputs: MotionOutputs, now_s: float) -> bool:
        """Whether to publish now [s, steady]."""
        current = (outputs.state, outputs.cause, outputs.lease_epoch)
        if current == self._last and now_s < self._next_s:
            return False
        self._last, self._next_s = current, now_s + PERIOD_S
        return True
