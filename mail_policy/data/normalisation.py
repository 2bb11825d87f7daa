"""Brings actions and joint states to zero mean and unit spread, and back."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

# A spread below this is that of a number that never changed; dividing by it would blow up noise.
SMALLEST_STD = 1e-4
# Below this a stored spread is a mistake.
_REFUSED_STD = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """Mean and spread of some numbers over the training steps, in their own units.

    Attributes:
        mean: One per number.
        std: One per number.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse statistics that would turn a policy's output into nonsense."""
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError(
                f"needs as many means as spreads, got {len(self.mean)} mean and {len(self.std)} std"
            )
        if not np.isfinite([*self.mean, *self.std]).all():
            raise ValueError(f"mean and std must be finite, got mean {self.mean}, std {self.std}")
        if min(self.std) <= _REFUSED_STD:
            raise ValueError(f"std must be greater than {_REFUSED_STD}, got {min(self.std)}")

    def normalise(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """Subtract the mean and divide by the spread, along the last axis."""
        return np.asarray((values - np.array(self.mean)) / np.array(self.std), dtype=np.float32)

    def restore(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Undo `normalise`."""
        restored: NDArray[np.float64] = values.astype(np.float64) * self.std + self.mean
        return restored


def statistics_of(values: NDArray[np.float64]) -> Statistics:
    """Measure mean and spread over the rows of (rows, numbers)."""
    std = np.maximum(values.std(axis=0), SMALLEST_STD)
    return Statistics(mean=tuple(values.mean(axis=0).tolist()), std=tuple(std.tolist()))


class Bounds(StrEnum):
    """Where the range of actions ends that a sampled action may have."""

    MIN_MAX = "min_max"
    PERCENTILE = "percentile"


# One outlier in a thousand must not widen the range.
_PERCENTILES = (0.1, 99.9)


def action_bounds(
    values: NDArray[np.float64], statistics: Statistics, bounds: Bounds
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the smallest and the largest normalised action of (rows, numbers)."""
    percentiles = (0.0, 100.0) if bounds is Bounds.MIN_MAX else _PERCENTILES
    low, high = np.percentile(values, percentiles, axis=0)
    # A number that never changed still needs a range.
    return statistics.normalise(low - SMALLEST_STD), statistics.normalise(high + SMALLEST_STD)


def proprio_vector(
    joint_positions: NDArray[np.float64], gripper_width_m: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Join joint positions [rad] (..., 7) and gripper width [m] (...) to (..., 8)."""
    width = np.asarray(gripper_width_m, dtype=np.float64)[..., np.newaxis]
    return np.concatenate([joint_positions, width], axis=-1)
