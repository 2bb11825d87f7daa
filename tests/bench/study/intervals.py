"""How sure can one be of a difference between two ways of learning?

Letters used for shapes in this file:
    R  training seeds    M  tasks    S  initial states
"""

from typing import NamedTuple

import numpy as np

from mail_policy.core.frames import Array

_DRAWS = 10_000


class Interval(NamedTuple):
    """A mean, and where the true one lies, 95 % of the time."""

    mean: float
    low: float
    high: float

    @property
    def covers_zero(self) -> bool:
        """Whether nothing can be said about the sign."""
        return self.low <= 0.0 <= self.high


def clustered_bootstrap(values: Array, seed: int = 0) -> Interval:
    """Return the mean of values and its bootstrap interval, over seeds and initial states.

    All episodes of one policy share its luck in training, so whole seeds are drawn, and the same
    initial states for all of them. Drawing one seed less than there are gives the right variance
    for few of them (Rao and Wu 1988, with replacement); drawing all gives a third too little for
    three. With one seed the interval knows nothing of luck in training.

    Args:
        values: Outcomes, or differences between paired outcomes, shape (R, M, S). Tasks are not
            drawn: the interval is for these tasks.
        seed: Of the bootstrap.
    """
    seeds, _, states = values.shape
    rng = np.random.default_rng(seed)
    drawn_seeds = rng.integers(seeds, size=(_DRAWS, max(seeds - 1, 1)))
    drawn_states = rng.integers(states, size=(_DRAWS, states))
    by_state = values.mean(axis=1)  # (R, S)
    drawn = zip(drawn_seeds, drawn_states, strict=True)
    means = [by_state[r].mean(axis=0)[s].mean() for r, s in drawn]
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high))
