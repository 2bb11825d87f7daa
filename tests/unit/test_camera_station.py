"""Reading in a thread, and opening again after a loss."""

import queue
import threading
from dataclasses import replace

import numpy as np
import pytest

from mail_cameras import worker
from mail_cameras.config import CameraConfig, CameraIntrinsics, CameraKind
from mail_cameras.station import CameraStation
from mail_policy.core.devices import CameraError
from mail_policy.core.types import CameraFrame

LIMIT_S = 5.0
OPTICS = CameraIntrinsics(focal_x_px=1.0, focal_y_px=1.0, centre_x_px=2.0, centre_y_px=2.0)
CONFIG = CameraConfig(
    name="wrist",
    driver=CameraKind.SIMULATED,
    image_width=4,
    image_height=4,
    rate_hz=20.0,
    frame_id="wrist_color_optical_frame",
)


class ScriptedCamera:
    """Returns what a test puts into its script; an exception is raised."""

    intrinsics = OPTICS

    def __init__(self, script: "queue.Queue[CameraFrame | CameraError]") -> None:
        self._script = script
        self.has_forgotten = threading.Event()
        self.is_open = False

    def __enter__(self):
        self.is_open = True
        return self

    def __exit__(self, *error: object) -> None:
        self.is_open = False

    def read(self, timeout_s: float) -> CameraFrame | None:
        try:
            item = self._script.get(timeout=timeout_s or None, block=timeout_s > 0.0)
        except queue.Empty:
            return None
        finally:
            self.has_forgotten.set()
        if isinstance(item, CameraError):
            raise item
        return item


class Bench:
    """A station whose cameras follow a script."""

    def __init__(self) -> None:
        self.script: queue.Queue = queue.Queue()
        self.frames: queue.Queue = queue.Queue()
        self.problems: queue.Queue = queue.Queue()
        self.cameras: list[ScriptedCamera] = []
        self.station = CameraStation(CONFIG, self.make_camera, self.frames.put, self.problems.put)

    def make_camera(self) -> ScriptedCamera:
        self.cameras.append(ScriptedCamera(self.script))
        return self.cameras[-1]

    def start(self) -> None:
        """Open and start, and wait until pictures from before the start are forgotten."""
        self.station.open()
        self.station.start()
        assert self.cameras[-1].has_forgotten.wait(LIMIT_S)


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(worker, "_RETRY_S", 0.0)
    bench = Bench()
    yield bench
    bench.station.close()


def frame(sequence: int, stamp_s: float) -> CameraFrame:
    image = np.full((4, 4, 3), sequence, np.uint8)
    return CameraFrame(image, stamp_s, stamp_s + 0.01, sequence)


def test_pictures_from_before_the_start_are_forgotten(bench):
    bench.station.open()
    bench.script.put(frame(1, 1.0))
    bench.station.start()
    assert bench.cameras[0].has_forgotten.wait(LIMIT_S)
    bench.script.put(frame(2, 1.05))
    assert bench.frames.get(timeout=LIMIT_S).sequence == 2


def test_a_lost_camera_is_reported_closed_and_opened_again(bench):
    bench.start()
    bench.script.put(CameraError("unplugged"))
    assert bench.problems.get(timeout=LIMIT_S) == "unplugged"
    bench.script.put(frame(1, 1.0))
    assert bench.frames.get(timeout=LIMIT_S).sequence == 1
    assert [camera.is_open for camera in bench.cameras] == [False, True]
    assert bench.station.problem == ""


def test_a_picture_that_must_not_be_used_is_counted_and_reported(bench):
    bench.start()
    for picture in (frame(1, 1.0), frame(2, 0.5), frame(3, 1.1)):
        bench.script.put(picture)
    usable = [bench.frames.get(timeout=LIMIT_S).sequence for _ in range(2)]
    assert usable == [1, 3]
    assert "not newer" in bench.problems.get(timeout=LIMIT_S)
    assert bench.station.counts.backward == 1


def test_a_camera_that_is_missing_at_the_start_is_refused():
    def refuse() -> ScriptedCamera:
        raise CameraError("no RealSense with serial '1'; serials found: none")

    station = CameraStation(CONFIG, refuse, print, print)
    with pytest.raises(CameraError, match="serials found: none"):
        station.open()


def test_stopping_ends_the_delivery_and_closing_closes_the_camera(bench):
    bench.station.open()
    bench.station.start()
    bench.station.stop()
    bench.script.put(frame(1, 1.0))
    assert bench.frames.empty()
    assert bench.cameras[0].is_open
    bench.station.close()
    assert not bench.cameras[0].is_open


def test_a_calibration_wins_over_the_optics_of_the_device():
    calibrated = replace(OPTICS, focal_x_px=7.0)
    station = CameraStation(
        replace(CONFIG, intrinsics=calibrated), lambda: ScriptedCamera(queue.Queue()), print, print
    )
    assert station.open() == calibrated
    station.close()
