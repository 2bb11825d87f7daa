"""Pictures of many episodes: on disk as they are used, and under one numbering without copies.

A data set may be larger than memory: files are mapped, and only what a batch looks at is read.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]


def save_pictures(path: Path, pictures: Pictures) -> None:
    """Write the bytes of pictures, under another name first: a killed run leaves no half file."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    pictures.tofile(partial)
    partial.replace(path)


def map_pictures(path: Path, shape: tuple[int, ...]) -> Pictures:
    """Return the pictures of a file; they are read when they are looked at.

    Args:
        path: From `save_pictures`.
        shape: Of the pictures.

    Raises:
        OSError: There is no such file.
        ValueError: It does not have the size of such pictures.
    """
    # Here, because the readers of episodes work without torch too.
    import torch

    size, found = math.prod(shape), path.stat().st_size
    if found != size:
        raise ValueError(f"{path} must have {size} bytes for pictures {shape}, got {found}")
    # Not numpy's memmap: it keeps every file open, and a data set has thousands.
    mapped: Pictures = torch.from_file(str(path), size=size, dtype=torch.uint8).numpy()
    return mapped.reshape(shape)


class StackedPictures:
    """Pictures of several episodes, numbered through, that stay where they are.

    Args:
        episodes: Pictures of each, shape (L, rows, columns, 3).
    """

    def __init__(self, episodes: Sequence[Pictures]) -> None:
        self._episodes = list(episodes)
        self._starts = np.cumsum([0, *(len(pictures) for pictures in episodes)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, numbers: NDArray[np.int64]) -> Pictures:
        """Copy pictures by their numbers (N,); return (N, rows, columns, 3)."""
        taken = np.empty((len(numbers), *self._episodes[0].shape[1:]), dtype=np.uint8)
        owners = np.searchsorted(self._starts, numbers, side="right") - 1  # (N,)
        for owner in np.unique(owners):
            places = np.flatnonzero(owners == owner)
            taken[places] = self._episodes[owner][numbers[places] - self._starts[owner]]
        return taken
