"""Turns the frames of Intel's SDK into pictures, wherever the SDK gets them from."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, Self

import numpy as np
import pyrealsense2 as rs
from numpy.typing import NDArray

from mail_cameras.config import CameraConfig, CameraIntrinsics, DepthKind
from mail_cameras.stamp_clock import StampClock
from mail_policy.core.devices import CameraError
from mail_policy.core.types import CameraFrame

# A stream that is silent for so long is checked for an unplugged device [s].
_SILENCE_S = 0.3
# A device that answers but delivers nothing for so long hangs, which only a new start mends [s].
_HANGING_S = 2.0
# The clock of these domains is the computer's; the camera's own clock counts from its start.
_COMPARABLE_DOMAINS = (rs.timestamp_domain.global_time, rs.timestamp_domain.system_time)


class FrameSource(Protocol):
    """Where the SDK's frames come from: a device on the bus, a recording, a software device."""

    def start(self) -> Any:
        """Begin to deliver frames; return the profile of the colour stream."""
        ...

    def stop(self) -> None:
        """Stop to deliver. Harmless when the device has gone."""
        ...

    def wait(self, timeout_s: float) -> Any | None:
        """Wait for the newest frame or set of frames; None if none came in time."""
        ...

    def is_connected(self) -> bool:
        """True while the device answers."""
        ...


class RealSenseCamera:
    """One RealSense camera: colour, and depth by choice."""

    def __init__(
        self,
        config: CameraConfig,
        now: Callable[[], float],
        source: FrameSource,
        clock: StampClock,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describe the camera.

        Args:
            config: The camera.
            now: Clock of the observations [s]; the computer's time of day, as ROS has it.
            source: Where frames come from.
            clock: Says when they were captured.
            steady: A clock that nobody can set [s].
        """
        self._config, self._now, self._steady = config, now, steady
        self._source, self._clock = source, clock
        self._last_key: tuple[int, float] | None = None

    def __enter__(self) -> Self:
        with sdk_errors(self._config.name):
            profile = self._source.start()
            self._optics = profile.get_intrinsics()
        self._align = rs.align(rs.stream.color)
        self._heard_at_s = self._checked_at_s = self._steady()
        return self

    def __exit__(self, *error: object) -> None:
        self._source.stop()

    @property
    def intrinsics(self) -> CameraIntrinsics:
        """The factory calibration of the colour stream."""
        k1, k2, p1, p2, k3 = (float(value) for value in self._optics.coeffs)
        return CameraIntrinsics(
            focal_x_px=float(self._optics.fx),
            focal_y_px=float(self._optics.fy),
            centre_x_px=float(self._optics.ppx),
            centre_y_px=float(self._optics.ppy),
            distortion=(k1, k2, p1, p2, k3),
        )

    def read(self, timeout_s: float) -> CameraFrame | None:
        """Wait for a picture newer than the last one returned; None if none came in time."""
        with sdk_errors(self._config.name):
            frame = self._source.wait(timeout_s)
            received_at_s = self._now()
            if frame is None:
                self._require_life()
                return None
            self._heard_at_s = self._steady()
            frames = frame.as_frameset() if frame.is_frameset() else None
            color = frame if frames is None else frames.get_color_frame()
            if not color:
                return None
            key = (color.get_frame_number(), color.get_timestamp())
            if key == self._last_key:
                return None
            self._last_key = key
            return self._to_frame(color, frames, received_at_s)

    def _to_frame(self, color: Any, frames: Any | None, received_at_s: float) -> CameraFrame | None:
        captured_at_s = self._clock.captured_at_s(
            1e-3 * color.get_timestamp(),
            received_at_s,
            is_comparable=color.get_frame_timestamp_domain() in _COMPARABLE_DOMAINS,
        )
        if captured_at_s is None:
            return None
        if color.get_profile().format() != rs.format.rgb8:
            raise CameraError(
                f"camera {self._config.name!r} delivers {color.get_profile().format()}, expected "
                f"rgb8; it is opened again with that"
            )
        image = np.array(color.get_data())
        depth_mm = None if frames is None else self._depth_mm(frames)
        return CameraFrame(image, captured_at_s, received_at_s, color.get_frame_number(), depth_mm)

    def _depth_mm(self, frames: Any) -> NDArray[np.uint16] | None:
        if self._config.depth is DepthKind.NONE or not frames.get_depth_frame():
            return None
        depth = self._align.process(frames).get_depth_frame()
        millimetres_per_unit = 1000.0 * float(depth.get_units())
        depth_mm: NDArray[np.uint16] = np.array(depth.get_data())
        if abs(millimetres_per_unit - 1.0) > 1e-6:
            scaled = np.rint(depth_mm * millimetres_per_unit)
            depth_mm = scaled.clip(0, np.iinfo(np.uint16).max).astype(np.uint16)
        return depth_mm

    def _require_life(self) -> None:
        now_s = self._steady()
        if now_s - max(self._heard_at_s, self._checked_at_s) < _SILENCE_S:
            return
        self._checked_at_s = now_s
        if not self._source.is_connected():
            raise CameraError(
                f"camera {self._config.name!r} (serial {self._config.serial}) was unplugged; "
                f"it is opened again as soon as it is back"
            )
        if now_s - self._heard_at_s > _HANGING_S:
            raise CameraError(
                f"camera {self._config.name!r} is connected but delivers nothing since "
                f"{now_s - self._heard_at_s:.1f} s; it is opened again. If this recurs, give it a "
                f"USB 3 port of its own"
            )


@contextmanager
def sdk_errors(camera_name: str) -> Iterator[None]:
    """Turn the SDK's exceptions, which it throws when a device vanishes, into ours."""
    try:
        yield
    except CameraError:
        raise
    except RuntimeError as error:
        raise CameraError(f"camera {camera_name!r}: the RealSense SDK says: {error}") from error
