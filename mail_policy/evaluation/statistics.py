"""How sure can one be of a success rate, and short summaries of measured times."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mail_policy.core.frames import Array

_Z_95 = 1.959963984540054
_TAILS_95 = (2.5, 97.5)
_RESAMPLES = 10_000
_BOOTSTRAP_SEED = 0


def wilson_interval(successes: int, episodes: int, z: float = _Z_95) -> tuple[float, float]:
    """Return the interval in which the true success rate lies, 95 % of the time.

    Wilson 1927: unlike mean and spread it is right for few episodes, and for rates near 0 and 1.

    Args:
        successes: How many episodes succeeded.
        episodes: How many there were.
        z: Quantile of the normal distribution.
    """
    if not 0 <= successes <= episodes:
        raise ValueError(f"successes must be in [0, {episodes}], got {successes}")
    if episodes == 0:
        return 0.0, 1.0
    rate, share = successes / episodes, z * z / episodes
    centre = (rate + share / 2) / (1 + share)
    spread = math.sqrt(rate * (1 - rate) * share + share * share / 4) / (1 + share)
    # At rates 0 and 1 rounding would leave the bound a hair beside the exact one.
    low = 0.0 if successes == 0 else centre - spread
    high = 1.0 if successes == episodes else centre + spread
    return low, high


def percentiles(values: Sequence[float]) -> dict[str, float] | None:
    """Return p50, p99 and max of some values; None if there are none."""
    if not len(values):
        return None
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "max": float(max(values))}


def mean_interval(tasks: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """Return a 95 % interval of the mean of the success rates of several tasks.

    Percentile bootstrap: episodes are drawn again within their tasks, so that every task keeps
    its weight. Where no task has both outcomes there is nothing to draw; then it is Wilson's
    interval of all episodes together.

    Args:
        tasks: Whether each episode of each task succeeded; no task is empty.
    """
    successes = [sum(episodes) for episodes in tasks]
    counts = [len(episodes) for episodes in tasks]
    if all(done in (0, count) for done, count in zip(successes, counts, strict=True)):
        return wilson_interval(sum(successes), sum(counts))
    # Drawing n of n outcomes with replacement gives a binomial number of successes.
    generator = np.random.default_rng(_BOOTSTRAP_SEED)
    drawn = [
        generator.binomial(count, done / count, _RESAMPLES) / count
        for done, count in zip(successes, counts, strict=True)
    ]
    return _interval_95(np.mean(drawn, axis=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedComparison:
    """Two policies on the same initial states.

    Attributes:
        difference: Mean success rate of the second minus that of the first.
        interval_95: Of the difference.
        both: Pairs in which both succeeded.
        only_first: Pairs in which only the first did.
        only_second: Pairs in which only the second did.
        neither: Pairs in which none did.
        mcnemar_p: Probability of so uneven a split of the pairs that differ, or a more uneven
            one, if the policies were equally good (exact, two-sided).
    """

    difference: float
    interval_95: tuple[float, float]
    both: int
    only_first: int
    only_second: int
    neither: int
    mcnemar_p: float


def compare_pairs(first: ArrayLike, second: ArrayLike) -> PairedComparison:
    """Compare two policies that were tried from the same initial states.

    The interval is a percentile bootstrap over initial states. All tasks share these, so a state
    is drawn together with what both policies did from it in every task. Where no pair differs
    it is what Wilson's interval allows for such pairs, in both directions.

    Args:
        first: Whether the first policy succeeded, shape (tasks, states).
        second: The same of the second policy.
    """
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if a.shape != b.shape or a.ndim != 2 or a.size == 0:
        raise ValueError(f"expected two tables (tasks, states), got shapes {a.shape}, {b.shape}")
    only_first, only_second = int((a & ~b).sum()), int((~a & b).sum())
    by_state = (b.astype(float) - a).mean(axis=0)
    if only_first + only_second:
        states = len(by_state)
        drawn = np.random.default_rng(_BOOTSTRAP_SEED).integers(states, size=(_RESAMPLES, states))
        interval = _interval_95(by_state[drawn].mean(axis=1))
    else:
        most = wilson_interval(0, a.size)[1]
        interval = -most, most
    return PairedComparison(
        difference=float(by_state.mean()),
        interval_95=interval,
        both=int((a & b).sum()),
        only_first=only_first,
        only_second=only_second,
        neither=int((~a & ~b).sum()),
        mcnemar_p=mcnemar_p(only_first, only_second),
    )


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test, from the pairs that differ."""
    pairs = only_first + only_second
    tail = sum(math.comb(pairs, count) for count in range(min(only_first, only_second) + 1))
    # A quotient of whole numbers: either alone may be beyond floating point.
    return min(1.0, 2 * tail / (1 << pairs))


def _interval_95(values: Array) -> tuple[float, float]:
    low, high = np.percentile(values, _TAILS_95)
    return float(low), float(high)
