"""Sees at a glance whether a picture shows anything, and whether it is the one before."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# At least, in pictures that have so many pixels.
_POINTS_PER_SIDE = 16
# Row F4 of the fault table, grey values of 0 to 255.
_BLACK_MEAN = 3.0
_SATURATED_MEAN = 252.0
_FEATURELESS_SPREAD = 2.0


@dataclass(frozen=True, slots=True)
class Glance:
    """A few points of a picture.

    Attributes:
        points: The colours of a grid of points, as bytes.
        flaw: Why nothing can be seen, "" if something can.
    """

    points: bytes
    flaw: str


def glance_at(image: NDArray[np.uint8]) -> Glance:
    """Look at a grid of points; a whole picture would cost twenty times as much.

    Args:
        image: RGB, shape (height, width, 3).
    """
    row_step, column_step = (max(1, size // _POINTS_PER_SIDE) for size in image.shape[:2])
    points = image[row_step // 2 :: row_step, column_step // 2 :: column_step].reshape(-1, 3)
    return Glance(points.tobytes(), _flaw(points))


def _flaw(points: NDArray[np.uint8]) -> str:
    mean = float(points.mean())
    if mean < _BLACK_MEAN:
        return "black"
    if mean > _SATURATED_MEAN:
        return "saturated"
    # A picture of one colour differs between channels, hence the spread of each.
    if float(points.std(axis=0).max()) < _FEATURELESS_SPREAD:
        return "featureless"
    return ""
