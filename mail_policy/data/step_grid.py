"""Which observations are steps of an episode: the one rule for training, evaluation and serving.

A policy sees one observation per step period, but cameras keep their own pace. Each instant of the
grid gets the observation that is nearest to it, decided when it arrives: the next one is expected
after the camera's own period, and whoever would wait for it to be sure would act late.
"""

import math

# Share of each miss by which the grid follows the camera. Without it, a camera whose clock runs
# slightly differently would slowly wander to the middle between two instants, where jitter
# decides which one a picture belongs to.
_FOLLOW = 0.1
# Stamps are sums of floats; this share of a period is rounding.
_ROUNDING = 1e-5


class StepGrid:
    """Numbers the steps of an episode from its first observation on.

    Args:
        period_s: Time between two steps [s].
    """

    def __init__(self, period_s: float) -> None:
        if not period_s > 0.0:
            raise ValueError(f"period_s must be greater than 0, got {period_s}")
        self._period_s = period_s
        self.reset()

    def reset(self) -> None:
        """Start an episode: the next observation is its first step."""
        self._due_s: float | None = None
        self._last_s = 0.0
        self._next_step = 0

    def take(self, stamp_s: float) -> int | None:
        """Judge the next observation; stamps must rise.

        Args:
            stamp_s: Its capture stamp [s].

        Returns:
            The number of its step, 0 for the first; a number that was left out is a gap. None if
            it is no step, because its instant has an observation or will get a nearer one.
        """
        if self._due_s is None:
            self._due_s = stamp_s
        spacing = min((stamp_s - self._last_s) / self._period_s, 1.0)
        self._last_s = stamp_s
        # In step periods after the next instant that needs an observation.
        late = (stamp_s - self._due_s) / self._period_s + _ROUNDING
        if late < -0.5 * spacing:
            return None
        left_out = max(0, math.floor(late + 0.5))
        step = self._next_step + left_out
        self._next_step = step + 1
        miss = late - _ROUNDING - left_out
        self._due_s += (left_out + 1 + _FOLLOW * miss) * self._period_s
        return step
