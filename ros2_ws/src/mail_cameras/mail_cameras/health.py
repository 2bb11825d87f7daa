"""Judges the stream of one camera: lost, late, frozen, backward and future pictures.

Pure: every picture carries its own times. The rules are F2, F3, F5 and F6 of the fault table.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from mail_policy.core.types import CameraFrame

# So many stamps in a row that do not grow mean that the camera's clock was set back.
_BACKWARD_BEFORE_RESYNC = 3
# So many equal pictures in a row are counted as frozen. A still scene under a noiseless (rendered)
# camera looks the same, therefore this alone drops nothing.
_EQUAL_BEFORE_FROZEN = 5
_THUMBNAIL = 16


class Verdict(StrEnum):
    """What to do with a picture."""

    PUBLISH = "publish"
    DROP_BACKWARD = "stamp is not newer than the last one"
    DROP_FUTURE = "stamp lies in the future"


@dataclass(frozen=True, slots=True)
class CameraCounts:
    """What happened to the pictures of a camera since it was started.

    Attributes:
        received: Pictures that reached this process.
        lost: Numbers that the camera counted and nobody saw.
        late: Published, but older than the limit on arrival.
        frozen: Published, but equal to several before.
        backward: Dropped, because the stamp did not grow.
        future: Dropped, because the stamp was ahead of the clock.
    """

    received: int = 0
    lost: int = 0
    late: int = 0
    frozen: int = 0
    backward: int = 0
    future: int = 0


class CameraHealth:
    """Counts and judges the pictures of one camera."""

    def __init__(self, max_age_s: float, future_tolerance_s: float) -> None:
        """Begin to count.

        Args:
            max_age_s: A picture that arrives older than this is late [s].
            future_tolerance_s: A stamp may be ahead of its arrival by so much [s].
        """
        self._max_age_s, self._future_tolerance_s = max_age_s, future_tolerance_s
        self._counts = dict.fromkeys(CameraCounts.__dataclass_fields__, 0)
        self._last: CameraFrame | None = None
        self._last_thumbnail = b""
        self._backward_in_a_row = 0
        self._equal_in_a_row = 0

    @property
    def counts(self) -> CameraCounts:
        """What happened so far."""
        return CameraCounts(**self._counts)

    def silent_for_s(self, now_s: float) -> float:
        """Return the time since the last picture that was published [s], infinity before it."""
        return float("inf") if self._last is None else now_s - self._last.received_at_s

    def judge(self, frame: CameraFrame) -> Verdict:
        """Count a picture and say whether it may be used."""
        self._counts["received"] += 1
        age_s = frame.received_at_s - frame.captured_at_s
        if age_s < -self._future_tolerance_s:
            self._counts["future"] += 1
            return Verdict.DROP_FUTURE
        if self._is_backward(frame):
            self._counts["backward"] += 1
            return Verdict.DROP_BACKWARD
        if self._last is not None:
            self._counts["lost"] += max(0, frame.sequence - self._last.sequence - 1)
        self._counts["late"] += age_s > self._max_age_s
        self._counts["frozen"] += self._is_frozen(frame)
        self._last = frame
        return Verdict.PUBLISH

    def _is_backward(self, frame: CameraFrame) -> bool:
        if self._last is None or frame.captured_at_s > self._last.captured_at_s:
            self._backward_in_a_row = 0
            return False
        self._backward_in_a_row += 1
        if self._backward_in_a_row < _BACKWARD_BEFORE_RESYNC:
            return True
        self._backward_in_a_row = 0  # The clock was set back: start anew from this picture.
        return False

    def _is_frozen(self, frame: CameraFrame) -> bool:
        rows = np.linspace(0, frame.image.shape[0] - 1, _THUMBNAIL).astype(int)
        columns = np.linspace(0, frame.image.shape[1] - 1, _THUMBNAIL).astype(int)
        thumbnail = frame.image[np.ix_(rows, columns)].tobytes()
        self._equal_in_a_row = self._equal_in_a_row + 1 if thumbnail == self._last_thumbnail else 0
        self._last_thumbnail = thumbnail
        return self._equal_in_a_row >= _EQUAL_BEFORE_FROZEN - 1
