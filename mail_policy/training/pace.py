"""How fast a run learns, and when it will be done."""

import time
from collections.abc import Callable
from datetime import timedelta

from mail_policy.training.trainer import StepReport


class Pace:
    """Measures samples per second, with everything that a run does between its steps.

    Args:
        steps: Steps of the whole run.
        clock: Says what time it is [s].
    """

    def __init__(self, steps: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._steps = steps
        self._clock = clock
        self._started_s = clock()
        self._steps_done = 0
        self._steps_left = steps
        self._samples = 0

    def count(self, report: StepReport) -> None:
        """Take a step into account."""
        self._steps_done += 1
        self._steps_left = self._steps - report.step
        self._samples += report.samples

    @property
    def samples_per_s(self) -> float:
        """Decisions learned from per second since the start; NaN before the first."""
        elapsed_s = self._clock() - self._started_s
        return self._samples / elapsed_s if elapsed_s > 0.0 and self._samples else float("nan")

    @property
    def remaining_s(self) -> float:
        """Time that the steps that are left will take [s]; NaN before the first."""
        if not self._steps_done:
            return float("nan")
        return self._steps_left * (self._clock() - self._started_s) / self._steps_done

    def __str__(self) -> str:
        if not self._steps_done:
            return "pace not known yet"
        remaining = timedelta(seconds=round(self.remaining_s))
        return f"{self.samples_per_s:.0f} samples/s, {remaining} left"
