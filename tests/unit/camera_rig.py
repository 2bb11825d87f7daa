"""RealSense cameras without hardware: the SDK's software device behind the driver's own seams."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyrealsense2 as rs
from numpy.typing import NDArray

from mail_cameras.config import CameraConfig, CameraKind, DepthKind
from mail_cameras.realsense_options_driver import apply_options
from mail_policy.core.devices import CameraError

GLOBAL_TIME = rs.timestamp_domain.global_time
WIDTH, HEIGHT = 64, 48
SERIAL = "000000000001"
FOCAL_X_PX, FOCAL_Y_PX = 61.0, 62.0
# Of a D435's colour sensor: exposure in steps of 100 us, gain, white balance in K.
COLOR_OPTIONS = {
    rs.option.enable_auto_exposure: (0.0, 1.0, 1.0, 1.0),
    rs.option.exposure: (1.0, 10000.0, 1.0, 166.0),
    rs.option.gain: (0.0, 128.0, 1.0, 64.0),
    rs.option.enable_auto_white_balance: (0.0, 1.0, 1.0, 1.0),
    rs.option.white_balance: (2800.0, 6500.0, 10.0, 4600.0),
}
DEPTH_OPTIONS = {rs.option.inter_cam_sync_mode: (0.0, 3.0, 1.0, 0.0)}


def camera_config(**changes: object) -> CameraConfig:
    """Return the configuration of a small RealSense camera."""
    values = {
        "name": "wrist",
        "driver": CameraKind.REALSENSE,
        "serial": SERIAL,
        "image_width": WIDTH,
        "image_height": HEIGHT,
        "rate_hz": 30.0,
        "frame_id": "wrist_color_optical_frame",
    }
    return CameraConfig(**{**values, **changes})


def scene(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """Return a picture that shows something, and something else for each number."""
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    layers = [rows + columns + number, 2 * rows - number + 0 * columns, columns + 0 * rows]
    return (np.stack(layers, axis=-1) % 256).astype(np.uint8)


class SoftwareDevice:
    """A device with a colour sensor and, if wanted, one for depth."""

    def __init__(
        self,
        config: CameraConfig,
        color_options: dict[Any, tuple[float, ...]] = COLOR_OPTIONS,
        depth_options: dict[Any, tuple[float, ...]] = DEPTH_OPTIONS,
        depth_units_m: float = 0.001,
        color_format: Any = rs.format.rgb8,
        queue_size: int = 1,
    ) -> None:
        self.config, self.depth_units_m = config, depth_units_m
        self.device = rs.software_device()
        self.device.register_info(rs.camera_info.serial_number, config.serial or SERIAL)
        self.color = self.device.add_sensor("RGB Camera")
        self.color_profile = self._add_stream(self.color, rs.stream.color, 1, color_format, 3)
        _add_options(self.color, color_options)
        self._queue: Any = rs.frame_queue(queue_size)
        self._sink = self._queue
        if config.depth is not DepthKind.NONE:
            self._add_depth(depth_options)
        # The SDK reads the pixels later than they are pushed.
        self._pixels: deque[NDArray[Any]] = deque(maxlen=100)

    def sensors(self) -> Sequence[Any]:
        return self.device.query_sensors()

    def start(self) -> None:
        for sensor, profile in self._streams():
            sensor.open(profile)
        for sensor, _ in self._streams():
            sensor.start(self._sink)

    def stop(self) -> None:
        for sensor, _ in self._streams():
            sensor.stop()
            sensor.close()

    def wait(self, timeout_s: float) -> Any | None:
        if self._sink is self._queue:
            arrived, frame = self._queue.try_wait_for_frame(int(1000 * timeout_s))
        else:
            arrived, frame = self._sink.try_wait_for_frames(int(1000 * timeout_s))
        return frame if arrived else None

    def push(
        self,
        number: int,
        stamp_s: float,
        domain: Any = GLOBAL_TIME,
        image: NDArray[np.uint8] | None = None,
        depth: NDArray[np.uint16] | None = None,
    ) -> None:
        """Let the device take a picture; depth is in its own units."""
        if self.config.depth is not DepthKind.NONE and depth is not None:
            self._push(self.depth, self.depth_profile, depth, (number, stamp_s, domain))
        if image is None:
            image = scene(number, self.config.image_width, self.config.image_height)
        self._push(self.color, self.color_profile, image, (number, stamp_s, domain))

    def _push(
        self, sensor: Any, profile: Any, pixels: NDArray[Any], facts: tuple[int, float, Any]
    ) -> None:
        number, stamp_s, domain = facts
        self._pixels.append(np.ascontiguousarray(pixels))
        frame = rs.software_video_frame()
        frame.bpp = pixels.nbytes // (pixels.shape[0] * pixels.shape[1])
        frame.pixels, frame.stride = self._pixels[-1], frame.bpp * pixels.shape[1]
        frame.timestamp, frame.domain = 1000.0 * stamp_s, domain
        frame.frame_number, frame.profile = number, profile
        if frame.bpp == 2:
            frame.depth_units = self.depth_units_m
        sensor.on_video_frame(frame)

    def _streams(self) -> list[tuple[Any, Any]]:
        streams = [(self.color, self.color_profile)]
        if self.config.depth is not DepthKind.NONE:
            streams.append((self.depth, self.depth_profile))
        return streams

    def _add_depth(self, options: dict[Any, tuple[float, ...]]) -> None:
        self.depth = self.device.add_sensor("Stereo Module")
        self.depth.add_read_only_option(rs.option.depth_units, self.depth_units_m)
        self.depth_profile = self._add_stream(self.depth, rs.stream.depth, 2, rs.format.z16, 2)
        _add_options(self.depth, options)
        same_place = rs.extrinsics()
        same_place.rotation = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
        same_place.translation = [0.0, 0.0, 0.0]
        self.depth_profile.register_extrinsics_to(self.color_profile, same_place)
        self.device.create_matcher(rs.matchers.dlr_c)
        self._sink = rs.syncer(1)

    def _add_stream(self, sensor: Any, kind: Any, uid: int, pixel_format: Any, size: int) -> Any:
        optics = rs.intrinsics()
        optics.width, optics.height = self.config.image_width, self.config.image_height
        optics.fx, optics.fy = FOCAL_X_PX, FOCAL_Y_PX
        optics.ppx, optics.ppy = 0.5 * (optics.width + 1), 0.5 * (optics.height + 1)
        optics.model = rs.distortion.brown_conrady
        optics.coeffs = [0.0] * 5 if kind == rs.stream.depth else [0.1, 0.2, 0.3, 0.4, 0.5]
        stream = rs.video_stream()
        stream.type, stream.index, stream.uid = kind, 0, uid
        stream.fmt, stream.bpp, stream.fps = pixel_format, size, int(self.config.rate_hz)
        stream.width, stream.height = optics.width, optics.height
        stream.intrinsics = optics
        return sensor.add_video_stream(stream, True).as_video_stream_profile()


def _add_options(sensor: Any, options: dict[Any, tuple[float, ...]]) -> None:
    for option, (least, most, step, default) in options.items():
        limits = rs.option_range()
        limits.min, limits.max, limits.step, limits.default = least, most, step, default
        sensor.add_option(option, limits, True)


class SoftwareSource:
    """Frames of a software device that can be pulled off the bus and put back."""

    def __init__(
        self, config: CameraConfig, make_device: Callable[[], SoftwareDevice] | None = None
    ) -> None:
        self.config = config
        self._make_device = make_device or (lambda: SoftwareDevice(config))
        self.device = self._make_device()
        self.is_plugged = True
        self.starts = 0

    def start(self) -> Any:
        if not self.is_plugged:
            raise CameraError(f"camera {self.config.name!r}: no RealSense with that serial")
        if self.starts:
            # Whoever comes back to the bus is a new device to the SDK.
            self.device = self._make_device()
        apply_options(self.config, self.device.sensors())
        self.device.start()
        self.starts += 1
        return self.device.color_profile

    def stop(self) -> None:
        self.device.stop()

    def wait(self, timeout_s: float) -> Any | None:
        return self.device.wait(timeout_s)

    def is_connected(self) -> bool:
        return self.is_plugged


class RunningDevice:
    """Pushes pictures of a source at its rate in a thread, while it is plugged in."""

    def __init__(self, source: SoftwareSource, now: Callable[[], float] = time.time) -> None:
        self.source, self._now = source, now
        # What the next pictures show; None for the scene of their number.
        self.image: NDArray[np.uint8] | None = None
        self.depth: NDArray[np.uint16] | None = None
        self.skip = 0
        self.number = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "RunningDevice":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        device = self.source.device
        while not self._stop.wait(1.0 / self.source.config.rate_hz):
            if device is not self.source.device:
                device, self.number = self.source.device, 0
            if not self.source.is_plugged or not self.source.starts:
                continue
            skipped, self.skip = self.skip, 0
            self.number += 1 + skipped
            device.push(self.number, self._now(), image=self.image, depth=self.depth)


def record(config: CameraConfig, file: Path, pictures: int, first_stamp_s: float) -> None:
    """Write a recording of a software device, as the SDK's own recorder does."""
    device = SoftwareDevice(config)
    recorder = rs.recorder(str(file), device.device)
    queue = rs.frame_queue(10)
    sensors = recorder.query_sensors()
    for sensor in sensors:
        sensor.open(sensor.get_stream_profiles())
        sensor.start(queue)
    shape = (config.image_height, config.image_width)
    for number in range(1, pictures + 1):
        depth = np.full(shape, 1000 + number, np.uint16)
        device.push(number, first_stamp_s + number / config.rate_hz, depth=depth)
        # The recorder writes in its own thread and drops what it cannot keep up with.
        time.sleep(0.002)
    for sensor in sensors:
        sensor.stop()
        sensor.close()
    # The recorder writes pixels that it does not own, until its last reference goes and closes
    # the file: the device has to outlive it.
    del recorder, queue, sensors, sensor
