"""Keeps the newest observations, and builds windows from them by the training's own rule."""

from collections import deque
from typing import Protocol

from mail_policy.core.types import Hold, Observation
from mail_policy.data.step_grid import StepGrid
from mail_policy.data.windows import TOLERANCE_PERIODS, Window, window_indices
from mail_policy.inference.episode_history import EpisodeHistory
from mail_policy.models.config import ModelConfig, Windows

# So many stamps in a row that do not advance mean that the clock jumped, not that a message was
# repeated (faults-and-safety.md, F5).
STALE_STAMPS_BEFORE_FLUSH = 3


class History(Protocol):
    """What is seen goes in, what a policy looks at comes out."""

    def reset(self) -> None:
        """Start an episode: the next observation is its first."""
        ...

    def push(self, observation: Observation) -> bool:
        """Take an observation; False if it is no step of the episode."""
        ...

    def window(self) -> Window | Hold:
        """Return what the policy looks at now, or why there is nothing."""
        ...


def make_history(model: ModelConfig, period_s: float) -> History:
    """Return the history that a model needs."""
    if model.stateful:
        return EpisodeHistory(period_s)
    return HistoryBuffer(model.history, period_s, model.windows)


class HistoryBuffer:
    """Observations since the start of an episode, as far back as a window reaches.

    Args:
        history: Observations per window.
        period_s: Time between two observations of a window [s].
        windows: What the first windows of an episode show.
    """

    def __init__(self, history: int, period_s: float, windows: Windows = Windows.PADDED) -> None:
        if history < 1:
            raise ValueError(f"history must be at least 1, got {history}")
        self._grid = StepGrid(period_s)
        self._history = history
        self._period_s = period_s
        self._windows = windows
        self._reach_s = (history - 1 + 2 * TOLERANCE_PERIODS) * period_s
        self._observations: deque[Observation] = deque()
        self._start_s: float | None = None
        self._may_start = True
        self._stale = 0
        self._seen_s = float("-inf")

    def reset(self) -> None:
        """Start an episode: the next observation is its first, and may be repeated."""
        self._forget()
        self._may_start = True

    def push(self, observation: Observation) -> bool:
        """Take an observation; False if its stamp did not advance, or it is no step."""
        stamp_s = observation.captured_at_s
        if stamp_s <= self._seen_s:
            self._stale += 1
            if self._stale < STALE_STAMPS_BEFORE_FLUSH:
                return False
            # The clock jumped back. What follows is consistent again, but it is no start: no
            # observation may be repeated, so windows come back once the history is full.
            self._forget()
            self._may_start = False
        self._stale, self._seen_s = 0, stamp_s
        if self._grid.take(stamp_s) is None:
            return False
        if self._may_start:
            self._start_s, self._may_start = stamp_s, False
        self._observations.append(observation)
        while stamp_s - self._observations[0].captured_at_s > self._reach_s:
            self._observations.popleft()
        return True

    def window(self) -> Window | Hold:
        """Return the window that ends with the newest observation, or why there is none."""
        if not self._observations:
            return Hold("no observation received yet")
        stamps_s = [observation.captured_at_s for observation in self._observations]
        indices = window_indices(
            stamps_s,
            len(stamps_s) - 1,
            history=self._length(stamps_s[-1]),
            period_s=self._period_s,
            start_s=self._start_s,
        )
        if isinstance(indices, Hold):
            return indices
        return Window(tuple(self._observations[index] for index in indices))

    def _length(self, newest_s: float) -> int:
        """Return how many observations a window has now: fewer at first, if so published."""
        if self._windows is Windows.PADDED or self._start_s is None:
            return self._history
        return min(self._history, 1 + round((newest_s - self._start_s) / self._period_s))

    def _forget(self) -> None:
        self._observations.clear()
        self._grid.reset()
        self._start_s = None
        self._stale = 0
        self._seen_s = float("-inf")
