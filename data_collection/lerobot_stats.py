"""Statistics of a data set in the form of LeRobot's stats.json."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Stats = dict[str, NDArray[np.float64]]

_QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
_LEVELS = 256
# So many pictures of an episode tell its colours well enough.
_PICTURES_PER_EPISODE = 100


def number_stats(values: NDArray[np.generic]) -> Stats:
    """Return the statistics of numbers, shape (steps, size) or (steps,)."""
    columns = values.reshape(len(values), -1).astype(np.float64)
    return {
        "min": columns.min(axis=0),
        "max": columns.max(axis=0),
        "mean": columns.mean(axis=0),
        "std": columns.std(axis=0),
        "count": np.array([len(columns)]),
        **{_name(q): np.quantile(columns, q, axis=0) for q in _QUANTILES},
    }


class PictureStats:
    """How often each level of each colour occurs; exact, and sums of two are exact again."""

    def __init__(self) -> None:
        self.histograms = np.zeros((3, _LEVELS), dtype=np.int64)
        self.pictures = 0

    def add(self, image: NDArray[np.uint8]) -> None:
        """Count a picture of shape (height, width, 3)."""
        for channel in range(3):
            levels = image[..., channel].ravel()
            self.histograms[channel] += np.bincount(levels, minlength=_LEVELS)
        self.pictures += 1

    def merge(self, other: "PictureStats") -> None:
        """Count the pictures of another, too."""
        self.histograms += other.histograms
        self.pictures += other.pictures

    def watching(
        self, images: Iterator[NDArray[np.uint8]], steps: int
    ) -> Iterator[NDArray[np.uint8]]:
        """Pass the pictures of an episode on, and count some, evenly spaced."""
        stride = max(1, steps // _PICTURES_PER_EPISODE)
        for step, image in enumerate(images):
            if step % stride == 0:
                self.add(image)
            yield image

    def stats(self) -> Stats:
        """Return the statistics of levels from 0 to 1, each but "count" of shape (3, 1, 1)."""
        levels = np.arange(_LEVELS) / (_LEVELS - 1)
        shares = self.histograms / self.histograms.sum(axis=1, keepdims=True)
        mean = shares @ levels
        cumulative = shares.cumsum(axis=1)
        seen = [levels[np.flatnonzero(histogram)] for histogram in self.histograms]
        values = {
            "min": np.array([present[0] for present in seen]),
            "max": np.array([present[-1] for present in seen]),
            "mean": mean,
            "std": np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0.0)),
            **{
                _name(q): np.array([levels[np.searchsorted(c, q - 1e-12)] for c in cumulative])
                for q in _QUANTILES
            },
        }
        shaped = {name: value.reshape(3, 1, 1) for name, value in values.items()}
        return {**shaped, "count": np.array([self.pictures])}


def _name(quantile: float) -> str:
    return f"q{round(100 * quantile):02d}"
