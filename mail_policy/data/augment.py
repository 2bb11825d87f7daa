"""Small changes of training pictures that must not change what to do."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentConfig:
    """How much pictures are changed. Zero leaves them as they are.

    Attributes:
        shift_pixels: Largest shift in both directions, after resizing.
        brightness: Largest change of all channels together, as a share of white.
        colour_gain: Largest relative change of each channel.
    """

    shift_pixels: int = 4
    brightness: float = 0.1
    colour_gain: float = 0.15

    def __post_init__(self) -> None:
        """Refuse negative amounts."""
        if min(self.shift_pixels, self.brightness, self.colour_gain) < 0:
            raise ValueError(f"augmentation must not be negative, got {self}")


def augment(
    images: NDArray[np.uint8],
    groups: NDArray[np.int64],
    config: AugmentConfig,
    rng: np.random.Generator,
) -> Tensor:
    """Shift and recolour pictures; those of a group in the same way.

    Args:
        images: RGB, shape (N, rows, columns, 3).
        groups: Number of the group of every picture, shape (N,). Frames of one window belong to
            one group: a shift between them would look like motion.
        config: How much.
        rng: Source of chance.

    Returns:
        RGB around [0, 1], shape (N, 3, rows, columns).
    """
    count = int(groups.max()) + 1
    size = config.shift_pixels
    shifts = rng.integers(-size, size + 1, (2, count))[:, groups]  # (2, N)
    gains = 1.0 + rng.uniform(-config.colour_gain, config.colour_gain, (count, 3))
    offsets = rng.uniform(-config.brightness, config.brightness, (count, 1))
    moved = torch.from_numpy(_shifted(images, shifts)).permute(0, 3, 1, 2).float()
    gain, offset = (
        torch.from_numpy(values[groups]).float()[:, :, None, None] for values in (gains, offsets)
    )
    return moved.mul_(gain / 255.0).add_(offset)


def _shifted(images: NDArray[np.uint8], shifts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Move every picture by its own shift (2, N), repeating its border."""
    count, height, width = images.shape[:3]
    rows = np.clip(np.arange(height) + shifts[0][:, None], 0, height - 1)  # (N, rows)
    columns = np.clip(np.arange(width) + shifts[1][:, None], 0, width - 1)  # (N, columns)
    pictures = np.arange(count)
    moved: NDArray[np.uint8] = images[pictures[:, None, None], rows[:, :, None], columns[:, None]]
    return moved
