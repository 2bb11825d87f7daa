"""Streams of a RealSense device on the USB bus, chosen by its serial number."""

import logging
from collections.abc import Callable
from typing import Any

import pyrealsense2 as rs

from mail_cameras.config import CameraConfig, DepthKind
from mail_cameras.realsense_context_driver import sdk_context
from mail_cameras.realsense_options_driver import apply_options
from mail_policy.core.devices import CameraError

logger = logging.getLogger(__name__)


class LivePipeline:
    """The streams of one device."""

    def __init__(
        self, config: CameraConfig, wait_turn: Callable[[], None], context: Any | None = None
    ) -> None:
        """Describe the device.

        Args:
            config: Serial, streams and options.
            wait_turn: Returns when this device may start.
            context: The SDK's view of the bus; the one of this process if not given.
        """
        self._config, self._wait_turn = config, wait_turn
        self._context = context or sdk_context()

    def start(self) -> Any:
        """Set the options and start the streams. Raises CameraError if the device refuses."""
        device = self._require_device()
        self._wait_turn()
        apply_options(self._config, device.query_sensors())
        # One place: a reader that is late gets the newest picture, never a backlog.
        self._queue = rs.frame_queue(1)
        self._pipeline = rs.pipeline(self._context)
        config = self._config
        try:
            profile = self._pipeline.start(self._stream_settings(), self._queue)
        except RuntimeError as error:
            raise CameraError(
                f"camera {config.name!r} refuses {config.image_width}x{config.image_height} rgb8 "
                f"(depth: {config.depth.value}) at {config.rate_hz:.0f} Hz ({error}); see "
                f"`rs-enumerate-devices` for what it offers, and check for USB 3"
            ) from error
        return profile.get_stream(rs.stream.color).as_video_stream_profile()

    def stop(self) -> None:
        """Stop the streams. Harmless when the device has gone."""
        try:
            self._pipeline.stop()
        except RuntimeError as error:
            logger.info("camera %r was not stopped in order: %s", self._config.name, error)

    def wait(self, timeout_s: float) -> Any | None:
        """Wait for the newest set of frames; None if none came in time."""
        arrived, frame = self._queue.try_wait_for_frame(int(1000 * timeout_s))
        return frame if arrived else None

    def is_connected(self) -> bool:
        """True while the device is on the bus."""
        return self._config.serial in self._serials()

    def _require_device(self) -> Any:
        for device in self._context.query_devices():
            if device.get_info(rs.camera_info.serial_number) == self._config.serial:
                return device
        raise CameraError(
            f"camera {self._config.name!r}: no RealSense with serial {self._config.serial!r}; "
            f"serials found: {', '.join(self._serials()) or 'none'}. Plug it into a USB 3 port, "
            f"or correct the serial in the camera file"
        )

    def _serials(self) -> tuple[str, ...]:
        devices = self._context.query_devices()
        return tuple(device.get_info(rs.camera_info.serial_number) for device in devices)

    def _stream_settings(self) -> Any:
        config = self._config
        size, rate_hz = (config.image_width, config.image_height), int(config.rate_hz)
        settings = rs.config()
        settings.enable_device(config.serial)
        settings.enable_stream(rs.stream.color, *size, rs.format.rgb8, rate_hz)
        if config.depth is DepthKind.ALIGNED:
            # The SDK aligns any depth to the colour; this size is the one of most models.
            settings.enable_stream(rs.stream.depth, *size, rs.format.z16, rate_hz)
        return settings
