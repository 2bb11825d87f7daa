"""Reading in a thread, judging, and opening again after a loss."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from mail_cameras import station
from mail_cameras.camera_set import CameraSet, require_real_time
from mail_cameras.config import CameraConfig, CameraIntrinsics, CameraKind, CamerasConfig
from mail_cameras.report import Level
from mail_cameras.station import CameraStation
from mail_policy.core.devices import CameraError
from mail_policy.core.types import CameraFrame
from tests.conftest import Measured

LIMIT_S = 5.0
OPTICS = CameraIntrinsics(focal_x_px=100.0, focal_y_px=100.0, centre_x_px=16.0, centre_y_px=16.0)
CONFIG = CameraConfig(
    name="wrist",
    driver=CameraKind.SIMULATED,
    image_width=32,
    image_height=32,
    rate_hz=20.0,
    frame_id="wrist_color_optical_frame",
)
DEVICE = replace(CONFIG, driver=CameraKind.REALSENSE, serial="1")
GENERATOR = np.random.default_rng(0)


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
    """A station over scripted cameras, with clocks that a test moves."""

    def __init__(self, config: CameraConfig) -> None:
        self.script: queue.Queue[CameraFrame | CameraError] = queue.Queue()
        self.frames: queue.Queue[CameraFrame] = queue.Queue()
        self.problems: queue.Queue[str] = queue.Queue()
        self.cameras: list[ScriptedCamera] = []
        self.steady_s, self.offset_s = 10.0, 0.0
        self.station = CameraStation(
            config,
            self._make,
            self.frames.put,
            self.problems.put,
            now=lambda: self.steady_s + self.offset_s,
            steady=lambda: self.steady_s,
        )

    def _make(self) -> ScriptedCamera:
        self.cameras.append(ScriptedCamera(self.script))
        return self.cameras[-1]

    def start(self) -> None:
        """Open and start, and wait until pictures from before the start are forgotten."""
        self.station.open()
        self.station.start()
        assert self.cameras[-1].has_forgotten.wait(LIMIT_S)

    def problem(self) -> str:
        return self.problems.get(timeout=LIMIT_S)


@pytest.fixture
def make_bench(monkeypatch) -> Iterator[Callable[[CameraConfig], Bench]]:
    monkeypatch.setattr(station, "_PACE", replace(station._PACE, first_retry_s=0.0))
    benches: list[Bench] = []

    def make(config: CameraConfig) -> Bench:
        benches.append(Bench(config))
        return benches[-1]

    yield make
    for bench in benches:
        bench.station.close()


@pytest.fixture
def bench(make_bench) -> Bench:
    return make_bench(CONFIG)


def frame(sequence: int, stamp_s: float) -> CameraFrame:
    image = GENERATOR.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return CameraFrame(image, stamp_s, stamp_s + 0.01, sequence)


def test_pictures_from_before_the_start_are_forgotten(bench):
    bench.station.open()
    bench.script.put(frame(1, 1.0))
    bench.station.start()
    assert bench.cameras[0].has_forgotten.wait(LIMIT_S)
    bench.script.put(frame(2, 1.05))
    assert bench.frames.get(timeout=LIMIT_S).sequence == 2


@pytest.mark.fault("F1", bound="opened again as soon as it is back")
def test_a_lost_camera_is_reported_closed_and_opened_again(bench):
    bench.start()
    bench.script.put(frame(7, 1.0))
    bench.script.put(CameraError("unplugged"))
    assert bench.problem() == "unplugged"
    assert bench.station.report().level is Level.ERROR
    bench.script.put(frame(1, 2.0))
    assert [bench.frames.get(timeout=LIMIT_S).sequence for _ in range(2)] == [7, 1]
    assert [camera.is_open for camera in bench.cameras] == [False, True]
    values = bench.station.report().values
    assert (values["reopened"], values["lost"]) == ("1", "0")
    assert bench.station.report().level is Level.OK


def test_a_picture_that_must_not_be_used_is_counted_and_reported(bench):
    bench.start()
    for picture in (frame(1, 1.0), frame(2, 0.5), frame(3, 1.1)):
        bench.script.put(picture)
    usable = [bench.frames.get(timeout=LIMIT_S).sequence for _ in range(2)]
    assert usable == [1, 3]
    assert "dropped a picture, it is not stamped later" in bench.problem()
    report = bench.station.report()
    assert report.level is Level.WARN
    assert report.message.endswith("since the last report: 1 backward")


@pytest.mark.fault("F5", bound="opened again after 2 s")
def test_a_camera_whose_pictures_stay_unusable_is_opened_again(bench):
    bench.start()
    bench.script.put(frame(1, 5000.0))
    assert bench.frames.get(timeout=LIMIT_S)
    turned = replace(frame(2, 5000.1 - 4294.97), received_at_s=5000.1)
    bench.script.put(turned)
    assert "stamped more than 1 s ago" in bench.problem()
    assert len(bench.cameras) == 1
    bench.steady_s += 2.1
    bench.script.put(replace(turned, sequence=3))
    assert "dropped a picture" in bench.problem()
    assert "is opened again: it is stamped more than 1 s ago" in bench.problem()
    bench.script.put(frame(1, 5003.0))
    assert bench.frames.get(timeout=LIMIT_S).sequence == 1
    assert len(bench.cameras) == 2


def test_a_covered_lens_is_no_reason_to_open_a_camera_again(bench):
    bench.start()
    bench.steady_s += 10.0
    for number in range(1, 7):
        black = replace(frame(number, number / 20), image=np.zeros((32, 32, 3), np.uint8))
        bench.script.put(black)
    assert "is black, saturated or featureless" in bench.problem()
    bench.script.put(frame(7, 7 / 20))
    sequences = [bench.frames.get(timeout=LIMIT_S).sequence for _ in range(5)]
    assert sequences == [1, 2, 3, 4, 7]
    assert len(bench.cameras) == 1


@pytest.mark.fault("F10", bound="at the next picture; the camera is opened again")
def test_a_step_of_the_computers_clock_opens_a_device_again(make_bench):
    bench = make_bench(DEVICE)
    bench.start()
    bench.script.put(frame(1, 1.0))
    assert bench.frames.get(timeout=LIMIT_S)
    bench.offset_s = 1.0
    bench.script.put(frame(2, 1.05))
    assert "the clock of this computer was set by +1.000 s" in bench.problem()
    bench.script.put(frame(1, 2.1))
    assert bench.frames.get(timeout=LIMIT_S).captured_at_s == 2.1
    assert len(bench.cameras) == 2


def test_simulated_time_may_jump(bench):
    bench.start()
    for number in range(1, 4):
        bench.offset_s += 1.0
        bench.script.put(frame(number, number / 20))
        assert bench.frames.get(timeout=LIMIT_S).sequence == number
    assert bench.problems.empty()


@pytest.mark.fault("F11", bound="1 s of a clock that cannot stop")
def test_silence_is_measured_on_a_clock_that_cannot_stop(bench):
    bench.start()
    bench.script.put(frame(1, 1.0))
    assert bench.frames.get(timeout=LIMIT_S)
    bench.steady_s += 1.5
    bench.offset_s -= 1.5
    report = bench.station.report()
    assert (report.level, report.message) == (Level.ERROR, "delivers nothing since 1.5 s")


def test_an_error_of_the_program_ends_the_thread_and_is_reported(make_bench, caplog):
    bench = make_bench(CONFIG)
    bench.start()
    bench.script.put("no picture at all")
    assert "the thread of a device failed" in bench.problem()
    assert bench.station.report().level is Level.ERROR


def test_stopping_ends_the_delivery_and_closing_closes_the_camera(bench):
    bench.station.open()
    bench.station.start()
    bench.station.stop()
    bench.script.put(frame(1, 1.0))
    assert bench.frames.empty()
    assert bench.cameras[0].is_open
    bench.station.close()
    assert not bench.cameras[0].is_open


# Optics.


def test_a_calibration_wins_over_the_optics_of_the_device(make_bench):
    calibrated = replace(OPTICS, focal_x_px=102.0)
    bench = make_bench(replace(CONFIG, intrinsics=calibrated))
    bench.station.open()
    assert bench.station.intrinsics == calibrated


@pytest.mark.fault("F7", bound="refused at the start")
@pytest.mark.parametrize("key", ["focal_x_px", "focal_y_px"])
def test_the_calibration_of_another_camera_is_refused_and_the_camera_closed(make_bench, key):
    bench = make_bench(replace(CONFIG, intrinsics=replace(OPTICS, **{key: 110.0})))
    with pytest.raises(CameraError, match=f"'wrist': .*{key} 110.0, the device says 100.0"):
        bench.station.open()
    assert not bench.cameras[0].is_open


# All cameras together.


def two_cameras() -> CamerasConfig:
    other = replace(CONFIG, name="agentview", frame_id="agentview_color_optical_frame")
    return CamerasConfig(cameras=(other, CONFIG))


class Table:
    """Cameras that are there or not, by name."""

    def __init__(self) -> None:
        self.missing = {"agentview", "wrist"}
        self.open_cameras: list[ScriptedCamera] = []
        self.frames: queue.Queue[str] = queue.Queue()
        self.problems: queue.Queue[str] = queue.Queue()
        self.scripts = {name: queue.Queue() for name in self.missing}
        self.cameras = CameraSet(
            two_cameras(),
            self._make,
            lambda station, frame: self.frames.put(station.config.name),
            self.problems.put,
            lambda: 0.0,
        )

    def _make(self, config: CameraConfig, gate: object) -> ScriptedCamera:
        if config.name in self.missing:
            raise CameraError(f"{config.name} is not there")
        self.open_cameras.append(ScriptedCamera(self.scripts[config.name]))
        return self.open_cameras[-1]


@pytest.fixture
def table(monkeypatch) -> Iterator[Table]:
    monkeypatch.setattr(station, "_PACE", replace(station._PACE, first_retry_s=0.01))
    table = Table()
    yield table
    table.cameras.close()


@pytest.mark.fault("F69", bound="refused, and names all that is missing")
def test_all_missing_cameras_are_named_and_the_others_are_closed(table):
    with pytest.raises(CameraError, match="agentview is not there; wrist is not there"):
        table.cameras.open(require_all=True)
    table.missing = {"wrist"}
    with pytest.raises(CameraError, match=r"^wrist is not there"):
        table.cameras.open(require_all=True)
    assert [camera.is_open for camera in table.open_cameras] == [False]


def test_a_missing_camera_is_waited_for_if_it_may_be_missing(table):
    table.missing = {"wrist"}
    table.cameras.open(require_all=False)
    assert "starts without it" in table.problems.get(timeout=LIMIT_S)
    table.cameras.start()
    assert table.open_cameras[0].has_forgotten.wait(LIMIT_S)
    table.scripts["agentview"].put(frame(1, 1.0))
    assert table.frames.get(timeout=LIMIT_S) == "agentview"
    assert "wrist is not there" in table.problems.get(timeout=LIMIT_S)
    table.missing = set()
    table.scripts["wrist"].put(frame(1, 1.0))
    assert table.frames.get(timeout=LIMIT_S) == "wrist"


@pytest.mark.fault("F11", bound="refused at the start")
def test_a_real_camera_under_simulated_time_is_refused():
    config = CamerasConfig(cameras=(DEVICE,))
    require_real_time(config, is_simulated_time=False)
    require_real_time(two_cameras(), is_simulated_time=True)
    with pytest.raises(CameraError, match="use_sim_time is set, but wrist are real cameras"):
        require_real_time(config, is_simulated_time=True)


# Through the SDK.


@pytest.mark.fault("F1", bound="10 s from plugging in to the next picture; the other goes on")
def test_a_device_that_is_unplugged_and_put_back_delivers_again(measured: Measured) -> None:
    pytest.importorskip("pyrealsense2")
    from mail_cameras.realsense_driver import RealSenseCamera
    from mail_cameras.stamp_clock import DeviceClock
    from tests.unit.camera_rig import RunningDevice, SoftwareSource, camera_config

    configs = (camera_config(), camera_config(name="agentview", serial="2", frame_id="a"))
    sources = {config.name: SoftwareSource(config) for config in configs}
    counts = dict.fromkeys(sources, 0)
    problems: queue.Queue[str] = queue.Queue()

    def make(config: CameraConfig, gate: object) -> RealSenseCamera:
        clock = DeviceClock(config.name, None)
        return RealSenseCamera(config, time.time, sources[config.name], clock)

    def count(station: CameraStation, frame: CameraFrame) -> None:
        counts[station.config.name] += 1

    def wait_for_pictures(name: str) -> None:
        before, deadline_s = counts[name], time.monotonic() + 10.0
        while counts[name] < before + 3:
            assert time.monotonic() < deadline_s, f"{name} delivers nothing"
            time.sleep(0.005)

    cameras = CameraSet(CamerasConfig(cameras=configs), make, count, problems.put, time.time)
    with RunningDevice(sources["wrist"]), RunningDevice(sources["agentview"]):
        cameras.open(require_all=True)
        cameras.start()
        wait_for_pictures("wrist")
        sources["wrist"].is_plugged = False
        assert "was unplugged" in problems.get(timeout=LIMIT_S)
        assert "no RealSense" in problems.get(timeout=LIMIT_S)
        before = counts["wrist"]
        wait_for_pictures("agentview")
        assert counts["wrist"] == before
        sources["wrist"].is_plugged = True
        returned_s = time.monotonic()
        wait_for_pictures("wrist")
        measured(f"{time.monotonic() - returned_s:.1f} s from plugging in to three pictures")
        cameras.close()
    wrist, agentview = (station.report().values for station in cameras.stations)
    assert (wrist["reopened"], agentview["reopened"]) == ("1", "0")
    assert wrist["lost"] == agentview["lost"] == "0"
