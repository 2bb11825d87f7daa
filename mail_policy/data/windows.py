"""Which observations a policy sees at an instant: the one rule for training and serving.

A window holds `history` observations on a grid of one step period that ends at the newest one.
They are found by capture time, never by counting: cameras lose frames, and counting would then
show the policy a world that moves faster than it does. At the explicit start of an episode the
first observation is repeated; a gap anywhere else makes the window invalid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mail_policy.core.types import Hold, Observation

# Share of the period by which an observation may miss its instant.
TOLERANCE_PERIODS = 0.5
# Stamps are sums of floats; this much is rounding.
_ROUNDING_S = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What a policy looks at.

    Attributes:
        observations: Oldest first; the first one of an episode may be there several times.
    """

    observations: tuple[Observation, ...]

    @property
    def newest(self) -> Observation:
        """The observation that the window ends with."""
        return self.observations[-1]


def window_indices(
    stamps_s: Sequence[float] | NDArray[np.float64],
    newest: int,
    *,
    history: int,
    period_s: float,
    start_s: float | None,
) -> NDArray[np.int64] | Hold:
    """Find the observations of a window.

    Args:
        stamps_s: Capture stamps of all observations at hand, rising [s].
        newest: Position of the observation with which the window ends.
        history: Observations per window.
        period_s: Time between two of them [s].
        start_s: Stamp of the first observation after an explicit start [s]. Instants before it
            show that observation. None if the start is unknown, so that nothing may be repeated.

    Returns:
        Positions in `stamps_s`, oldest first, shape (history,); or why there is no window.
    """
    stamps = np.asarray(stamps_s, dtype=np.float64)[: newest + 1]
    wanted = stamps[newest] - period_s * np.arange(history - 1, -1, -1)  # (history,)
    if start_s is not None:
        wanted = np.maximum(wanted, start_s)
    found, misses_s = _nearest(stamps, wanted)
    worst = int(misses_s.argmax())
    if misses_s[worst] > TOLERANCE_PERIODS * period_s + _ROUNDING_S:
        age_s = stamps[newest] - wanted[worst]
        return Hold(
            f"the history has a gap: no observation {age_s:.3f} s before the newest, the nearest "
            f"is {misses_s[worst]:.3f} s away, limit is {TOLERANCE_PERIODS * period_s:.3f} s"
        )
    return found


def target_rows(
    stamps_s: NDArray[np.float64], decision: int, *, chunk: int, period_s: float
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Find the actions that a chunk should predict, by time as well.

    Args:
        stamps_s: Capture stamps of all steps of an episode, rising [s].
        decision: Step at which the policy decides; its own action comes first.
        chunk: Rows per chunk.
        period_s: Time between two rows [s].

    Returns:
        Positions of the actions, shape (chunk,), and which of them exist. Where none does, past
        the end or in a gap, the position is that of the nearest; a loss must not count it.
    """
    wanted = stamps_s[decision] + period_s * np.arange(chunk)
    rows, misses_s = _nearest(stamps_s, wanted)
    return rows, misses_s <= TOLERANCE_PERIODS * period_s + _ROUNDING_S


def _nearest(
    stamps_s: NDArray[np.float64], wanted_s: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return for each wanted instant the position of the nearest stamp, and its distance [s]."""
    last = len(stamps_s) - 1
    after = np.clip(np.searchsorted(stamps_s, wanted_s), 0, last)
    before = np.maximum(after - 1, 0)
    found = np.where(
        np.abs(stamps_s[before] - wanted_s) <= np.abs(stamps_s[after] - wanted_s), before, after
    ).astype(np.int64)
    return found, np.abs(stamps_s[found] - wanted_s)
