"""How sure can one be of a success rate, and short summaries of measured times."""

import math
from collections.abc import Sequence

import numpy as np

_Z_95 = 1.959963984540054


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
