"""Judges the stream of one camera, picture by picture, and counts what is wrong with it.

Pure: every picture carries its own times. The rules are F2 to F6 and F8 of the fault table.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from mail_cameras.config import CameraConfig, DepthKind
from mail_cameras.picture_check import glance_at
from mail_policy.core.types import CameraFrame

# So many stamps in a row that do not grow mean that the camera's clock was set back.
_BACKWARD_BEFORE_RESYNC = 3
# So many equal, or so many black pictures in a row are missing ones.
_ALIKE_BEFORE_MISSING = 5
# The policy refuses far younger pictures; such an age is no delay but a wrong clock [s].
_STALE_S = 1.0
_SLOW_SHARE = 0.8
_RATE_WINDOW_S = 1.0


class Verdict(StrEnum):
    """What a picture is worth. Only usable ones are published."""

    USABLE = "is usable"
    WRONG_SIZE = "does not have the configured size and 8 bits per colour"
    FUTURE = "is stamped in the future"
    STALE = "is stamped more than 1 s ago: the clocks of camera and computer disagree"
    BACKWARD = "is not stamped later than the one before"
    FROZEN = "equals the ones before: the camera is frozen"
    BLIND = "is black, saturated or featureless"

    @property
    def reopening_may_help(self) -> bool:
        """A fresh start mends a device's clock, settings and frozen sensor, but no lens cap."""
        return self not in (Verdict.USABLE, Verdict.BLIND)


@dataclass(frozen=True, slots=True)
class CameraCounts:
    """What happened to the pictures of a camera since it was started.

    Attributes:
        received: Pictures that reached this process.
        published: Pictures that were usable.
        lost: Numbers that the camera counted and nobody saw.
        late: Published, but older than the limit on arrival.
        without_depth: Published, but without the depth that should go with it.
        frozen: Equal to several before.
        blind: Black, saturated or featureless, like several before.
        backward: Dropped, because the stamp did not grow.
        future: Dropped, because the stamp was ahead of the clock.
        stale: Dropped, because the stamp was far behind the clock.
        wrong_size: Dropped, because size or type were not the configured ones.
        resyncs: How often stamps were followed backwards.
        counter_resets: How often the camera began to count anew while it ran.
        reopened: How often the camera was opened again.
    """

    received: int = 0
    published: int = 0
    lost: int = 0
    late: int = 0
    without_depth: int = 0
    frozen: int = 0
    blind: int = 0
    backward: int = 0
    future: int = 0
    stale: int = 0
    wrong_size: int = 0
    resyncs: int = 0
    counter_resets: int = 0
    reopened: int = 0


class CameraHealth:
    """Counts and judges the pictures of one camera."""

    def __init__(self, config: CameraConfig) -> None:
        self._config = config
        self._shape = (config.image_height, config.image_width, 3)
        self._counts = dict.fromkeys(CameraCounts.__dataclass_fields__, 0)
        self._arrivals_s: deque[float] = deque(maxlen=1 + _pictures_per_window(config.rate_hz))
        self._last_stamp_s = -float("inf")
        self._last_sequence: int | None = None
        self._last_points = b""
        self._backward_in_a_row = self._equal_in_a_row = self._blind_in_a_row = 0

    @property
    def counts(self) -> CameraCounts:
        """What happened so far."""
        return CameraCounts(**self._counts)

    @property
    def rate_hz(self) -> float:
        """Rate of the last usable pictures, about one second of them; 0 before that."""
        # A copy: the camera's thread may add and clear while another one asks.
        arrivals_s = list(self._arrivals_s)
        if len(arrivals_s) < (self._arrivals_s.maxlen or 0):
            return 0.0
        span_s = arrivals_s[-1] - arrivals_s[0]
        return (len(arrivals_s) - 1) / span_s if span_s > 0.0 else 0.0

    @property
    def is_slow(self) -> bool:
        """The camera delivers, but fewer pictures than it should."""
        return 0.0 < self.rate_hz < _SLOW_SHARE * self._config.rate_hz

    def note_reopening(self) -> None:
        """The device was opened again: it counts anew, and its clock may be another one.

        What it showed last is kept: a picture that is still the same is still frozen.
        """
        self._counts["reopened"] += 1
        self._last_sequence = None
        self._forget_times()

    def judge(self, frame: CameraFrame) -> Verdict:
        """Count a picture and say whether it may be used."""
        self._counts["received"] += 1
        counter_stands = self._follow_counter(frame)
        verdict = self._judge_form_and_stamp(frame)
        if verdict is Verdict.USABLE:
            verdict = self._judge_content(frame, counter_stands)
        if verdict is Verdict.USABLE:
            self._count_usable(frame)
        return verdict

    def _forget_times(self) -> None:
        self._last_stamp_s = -float("inf")
        self._backward_in_a_row = 0
        self._arrivals_s.clear()

    def _judge_form_and_stamp(self, frame: CameraFrame) -> Verdict:
        if frame.image.shape != self._shape or frame.image.dtype != np.uint8:
            return self._drop(Verdict.WRONG_SIZE, "wrong_size")
        age_s = frame.received_at_s - frame.captured_at_s
        # Written so that a stamp that is no number fails as well.
        if not age_s >= -self._config.future_tolerance_s:
            return self._drop(Verdict.FUTURE, "future")
        if age_s > _STALE_S:
            return self._drop(Verdict.STALE, "stale")
        if self._is_backward(frame):
            return self._drop(Verdict.BACKWARD, "backward")
        self._last_stamp_s = frame.captured_at_s
        return Verdict.USABLE

    def _count_usable(self, frame: CameraFrame) -> None:
        age_s = frame.received_at_s - frame.captured_at_s
        wants_depth = self._config.depth is not DepthKind.NONE
        self._counts["published"] += 1
        self._counts["late"] += age_s > self._config.max_age_s
        self._counts["without_depth"] += wants_depth and frame.depth_mm is None
        self._arrivals_s.append(frame.received_at_s)

    def _drop(self, verdict: Verdict, count: str) -> Verdict:
        self._counts[count] += 1
        return verdict

    def _is_backward(self, frame: CameraFrame) -> bool:
        if frame.captured_at_s > self._last_stamp_s:
            self._backward_in_a_row = 0
            return False
        self._backward_in_a_row += 1
        if self._backward_in_a_row < _BACKWARD_BEFORE_RESYNC:
            return True
        # The clock was set back: start anew from this picture.
        self._counts["resyncs"] += 1
        self._forget_times()
        self._last_sequence = frame.sequence
        return False

    def _judge_content(self, frame: CameraFrame, counter_stands: bool) -> Verdict:
        glance = glance_at(frame.image)
        is_equal = counter_stands or glance.points == self._last_points
        self._last_points = glance.points
        self._equal_in_a_row = self._equal_in_a_row + 1 if is_equal else 1
        self._blind_in_a_row = self._blind_in_a_row + 1 if glance.flaw else 0
        is_frozen = self._equal_in_a_row >= _ALIKE_BEFORE_MISSING
        is_blind = self._blind_in_a_row >= _ALIKE_BEFORE_MISSING
        self._counts["frozen"] += is_frozen
        self._counts["blind"] += is_blind
        if is_blind and self._config.detect_black:
            return Verdict.BLIND
        if is_frozen and self._config.drops_frozen:
            return Verdict.FROZEN
        return Verdict.USABLE

    def _follow_counter(self, frame: CameraFrame) -> bool:
        """Count the numbers that were skipped; True if the counter stands still."""
        last = self._last_sequence
        if last is None or frame.sequence >= last:
            self._counts["lost"] += 0 if last is None else max(0, frame.sequence - last - 1)
            self._last_sequence = frame.sequence
            return frame.sequence == last
        # A smaller number on an older picture is a straggler, on a newer one a fresh count.
        if frame.captured_at_s > self._last_stamp_s:
            self._counts["counter_resets"] += 1
            self._last_sequence = frame.sequence
        return False


def _pictures_per_window(rate_hz: float) -> int:
    return max(2, round(rate_hz * _RATE_WINDOW_S))
