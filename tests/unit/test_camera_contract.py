"""What every camera driver must do; a new driver joins by adding a fixture."""

import secrets
import threading
from pathlib import Path

import numpy as np
import pytest

from mail_cameras.config import CameraConfig, CameraKind
from mail_cameras.simulated_camera import SimulatedCamera
from mail_cameras.twin_driver import TwinCamera
from mail_policy.core.devices import CameraError
from mail_policy.core.frame_ring import FrameRingLayout, FrameRingWriter
from mail_policy.core.frame_share import FrameOffer, SharedCamera

PERIOD_S = 0.05
NAME = "wrist"
# The SDK keeps times of day in milliseconds as double: a quarter of a microsecond is lost.
ROUNDING_S = 1e-6


def camera_config(driver: CameraKind, width: int = 12, **changes: object) -> CameraConfig:
    values = {
        "name": NAME,
        "driver": driver,
        "image_width": width,
        "image_height": 8,
        "rate_hz": 1.0 / PERIOD_S,
        "frame_id": "wrist_color_optical_frame",
    }
    return CameraConfig(**{**values, **changes})


class FakeClock:
    """A clock that stands still until somebody sleeps on it."""

    def __init__(self) -> None:
        self.time_s = 100.0

    def now(self) -> float:
        return self.time_s

    def sleep(self, duration_s: float) -> None:
        self.time_s += duration_s


class SimulatedBench:
    """A simulated camera and the means to let it take pictures."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        config = camera_config(CameraKind.SIMULATED)
        self.camera = SimulatedCamera(config, self.clock.now, self.clock.sleep)

    def take_pictures(self, count: int) -> None:
        self.clock.sleep(count * PERIOD_S)

    def close(self) -> None:
        """Nothing to close."""


class TwinBench:
    """A twin's camera over a ring that the test fills instead of a renderer."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.layout = FrameRingLayout(image_height=8, image_width=12)
        self.writer = FrameRingWriter(self.layout)
        camera = SharedCamera(layout=self.layout, focal_length_px=10.0, rate_hz=20.0)
        self.run_id = f"test{secrets.token_hex(4)}"
        self.offer = FrameOffer(self.run_id, {NAME: (camera, self.writer)})
        self.offer.__enter__()
        self.camera = self.make_camera()
        self.sequence = 0
        self.take_pictures(1)

    def make_camera(self, width: int = 12) -> TwinCamera:
        config = camera_config(CameraKind.TWIN, width)
        return TwinCamera(config, self.run_id, self.clock.now, start_limit_s=0.0)

    def take_pictures(self, count: int) -> None:
        for _ in range(count):
            self.sequence += 1
            self.clock.sleep(PERIOD_S)
            image = np.full((8, 12, 3), self.sequence, np.uint8)
            self.writer.write(image, self.clock.now(), self.sequence)

    def close(self) -> None:
        self.offer.__exit__(None, None, None)
        self.writer.__exit__(None, None, None)


class RealSenseBench:
    """The RealSense driver over a software device of the SDK."""

    def __init__(self, folder: Path) -> None:
        pytest.importorskip("pyrealsense2")
        from mail_cameras.realsense_driver import RealSenseCamera
        from mail_cameras.stamp_clock import DeviceClock
        from tests.unit.camera_rig import SoftwareSource

        self.clock = FakeClock()
        config = camera_config(CameraKind.REALSENSE, serial="1")
        bench = self

        class StartedSource(SoftwareSource):
            """A live device has taken pictures by the time that somebody reads."""

            def start(self) -> object:
                profile = super().start()
                bench.take_pictures(1)
                return profile

        self.source = StartedSource(config)
        clock = DeviceClock(NAME, None)
        self.camera = RealSenseCamera(config, self.clock.now, self.source, clock)
        self.sequence = 0

    def take_pictures(self, count: int) -> None:
        for _ in range(count):
            self.sequence += 1
            self.clock.sleep(PERIOD_S)
            self.source.device.push(self.sequence, self.clock.now())

    def close(self) -> None:
        """Nothing to close."""


class PlaybackBench:
    """The RealSense driver over a recording that the SDK made of a software device."""

    def __init__(self, folder: Path) -> None:
        pytest.importorskip("pyrealsense2")
        from mail_cameras.realsense_driver import RealSenseCamera
        from mail_cameras.realsense_playback_driver import PlaybackSource
        from tests.unit.camera_rig import record

        self.clock = FakeClock()
        config = camera_config(CameraKind.PLAYBACK, file=str(folder / "run.db3"))
        record(config, Path(config.file), pictures=30, first_stamp_s=1.7e9)
        source = PlaybackSource(config, self.clock.now, self.clock.sleep)
        self.camera = RealSenseCamera(config, self.clock.now, source, source)

    def take_pictures(self, count: int) -> None:
        self.clock.sleep(count * PERIOD_S)

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture(params=[SimulatedBench, TwinBench, RealSenseBench, PlaybackBench])
def bench(request, tmp_path):
    bench = request.param(tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def twin_bench(tmp_path):
    bench = TwinBench(tmp_path)
    yield bench
    bench.close()


def test_a_picture_has_the_size_and_type_of_the_configuration(bench):
    with bench.camera as camera:
        frame = camera.read(timeout_s=1.0)
    assert frame.image.shape == (8, 12, 3)
    assert frame.image.dtype == np.uint8


def test_stamps_and_numbers_grow_and_stamps_are_not_in_the_future(bench):
    frames = []
    with bench.camera as camera:
        for _ in range(5):
            bench.take_pictures(1)
            frames.append(camera.read(timeout_s=1.0))
    stamps = [frame.captured_at_s for frame in frames]
    assert np.diff(stamps) == pytest.approx(PERIOD_S, abs=ROUNDING_S)
    assert np.diff([frame.sequence for frame in frames]).tolist() == [1] * 4
    assert all(frame.captured_at_s <= frame.received_at_s + ROUNDING_S for frame in frames)


def test_a_late_reader_gets_the_newest_picture_and_sees_the_gap(bench):
    with bench.camera as camera:
        first = camera.read(timeout_s=1.0)
        bench.take_pictures(5)
        second = camera.read(timeout_s=1.0)
    assert second.sequence == first.sequence + 5


def test_no_picture_is_returned_twice(bench):
    with bench.camera as camera:
        assert camera.read(timeout_s=0.0) is not None or camera.read(timeout_s=1.0) is not None
        assert camera.read(timeout_s=0.0) is None


def test_a_picture_stays_as_it_was_read(bench):
    with bench.camera as camera:
        frame = camera.read(timeout_s=1.0)
        before = frame.image.copy()
        bench.take_pictures(20)
        camera.read(timeout_s=1.0)
    np.testing.assert_array_equal(frame.image, before)


def test_an_open_camera_knows_its_optics(bench):
    with bench.camera as camera:
        intrinsics = camera.intrinsics
    assert intrinsics.focal_x_px > 0.0
    # Half a pixel may lie between the middle of the picture and the optical axis.
    centre = (intrinsics.centre_x_px, intrinsics.centre_y_px)
    assert centre == pytest.approx((6.0, 4.0), abs=0.5)


def test_a_twin_that_renders_another_size_is_refused(twin_bench):
    with pytest.raises(CameraError, match="expected 640x8 pixels, the twin renders 12x8"):
        twin_bench.make_camera(width=640).__enter__()


def test_a_twin_that_ends_is_reported(tmp_path):
    bench = TwinBench(tmp_path)
    camera = bench.camera.__enter__()
    camera.read(timeout_s=1.0)
    bench.close()
    with pytest.raises(CameraError, match="the twin has ended"):
        camera.read(timeout_s=1.0)
    camera.__exit__(None, None, None)


def test_a_missing_twin_is_refused_with_the_remedy():
    config = camera_config(CameraKind.TWIN)
    camera = TwinCamera(config, "nobody", FakeClock().now, start_limit_s=0.0)
    with pytest.raises(CameraError, match="start the twin with the same run_id"):
        camera.__enter__()


def test_a_reader_that_waits_gets_the_picture_when_it_comes(twin_bench):
    with twin_bench.camera as camera:
        camera.read(timeout_s=1.0)
        timer = threading.Timer(0.01, twin_bench.take_pictures, [1])
        timer.start()
        assert camera.read(timeout_s=2.0).sequence == 2
        timer.join()
