"""Small changes of training pictures that must not change what to do.

They are drawn with NumPy and made with torch: on every device the same changes.

Letters used for shapes in this file:
    N  pictures    G  groups    H  rows of a picture    W  columns of a picture
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_WHITE = 255.0


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


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """What happens to each picture.

    Attributes:
        shifts: Pixels by which rows and columns move, shape (2, N).
        gains: Factor of each channel, shape (N, 3).
        offsets: Added to all channels, as a share of white, shape (N, 1).
    """

    shifts: Tensor
    gains: Tensor
    offsets: Tensor


def draw_changes(
    groups: NDArray[np.int64], count: int, config: AugmentConfig, rng: np.random.Generator
) -> Changes:
    """Draw changes of pictures; those of a group are changed in the same way.

    Args:
        groups: Number of the group of every picture, shape (N,). Frames of one window belong to
            one group: a shift between them would look like motion.
        count: Groups to draw for, also where no picture belongs to them.
        config: How much.
        rng: Source of chance.
    """
    size = config.shift_pixels
    shifts = rng.integers(-size, size + 1, (2, count))
    gains = 1.0 + rng.uniform(-config.colour_gain, config.colour_gain, (count, 3))
    offsets = rng.uniform(-config.brightness, config.brightness, (count, 1))
    return Changes(
        shifts=torch.from_numpy(shifts[:, groups]),
        gains=torch.from_numpy(gains[groups]).float(),
        offsets=torch.from_numpy(offsets[groups]).float(),
    )


def change_pictures(pictures: Tensor, changes: Changes) -> Tensor:
    """Shift and recolour pictures on the device where they are.

    Args:
        pictures: RGB uint8, shape (N, H, W, 3).
        changes: One per picture.

    Returns:
        RGB around [0, 1], shape (N, 3, H, W).
    """
    moved = _shifted(pictures, changes.shifts).permute(0, 3, 1, 2).float()
    gains = changes.gains[:, :, None, None] / _WHITE  # (N, 3, 1, 1)
    return moved.mul_(gains).add_(changes.offsets[:, :, None, None])


def _shifted(pictures: Tensor, shifts: Tensor) -> Tensor:
    """Move every picture by its own shift (2, N), repeating its border."""
    count, height, width = pictures.shape[:3]
    device = pictures.device
    rows = (torch.arange(height, device=device) + shifts[0][:, None]).clamp(0, height - 1)
    columns = (torch.arange(width, device=device) + shifts[1][:, None]).clamp(0, width - 1)
    first_rows = height * torch.arange(count, device=device)[:, None]  # (N, 1)
    # One list of pixels is gathered three times as fast as by three indices.
    pixels = ((first_rows + rows)[:, :, None] * width + columns[:, None]).flatten()
    return pictures.reshape(-1, 3).index_select(0, pixels).view(pictures.shape)
