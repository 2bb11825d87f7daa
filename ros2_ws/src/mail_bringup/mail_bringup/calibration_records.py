"""What calibration remembers of a running stack: joints, hand and pictures, by capture time."""

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.latency import Signal, signal_from_samples
from mail_policy.core.frames import Array

# Joints come at 100 Hz, pictures at 20 to 30 Hz; the longest measurement takes half a minute.
_MOST_SAMPLES = 6000
_MOST_PICTURES = 8
_REST_RAD_S = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture of the camera that is being calibrated.

    Attributes:
        captured_at_s: When the light was collected [s].
        image: RGB uint8, shape (height, width, 3).
    """

    captured_at_s: float
    image: NDArray[np.uint8]


class Track:
    """Numbers with capture times, newest last; filled by one thread and read by another.

    Args:
        size: How many numbers a sample has.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._samples: deque[tuple[float, Array]] = deque(maxlen=_MOST_SAMPLES)

    def add(self, time_s: float, values: Array) -> None:
        """Remember a sample."""
        self._samples.append((time_s, values))

    def clear(self) -> None:
        """Forget all samples."""
        self._samples.clear()

    @property
    def newest_s(self) -> float:
        """Capture time of the newest sample [s]; minus infinity without any."""
        return self._samples[-1][0] if self._samples else -np.inf

    def since(self, time_s: float) -> tuple[Array, Array]:
        """Return times [s] (n,) and values (n, size) of the samples from a time on."""
        samples = [sample for sample in list(self._samples) if sample[0] >= time_s]
        times_s = np.array([time for time, _ in samples])
        return times_s, np.array([values for _, values in samples]).reshape(-1, self._size)

    def at(self, time_s: float) -> Array | None:
        """Return the values at a capture time, None if it is not between two samples."""
        times_s, values = self.since(-np.inf)
        if len(times_s) < 2 or not times_s[0] <= time_s <= times_s[-1]:
            return None
        return np.array([np.interp(time_s, times_s, column) for column in values.T])

    def signal(self, column: int, begin_s: float) -> Signal:
        """Return one of the numbers from a time on."""
        times_s, values = self.since(begin_s)
        return signal_from_samples(times_s, values[:, column])

    def is_at_rest(self, begin_s: float, end_s: float) -> bool:
        """Whether joints stood still from one time to another; False if that is unknown."""
        times_s, values = self.since(begin_s)
        inside = times_s <= end_s
        if self.newest_s < end_s or inside.sum() < 2:
            return False
        moved_rad = float(np.ptp(values[inside], axis=0).max())
        return moved_rad < _REST_RAD_S * (end_s - begin_s)


class Album:
    """The newest pictures, or all of them while a measurement needs every one."""

    def __init__(self) -> None:
        self._pictures: deque[Picture] = deque(maxlen=_MOST_PICTURES)
        self._width_px: int | None = None

    def keep_all(self, width_px: int) -> None:
        """Forget the pictures so far, and none from now on.

        Args:
            width_px: To which width they are shrunk, because they are many [px].
        """
        self._width_px, self._pictures = width_px, deque()

    def keep_newest(self) -> None:
        """Return to the newest few."""
        self._width_px, self._pictures = None, deque(self._pictures, maxlen=_MOST_PICTURES)

    def add(self, picture: Picture) -> None:
        """Remember a picture."""
        if self._width_px is not None:
            scale = self._width_px / picture.image.shape[1]
            small = cv2.resize(
                picture.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
            )
            picture = Picture(picture.captured_at_s, small.astype(np.uint8))
        self._pictures.append(picture)

    def pictures(self) -> list[Picture]:
        """Return what is remembered, oldest first."""
        return list(self._pictures)

    def newest(self) -> Picture | None:
        """Return the newest picture, None without any."""
        return self._pictures[-1] if self._pictures else None
