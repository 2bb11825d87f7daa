"""The RealSense driver against the real SDK, fed by its software device."""

from collections.abc import Iterator

import numpy as np
import pytest

from mail_cameras.config import DepthKind, HardwareSync
from mail_cameras.stamp_clock import DeviceClock
from mail_policy.core.devices import CameraError

rs = pytest.importorskip("pyrealsense2")
from mail_cameras.realsense_driver import RealSenseCamera  # noqa: E402
from mail_cameras.realsense_live_driver import LivePipeline  # noqa: E402
from mail_cameras.realsense_options_driver import apply_options  # noqa: E402
from tests.unit.camera_rig import (  # noqa: E402
    COLOR_OPTIONS,
    HEIGHT,
    SERIAL,
    WIDTH,
    SoftwareDevice,
    SoftwareSource,
    camera_config,
)

NOW_S = 12.5


class SteadyClock:
    """A steady clock that a test moves."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def __call__(self) -> float:
        return self.time_s


@pytest.fixture
def steady() -> SteadyClock:
    return SteadyClock()


def make_camera(source: SoftwareSource, steady: SteadyClock) -> RealSenseCamera:
    clock = DeviceClock(source.config.name, source.config.transport_latency_s)
    return RealSenseCamera(source.config, lambda: NOW_S, source, clock, steady)


@pytest.fixture
def source() -> SoftwareSource:
    return SoftwareSource(camera_config())


@pytest.fixture
def camera(source: SoftwareSource, steady: SteadyClock) -> Iterator[RealSenseCamera]:
    with make_camera(source, steady) as camera:
        yield camera


def test_a_frame_of_the_sdk_becomes_a_picture_with_its_own_stamp(source, camera):
    image = np.full((HEIGHT, WIDTH, 3), 7, np.uint8)
    image[0, 0] = (255, 0, 0)
    source.device.push(7, 12.345, image=image)
    frame = camera.read(timeout_s=2.0)
    assert frame.sequence == 7
    assert frame.captured_at_s == pytest.approx(12.345)
    assert frame.received_at_s == NOW_S
    np.testing.assert_array_equal(frame.image, image)
    assert frame.depth_mm is None


def test_a_late_reader_gets_the_newest_frame(source, camera):
    for number in range(1, 6):
        source.device.push(number, 12.0 + number / 30)
    assert camera.read(timeout_s=2.0).sequence == 5
    assert camera.read(timeout_s=0.0) is None


def test_a_frame_that_the_sdk_delivers_twice_is_read_once(source, camera):
    source.device.push(1, 12.0)
    assert camera.read(timeout_s=2.0) is not None
    source.device.push(1, 12.0)
    assert camera.read(timeout_s=0.2) is None
    # A counter that stands still while time goes on is for the health to judge.
    source.device.push(1, 12.1)
    assert camera.read(timeout_s=2.0) is not None


def test_a_picture_does_not_change_when_the_sdk_reuses_its_memory(source, camera):
    source.device.push(1, 12.0)
    frame = camera.read(timeout_s=2.0)
    before = frame.image.copy()
    for number in range(2, 40):
        source.device.push(number, 12.0 + number / 30)
        camera.read(timeout_s=2.0)
    np.testing.assert_array_equal(frame.image, before)


def test_the_factory_calibration_is_known(camera):
    intrinsics = camera.intrinsics
    assert (intrinsics.focal_x_px, intrinsics.focal_y_px) == (61.0, 62.0)
    assert (intrinsics.centre_x_px, intrinsics.centre_y_px) == (32.5, 24.5)
    assert intrinsics.distortion == pytest.approx((0.1, 0.2, 0.3, 0.4, 0.5))


# Clocks.


def test_a_stamp_of_the_cameras_own_clock_is_refused_while_its_latency_is_unknown(source, camera):
    source.device.push(1, 12.0, rs.timestamp_domain.hardware_clock)
    with pytest.raises(CameraError, match=r"cannot be compared to the robot's time.*set transport"):
        camera.read(timeout_s=2.0)


def test_a_stamp_of_the_cameras_own_clock_is_translated_when_its_latency_is_known(steady):
    source = SoftwareSource(camera_config(transport_latency_s=0.02))
    with make_camera(source, steady) as camera:
        frames = []
        for number in range(1, 100):
            source.device.push(number, 500.0 + number / 30, rs.timestamp_domain.hardware_clock)
            camera._now = lambda number=number: 9000.0 + number / 30
            frames.append(camera.read(timeout_s=2.0))
    assert frames[0] is None, "used before the offset is known"
    assert frames[-1].captured_at_s == pytest.approx(frames[-1].received_at_s - 0.02, abs=1e-4)


# Depth.


@pytest.mark.parametrize("units_m", [0.001, 0.00025, 0.0001])
def test_depth_goes_with_its_picture_in_millimetres(steady, units_m):
    config = camera_config(depth=DepthKind.ALIGNED)
    source = SoftwareSource(config, lambda: SoftwareDevice(config, depth_units_m=units_m))
    depth = np.full((HEIGHT, WIDTH), round(1.5 / units_m), np.uint16)
    with make_camera(source, steady) as camera:
        frames = []
        for number in range(1, 6):
            # The SDK's matcher pairs nothing whose stamps are far from the time of day.
            source.device.push(number, 1.7e9 + number / 30, depth=depth)
            if (frame := camera.read(timeout_s=2.0)) is not None:
                frames.append(frame)
    # The SDK's matcher lets the first picture go alone.
    depths = [frame.depth_mm for frame in frames if frame.depth_mm is not None]
    assert len(depths) >= 3
    assert depths[-1].dtype == np.uint16
    assert depths[-1].shape == (HEIGHT, WIDTH)
    assert np.median(depths[-1]) == 1500


# Faults.


@pytest.mark.fault("F8", bound="every picture; the camera is opened again")
def test_pictures_of_another_encoding_are_refused(steady):
    config = camera_config()
    source = SoftwareSource(config, lambda: SoftwareDevice(config, color_format=rs.format.bgr8))
    with make_camera(source, steady) as camera:
        source.device.push(1, 12.0)
        with pytest.raises(CameraError, match=r"delivers format.bgr8, expected rgb8"):
            camera.read(timeout_s=2.0)


@pytest.mark.fault("F1", bound="300 ms of silence")
def test_an_unplugged_device_is_reported(source, camera, steady):
    steady.time_s = 0.29
    source.is_plugged = False
    assert camera.read(timeout_s=0.0) is None
    steady.time_s = 0.31
    with pytest.raises(CameraError, match="was unplugged"):
        camera.read(timeout_s=0.0)


@pytest.mark.fault("F1", bound="2 s of silence")
def test_a_device_that_hangs_is_reported(camera, steady):
    for steady.time_s in (0.5, 1.0, 1.9):
        assert camera.read(timeout_s=0.0) is None
    steady.time_s = 2.5
    with pytest.raises(CameraError, match=r"connected but delivers nothing since 2\.5 s"):
        camera.read(timeout_s=0.0)


def test_errors_of_the_sdk_become_ours(source, camera, monkeypatch):
    def vanish(timeout_s: float) -> None:
        raise RuntimeError("device disconnected")

    monkeypatch.setattr(source, "wait", vanish)
    with pytest.raises(CameraError, match=r"'wrist': the RealSense SDK says: device disconnected"):
        camera.read(timeout_s=0.0)


# Options.


def options_of(device: SoftwareDevice) -> dict[str, float]:
    return {option.name: device.color.get_option(option) for option in COLOR_OPTIONS}


def test_everything_is_automatic_unless_it_is_fixed():
    device = SoftwareDevice(camera_config())
    for option in (rs.option.enable_auto_exposure, rs.option.enable_auto_white_balance):
        device.color.set_option(option, 0.0)
    apply_options(camera_config(), device.sensors())
    options = options_of(device)
    assert options["enable_auto_exposure"] == options["enable_auto_white_balance"] == 1.0


def test_fixed_options_reach_the_device_in_its_own_units():
    config = camera_config(exposure_us=8000, gain=32, white_balance_k=4000)
    device = SoftwareDevice(config)
    apply_options(config, device.sensors())
    assert options_of(device) == {
        "enable_auto_exposure": 0.0,
        "exposure": 80.0,
        "gain": 32.0,
        "enable_auto_white_balance": 0.0,
        "white_balance": 4000.0,
    }


def test_a_depth_sensor_that_gives_colour_counts_exposure_in_microseconds():
    config = camera_config(exposure_us=8000)
    device = SoftwareDevice(config)
    # The SDK knows depth sensors, like the only sensor of a D405, by this option.
    device.color.add_read_only_option(rs.option.depth_units, 0.0001)
    apply_options(config, device.sensors())
    assert options_of(device)["exposure"] == 8000.0


@pytest.mark.parametrize(
    ("option", "setting"),
    [("exposure", "exposure_us"), ("gain", "gain"), ("white_balance", "white_balance_k")],
)
def test_a_device_without_an_option_is_refused_with_the_remedy(option, setting):
    config = camera_config(**{setting: 3000.0})
    color_options = {o: v for o, v in COLOR_OPTIONS.items() if o.name != option}
    device = SoftwareDevice(config, color_options=color_options)
    expected = f"camera 'wrist': this model has no {option}, which {setting} needs; remove"
    with pytest.raises(CameraError, match=expected):
        apply_options(config, device.sensors())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exposure_us": 10}, r"refuses exposure_us .*give a value from 100 to 1e\+06"),
        ({"exposure_us": 2e6}, r"refuses exposure_us .*give a value from 100 to 1e\+06"),
        ({"white_balance_k": 90000}, r"refuses white_balance_k .* from 2800 to 6500"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(changes, message):
    config = camera_config(**changes)
    with pytest.raises(CameraError, match=message):
        apply_options(config, SoftwareDevice(config).sensors())


@pytest.mark.parametrize(
    ("sync", "mode"),
    [
        (HardwareSync.NONE, 0.0),
        (HardwareSync.MASTER, 1.0),
        (HardwareSync.SLAVE, 2.0),
        (HardwareSync.FULL_SLAVE, 3.0),
    ],
)
def test_the_part_on_the_sync_cable_is_set_on_the_depth_sensor(sync, mode):
    config = camera_config(depth=DepthKind.ALIGNED, hardware_sync=sync)
    device = SoftwareDevice(config)
    device.depth.set_option(rs.option.inter_cam_sync_mode, 1.0)
    apply_options(config, device.sensors())
    assert device.depth.get_option(rs.option.inter_cam_sync_mode) == mode


def test_a_model_without_sync_connector_is_refused():
    config = camera_config(depth=DepthKind.ALIGNED, hardware_sync=HardwareSync.MASTER)
    device = SoftwareDevice(config, depth_options={})
    with pytest.raises(CameraError, match="no inter_cam_sync_mode, which hardware_sync needs"):
        apply_options(config, device.sensors())


# The device on the bus. The SDK shows no software device to its own pipeline, therefore a bus of
# the test shows it to ours, up to the point at which the stream would start.


class Bus:
    """What the SDK's context tells about the bus."""

    def __init__(self, *devices: SoftwareDevice) -> None:
        self.devices = list(devices)

    def query_devices(self) -> list[object]:
        return [device.device for device in self.devices]


def test_a_missing_device_is_refused_with_the_serials_found():
    with pytest.raises(CameraError, match=r"no RealSense with serial .*found: none"):
        LivePipeline(camera_config(), lambda: None).start()


@pytest.mark.fault("F7", bound="refused before it streams")
def test_another_device_on_the_bus_is_not_taken_for_the_one_wanted():
    bus = Bus(SoftwareDevice(camera_config(serial="42")), SoftwareDevice(camera_config(serial="7")))
    pipeline = LivePipeline(camera_config(), lambda: None, bus)
    with pytest.raises(CameraError, match=f"serial '{SERIAL}'; serials found: 42, 7"):
        pipeline.start()
    assert not pipeline.is_connected()
    bus.devices.append(SoftwareDevice(camera_config()))
    assert pipeline.is_connected()


def test_a_device_waits_for_its_turn_and_then_gets_its_options():
    config = camera_config(exposure_us=1000)
    device = SoftwareDevice(config)
    seen = []
    pipeline = LivePipeline(
        config, lambda: seen.append(options_of(device)["exposure"]), Bus(device)
    )
    # The SDK's pipeline needs a true context; by then, everything before it has happened.
    with pytest.raises(TypeError):
        pipeline.start()
    assert seen == [COLOR_OPTIONS[rs.option.exposure][3]]
    assert options_of(device)["exposure"] == 10.0
