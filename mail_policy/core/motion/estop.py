"""The emergency stop's heartbeat: silence counts as pressed."""

from mail_policy.core.motion.config import WatchdogConfig


class EstopWatch:
    """Remembers the heartbeat of the emergency stop.

    This is the software's stop. The safety-rated ones are hardware and need no software.

    Args:
        config: How long it may be silent, and whether it must be there.
    """

    def __init__(self, config: WatchdogConfig) -> None:
        self._config = config
        self._heard_at_s: float | None = None
        self._pressed = False

    def update(self, beat: bool | None, now_s: float) -> None:
        """Take what was heard since the last tick: True while nobody pressed it."""
        if beat is not None:
            self._heard_at_s, self._pressed = now_s, not beat

    def alarm(self, now_s: float) -> str:
        """Return why the arm must stop, "" if it need not."""
        if self._pressed:
            return "the emergency stop is pressed"
        if self._heard_at_s is None:
            wanted = "the emergency stop's heartbeat was never heard; start its program"
            return wanted if self._config.estop_required else ""
        silent_s = now_s - self._heard_at_s
        if silent_s > self._config.estop_s:
            return f"the emergency stop's heartbeat is silent for {silent_s:.2f} s"
        return ""
