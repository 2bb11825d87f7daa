"""Hands every control step of an episode to a policy with memory, once and in order.

Such a policy was trained on observations that are one step period apart, and its memory cannot
be corrected afterwards. So every step is taken once, and a gap ends the episode: the operator has
to start the task again.
"""

from mail_policy.core.types import Hold, Observation
from mail_policy.data.step_grid import StepGrid
from mail_policy.data.windows import Window

# Steps that nobody asked for; a minute at 20 Hz. More mean that the policy does not run.
_MOST_WAITING = 1200


class EpisodeHistory:
    """Control steps that the policy has not seen yet.

    Args:
        period_s: Time between two steps [s].
    """

    def __init__(self, period_s: float) -> None:
        self._grid = StepGrid(period_s)
        self._waiting: list[Observation] = []
        self._seen_s = float("-inf")
        self._steps = 0
        self._broken = ""

    def reset(self) -> None:
        """Start an episode: the next observation is its first step."""
        self._grid.reset()
        self._waiting.clear()
        self._seen_s = float("-inf")
        self._steps = 0
        self._broken = ""

    def push(self, observation: Observation) -> bool:
        """Take an observation; False if it is none of the steps that are still to come."""
        stamp_s = observation.captured_at_s
        if self._broken or stamp_s <= self._seen_s:
            return False
        since_last_s, self._seen_s = stamp_s - self._seen_s, stamp_s
        step = self._grid.take(stamp_s)
        if step is None:
            return False
        if step > self._steps:
            self._broken = f"no observation for {since_last_s:.3f} s"
        elif len(self._waiting) >= _MOST_WAITING:
            self._broken = f"{len(self._waiting)} steps were not looked at"
        else:
            self._waiting.append(observation)
            self._steps += 1
        return not self._broken

    def window(self) -> Window | Hold:
        """Return the steps since the last window, oldest first, or why there are none."""
        if self._broken:
            return Hold(f"the memory has a gap: {self._broken}; start the task again")
        if not self._waiting:
            return Hold("no new control step yet")
        steps, self._waiting = tuple(self._waiting), []
        return Window(steps)
