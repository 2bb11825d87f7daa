"""Hands every control step of an episode to a policy with memory, once and in order.

Such a policy was trained on observations that are one step period apart, and its memory cannot
be corrected afterwards. So a step is taken when its time has come, never twice, and a gap ends
the episode: the operator has to start the task again.
"""

from mail_policy.core.types import Hold, Observation
from mail_policy.data.windows import TOLERANCE_PERIODS, Window

# Cameras are faster than the policy: the first observation after this share before the instant
# of a step is taken for it.
_EARLY_PERIODS = 0.25
# Steps that nobody asked for; a minute at 20 Hz. More mean that the policy does not run.
_MOST_WAITING = 1200


class EpisodeHistory:
    """Control steps that the policy has not seen yet.

    Args:
        period_s: Time between two steps [s].
    """

    def __init__(self, period_s: float) -> None:
        if not period_s > 0.0:
            raise ValueError(f"period_s must be greater than 0, got {period_s}")
        self._period_s = period_s
        self._waiting: list[Observation] = []
        self._due_s: float | None = None
        self._broken = ""

    def reset(self) -> None:
        """Start an episode: the next observation is its first step."""
        self._waiting.clear()
        self._due_s = None
        self._broken = ""

    def push(self, observation: Observation) -> bool:
        """Take an observation; False if it is none of the steps that are still to come."""
        stamp_s = observation.captured_at_s
        if self._due_s is None:
            self._due_s = stamp_s
        late_periods = (stamp_s - self._due_s) / self._period_s
        if self._broken or late_periods < -_EARLY_PERIODS:
            return False
        if late_periods > TOLERANCE_PERIODS:
            self._broken = f"no observation for {late_periods * self._period_s:.3f} s"
        elif len(self._waiting) >= _MOST_WAITING:
            self._broken = f"{len(self._waiting)} steps were not looked at"
        else:
            self._waiting.append(observation)
            # Steps keep to the grid of the first one, so that delays do not add up.
            self._due_s += self._period_s
        return not self._broken

    def window(self) -> Window | Hold:
        """Return the steps since the last window, oldest first, or why there are none."""
        if self._broken:
            return Hold(f"the memory has a gap: {self._broken}; start the task again")
        if not self._waiting:
            return Hold("no new control step yet")
        steps, self._waiting = tuple(self._waiting), []
        return Window(steps)
