"""The RealSense driver against the real SDK, fed by its software device."""

import numpy as np
import pytest

from mail_cameras.config import CameraConfig, CameraKind
from mail_policy.core.devices import CameraError

rs = pytest.importorskip("pyrealsense2")
from mail_cameras.realsense_driver import RealSenseCamera  # noqa: E402

WIDTH, HEIGHT = 64, 48


def camera_config(**changes: object) -> CameraConfig:
    values = {
        "name": "wrist",
        "driver": CameraKind.REALSENSE,
        "serial": "000000000001",
        "image_width": WIDTH,
        "image_height": HEIGHT,
        "rate_hz": 30.0,
        "frame_id": "wrist_color_optical_frame",
    }
    return CameraConfig(**{**values, **changes})


class SoftwareSource:
    """A software device: the SDK's own frames, queues and profiles, without hardware."""

    def __init__(self) -> None:
        self.device = rs.software_device()
        self.sensor = self.device.add_sensor("RGB Camera")
        optics = rs.intrinsics()
        optics.width, optics.height = WIDTH, HEIGHT
        optics.fx, optics.fy, optics.ppx, optics.ppy = 61.0, 62.0, 32.5, 24.5
        optics.model = rs.distortion.brown_conrady
        optics.coeffs = [0.1, 0.2, 0.3, 0.4, 0.5]
        stream = rs.video_stream()
        stream.type, stream.index, stream.uid = rs.stream.color, 0, 1
        stream.fmt, stream.bpp, stream.fps = rs.format.rgb8, 3, 30
        stream.width, stream.height, stream.intrinsics = WIDTH, HEIGHT, optics
        self.profile = self.sensor.add_video_stream(stream).as_video_stream_profile()
        self.connected = True

    def start(self, queue):
        self.sensor.open(self.profile)
        self.sensor.start(queue)
        return self.profile

    def stop(self) -> None:
        self.sensor.stop()
        self.sensor.close()

    def is_connected(self) -> bool:
        return self.connected

    def push(self, number: int, stamp_s: float, domain=rs.timestamp_domain.global_time) -> None:
        self.pixels = np.full((HEIGHT, WIDTH, 3), number, np.uint8)  # Kept until the next push.
        self.pixels[0, 0] = (255, 0, 0)
        frame = rs.software_video_frame()
        frame.pixels, frame.bpp, frame.stride = self.pixels, 3, 3 * WIDTH
        frame.timestamp, frame.domain = 1000.0 * stamp_s, domain
        frame.frame_number, frame.profile = number, self.profile
        self.sensor.on_video_frame(frame)


@pytest.fixture
def source():
    return SoftwareSource()


@pytest.fixture
def camera(source):
    with RealSenseCamera(camera_config(), now=lambda: 12.5, source=source) as camera:
        yield camera


def test_a_frame_of_the_sdk_becomes_a_picture_with_its_own_stamp(source, camera):
    source.push(7, stamp_s=12.345)
    frame = camera.read(timeout_s=2.0)
    assert frame.sequence == 7
    assert frame.captured_at_s == pytest.approx(12.345)
    assert frame.received_at_s == 12.5
    assert frame.image[1:].tolist() == np.full((HEIGHT - 1, WIDTH, 3), 7).tolist()
    assert frame.image[0, 0].tolist() == [255, 0, 0]


def test_a_late_reader_gets_the_newest_frame(source, camera):
    for number in range(1, 6):
        source.push(number, stamp_s=12.0 + number / 30)
    frame = camera.read(timeout_s=2.0)
    assert frame.sequence == 5
    assert camera.read(timeout_s=0.0) is None


def test_a_picture_does_not_change_when_the_sdk_reuses_its_memory(source, camera):
    source.push(1, stamp_s=12.0)
    frame = camera.read(timeout_s=2.0)
    for number in range(2, 40):
        source.push(number, stamp_s=12.0 + number / 30)
        camera.read(timeout_s=2.0)
    assert (frame.image[1:] == 1).all()


def test_the_factory_calibration_is_known(camera):
    intrinsics = camera.intrinsics
    assert (intrinsics.focal_x_px, intrinsics.focal_y_px) == (61.0, 62.0)
    assert (intrinsics.centre_x_px, intrinsics.centre_y_px) == (32.5, 24.5)
    assert intrinsics.distortion == pytest.approx((0.1, 0.2, 0.3, 0.4, 0.5))


def test_a_stamp_of_the_cameras_own_clock_is_refused(source, camera):
    source.push(1, stamp_s=12.0, domain=rs.timestamp_domain.hardware_clock)
    with pytest.raises(CameraError, match="cannot be compared to the robot's time"):
        camera.read(timeout_s=2.0)


def test_pictures_of_another_size_are_refused(source):
    config = camera_config(image_width=640)
    with RealSenseCamera(config, now=lambda: 0.0, source=source) as camera:
        source.push(1, stamp_s=0.0)
        with pytest.raises(CameraError, match=r"expected uint8 \(48, 640, 3\)"):
            camera.read(timeout_s=2.0)


def test_silence_of_an_unplugged_device_is_reported(source, camera, monkeypatch):
    assert camera.read(timeout_s=0.0) is None
    monkeypatch.setattr("mail_cameras.realsense_driver._SILENCE_S", 0.0)
    assert camera.read(timeout_s=0.0) is None
    source.connected = False
    with pytest.raises(CameraError, match="was unplugged"):
        camera.read(timeout_s=0.0)


def test_a_missing_device_is_refused_with_the_serials_found():
    with pytest.raises(CameraError, match=r"no RealSense with serial .*found: none"):
        RealSenseCamera(camera_config(), now=lambda: 0.0).__enter__()
