"""Reads the colour stream of one Intel RealSense camera, chosen by its serial number."""

import time
from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np
import pyrealsense2 as rs

from mail_cameras.config import CameraConfig, CameraIntrinsics
from mail_policy.core.devices import CameraError
from mail_policy.core.types import CameraFrame

# A stream that is silent for so long is checked for an unplugged device [s].
_SILENCE_S = 1.0
# The clock of these domains is the computer's; the camera's own clock counts from its start.
_COMPARABLE_DOMAINS = (rs.timestamp_domain.global_time, rs.timestamp_domain.system_time)


class FrameSource(Protocol):
    """Where the SDK's frames come from: a live pipeline, or a software device in tests."""

    def start(self, queue: Any) -> Any:
        """Begin to deliver frames into a queue; return the profile of the colour stream."""
        ...

    def stop(self) -> None:
        """Stop to deliver."""
        ...

    def is_connected(self) -> bool:
        """True while the device answers."""
        ...


class LivePipeline:
    """The colour stream of a device on the USB bus."""

    def __init__(self, config: CameraConfig) -> None:
        self._config = config
        self._pipeline = rs.pipeline()

    def start(self, queue: Any) -> Any:
        """Start the stream. Raises CameraError if the device is missing or refuses."""
        found = connected_serials()
        if self._config.serial not in found:
            raise CameraError(
                f"camera {self._config.name!r}: no RealSense with serial {self._config.serial!r}; "
                f"serials found: {', '.join(found) or 'none'}. Plug it into a USB 3 port, or "
                f"correct the serial in the camera file"
            )
        try:
            profile = self._pipeline.start(self._stream_settings(), queue)
        except RuntimeError as error:
            raise CameraError(
                f"camera {self._config.name!r} refuses {self._config.image_width}x"
                f"{self._config.image_height} rgb8 at {self._config.rate_hz:.0f} Hz ({error}); "
                f"see `rs-enumerate-devices` for what it offers, and check for USB 3"
            ) from error
        for sensor in profile.get_device().query_sensors():
            if sensor.supports(rs.option.global_time_enabled):
                sensor.set_option(rs.option.global_time_enabled, 1.0)
        return profile.get_stream(rs.stream.color).as_video_stream_profile()

    def stop(self) -> None:
        """Stop the stream."""
        self._pipeline.stop()

    def is_connected(self) -> bool:
        """True while the device is on the bus."""
        return self._config.serial in connected_serials()

    def _stream_settings(self) -> Any:
        settings = rs.config()
        settings.enable_device(self._config.serial)
        settings.enable_stream(
            rs.stream.color,
            self._config.image_width,
            self._config.image_height,
            rs.format.rgb8,
            int(self._config.rate_hz),
        )
        return settings


class RealSenseCamera:
    """One RealSense colour camera."""

    def __init__(
        self, config: CameraConfig, now: Callable[[], float], source: FrameSource | None = None
    ) -> None:
        """Describe the camera.

        Args:
            config: Serial, size and rate.
            now: Clock of the observations [s]; the computer's time of day, as ROS has it.
            source: Where frames come from; the device with the serial if not given.
        """
        self._config, self._now = config, now
        self._source: FrameSource = source or LivePipeline(config)
        self._last_sequence = -1

    def __enter__(self) -> Self:
        # One place: a reader that is late gets the newest picture, never a backlog.
        self._queue = rs.frame_queue(1)
        self._optics = self._source.start(self._queue).get_intrinsics()
        self._heard_at_s = time.monotonic()
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
        arrived, frame = self._queue.try_wait_for_frame(int(1000 * timeout_s))
        if not arrived:
            self._require_connection()
            return None
        self._heard_at_s = time.monotonic()
        color = frame.as_frameset().get_color_frame() if frame.is_frameset() else frame
        if not color or color.get_frame_number() == self._last_sequence:
            return None
        self._last_sequence = color.get_frame_number()
        return self._to_frame(color)

    def _to_frame(self, color: Any) -> CameraFrame:
        domain = color.get_frame_timestamp_domain()
        if domain not in _COMPARABLE_DOMAINS:
            raise CameraError(
                f"camera {self._config.name!r} stamps with {domain}, which cannot be compared to "
                f"the robot's time; update its firmware so that global time is available"
            )
        image = np.asanyarray(color.get_data())
        expected = (self._config.image_height, self._config.image_width, 3)
        if image.shape != expected or image.dtype != np.uint8:
            raise CameraError(
                f"camera {self._config.name!r} delivers {image.dtype} {image.shape}, expected "
                f"uint8 {expected}; correct the size in the camera file"
            )
        stamp_s = 1e-3 * color.get_timestamp()
        return CameraFrame(image.copy(), stamp_s, self._now(), color.get_frame_number())

    def _require_connection(self) -> None:
        if time.monotonic() - self._heard_at_s < _SILENCE_S:
            return
        self._heard_at_s = time.monotonic()
        if not self._source.is_connected():
            raise CameraError(
                f"camera {self._config.name!r} (serial {self._config.serial}) was unplugged; "
                f"it is opened again as soon as it is back"
            )


def connected_serials() -> tuple[str, ...]:
    """Return the serial numbers of all RealSense devices on the bus."""
    devices = rs.context().query_devices()
    return tuple(device.get_info(rs.camera_info.serial_number) for device in devices)
