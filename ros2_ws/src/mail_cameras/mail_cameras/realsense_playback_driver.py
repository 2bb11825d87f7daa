"""Plays the recording of a RealSense camera (.db3) again and again, at its own pace."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyrealsense2 as rs

from mail_cameras.config import CameraConfig
from mail_cameras.realsense_context_driver import sdk_context
from mail_policy.core.devices import CameraError

_PULL_MS = 100
# A recording that yields no frame for so many pulls is at its end, or broken.
_PULLS = 50


class PlaybackSource:
    """Frames of a recording; also their clock, which lets it begin now.

    Frames are pulled when they are due on the clock that is given, not when a thread of the SDK
    plays them: a recording gives the same pictures in every run. Only with depth, the SDK may
    leave out the first two or three, until it has paired the streams.
    """

    def __init__(
        self, config: CameraConfig, now: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        """Describe the recording.

        Args:
            config: Name, file and rate.
            now: Clock of the observations [s].
            sleep: Waits so many seconds of that clock.
        """
        self._config, self._now, self._sleep = config, now, sleep
        self._next: Any | None = None
        self._pipeline: Any = None
        self._playback: Any = None
        self._offset_s = self._shown_offset_s = 0.0

    def start(self) -> Any:
        """Open the recording; its first frame is due now. Raises CameraError if it cannot."""
        profile = self._open()
        self._next = self._pull(is_first=True)
        if self._next is None:
            raise CameraError(f"{self._text()} holds no frames; record it again")
        self._offset_s = self._now() - _stamp_s(self._next)
        return profile

    def stop(self) -> None:
        """Close the recording."""
        self._close()

    def wait(self, timeout_s: float) -> Any | None:
        """Return the newest frame that is due; wait for it, but not longer than asked."""
        until_due_s = self._due_s() - self._now()
        if until_due_s > 0.0:
            self._sleep(min(until_due_s, timeout_s))
        newest = None
        # The nudge keeps whole multiples exact: sums of floats end a little early or late.
        while self._due_s() <= self._now() + 1e-6:
            newest, self._shown_offset_s = self._next, self._offset_s
            self._next = self._pull() or self._begin_again()
        return newest

    def is_connected(self) -> bool:
        """A file is always there."""
        return True

    def captured_at_s(
        self, stamp_s: float, received_at_s: float, *, is_comparable: bool
    ) -> float | None:
        """Return when the frame that `wait` returned last is played as captured [s]."""
        return stamp_s + self._shown_offset_s

    def _open(self) -> Any:
        if not Path(self._config.file).is_file():
            raise CameraError(f"{self._text()} does not exist; correct it in the camera file")
        settings = rs.config()
        self._pipeline = rs.pipeline(sdk_context())
        try:
            settings.enable_device_from_file(self._config.file, repeat_playback=False)
            device = settings.resolve(rs.pipeline_wrapper(self._pipeline)).get_device()
            self._playback = device.as_playback()
            # Before the start: the SDK would play, and drop, the first frames in real time.
            self._playback.set_real_time(False)
            profile = self._pipeline.start(settings)
            color = profile.get_stream(rs.stream.color).as_video_stream_profile()
        except RuntimeError as error:
            raise CameraError(f"{self._text()} cannot be played: {error}") from error
        return color

    def _close(self) -> None:
        self._pipeline.stop()
        # Waits for the SDK's reading thread: a recording that goes while that thread still works
        # ends the process (SDK 2.59, `~playback_device`).
        self._playback.seek(timedelta(0))
        # As long as anybody holds a part of it, the SDK hands out this very recording again, at
        # the place where it stands.
        self._next = self._pipeline = self._playback = None

    def _pull(self, *, is_first: bool = False) -> Any | None:
        """Return the next frames; None at the end of the recording."""
        for _ in range(_PULLS):
            arrived, frames = self._pipeline.try_wait_for_frames(_PULL_MS)
            if arrived and frames.get_color_frame():
                return frames
            # Before the first frame, the SDK calls a recording stopped that has not yet begun.
            has_stopped = self._playback.current_status() == rs.playback_status.stopped
            if not arrived and has_stopped and not is_first:
                return None
        return None

    def _begin_again(self) -> Any:
        due_s = self._due_s() + 1.0 / self._config.rate_hz
        self._close()
        self._open()
        first = self._pull(is_first=True)
        if first is None:
            raise CameraError(f"{self._text()} cannot be played a second time")
        self._offset_s = due_s - _stamp_s(first)
        return first

    def _due_s(self) -> float:
        return _stamp_s(self._next) + self._offset_s

    def _text(self) -> str:
        return f"camera {self._config.name!r}: the recording {self._config.file}"


def _stamp_s(frames: Any) -> float:
    return 1e-3 * float(frames.get_color_frame().get_timestamp())
