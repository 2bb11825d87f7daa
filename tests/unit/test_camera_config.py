from pathlib import Path

import pytest

from mail_cameras.config import CameraKind, CamerasConfig
from mail_policy.core.config import ConfigError, build_config, load_config

CONFIG_FOLDER = Path(__file__).parents[2] / "launch" / "config"


REALSENSE = {"driver": "realsense", "serial": "1"}


def camera(**changes: object) -> dict[str, object]:
    return {
        "name": "wrist",
        "driver": "twin",
        "image_width": 256,
        "image_height": 256,
        "rate_hz": 20,
        "frame_id": "wrist_color_optical_frame",
        **changes,
    }


def build(*cameras: dict[str, object]) -> CamerasConfig:
    return build_config(CamerasConfig, {"cameras": list(cameras)}, "cameras.yaml")


@pytest.mark.parametrize("name", ["cameras_sim", "cameras_panda", "cameras_fr3"])
def test_the_camera_files_that_we_ship_are_sound_and_name_the_same_cameras(name):
    config = load_config(CamerasConfig, CONFIG_FOLDER / f"{name}.yaml")
    assert [c.name for c in config.cameras] == ["agentview", "wrist"]


def test_a_camera_becomes_a_value():
    (wrist,) = build(camera()).cameras
    assert wrist.driver is CameraKind.TWIN
    assert wrist.rate_hz == 20.0


def test_intrinsics_of_a_calibration_can_be_given():
    intrinsics = {
        "focal_x_px": 600.0,
        "focal_y_px": 601,
        "centre_x_px": 320.0,
        "centre_y_px": 240.0,
        "distortion": [0.1, -0.2, 0.0, 0.0, 0.05],
    }
    (wrist,) = build(camera(intrinsics=intrinsics)).cameras
    assert wrist.intrinsics.distortion == (0.1, -0.2, 0.0, 0.0, 0.05)
    assert wrist.intrinsics.focal_y_px == 601.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"driver": "webcam"}, "webcam"),
        ({"image_width": 0}, "image_width must be greater than 0"),
        ({"rate_hz": -1.0}, "rate_hz must be greater than 0"),
        ({"driver": "realsense"}, "needs its serial"),
        ({"serial": "123"}, "others have none"),
        ({"driver": "playback"}, "needs the file of a recording"),
        ({"file": "run.db3"}, "others have none"),
        ({"depth": "aligned"}, "the driver 'twin' has no depth"),
        ({"exposure_us": 8000}, "only a realsense camera has exposure_us; leave it out"),
        ({"hardware_sync": "master"}, "only a realsense camera has hardware_sync"),
        ({"transport_latency_s": 0.02}, "only a realsense camera has transport_latency_s"),
        ({**REALSENSE, "gain": 0}, "gain must be greater than 0"),
        ({**REALSENSE, "transport_latency_s": -0.1}, "must not be negative"),
        ({**REALSENSE, "hardware_sync": "slave"}, "which must therefore run; set depth: aligned"),
        ({**REALSENSE, "depth": "raw"}, "raw"),
        ({"frame": "x"}, "did you mean 'name'|unknown key 'frame'"),
        ({"name": ""}, "name must not be empty"),
    ],
)
def test_a_wrong_camera_is_refused_with_a_reason(changes, message):
    with pytest.raises(ConfigError, match=message):
        build(camera(**changes))


def test_cameras_that_could_be_confused_are_refused():
    with pytest.raises(ConfigError, match="name wrist is given to several cameras"):
        build(camera(), camera(frame_id="other"))
    with pytest.raises(ConfigError, match="at least one camera"):
        build()


def test_only_one_camera_makes_the_pulse_of_the_sync_cable():
    synced = {"driver": "realsense", "depth": "aligned", "hardware_sync": "master"}
    master = camera(**synced, serial="1")
    slave = {**synced, "hardware_sync": "slave", "name": "b", "frame_id": "b", "serial": "2"}
    assert len(build(master, camera(**slave)).cameras) == 2
    with pytest.raises(ConfigError, match="only one camera can be the hardware_sync master"):
        build(master, camera(**{**slave, "hardware_sync": "master"}))


@pytest.mark.parametrize(
    ("changes", "drops"),
    [
        ({}, False),
        ({"frozen_is_missing": True}, True),
        (REALSENSE, True),
        ({**REALSENSE, "frozen_is_missing": False}, False),
        ({"driver": "playback", "file": "run.db3"}, True),
    ],
)
def test_equal_pictures_are_a_fault_where_a_sensor_has_noise(changes, drops):
    (wrist,) = build(camera(**changes)).cameras
    assert wrist.drops_frozen == drops


@pytest.mark.parametrize("spacing_s", [-0.1, 2.5])
def test_devices_start_within_a_sensible_time(spacing_s):
    with pytest.raises(ConfigError, match=r"start_spacing_s must be in \[0, 2\] s"):
        build_config(CamerasConfig, {"cameras": [camera()], "start_spacing_s": spacing_s}, "f")
