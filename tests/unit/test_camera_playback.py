"""Recordings of the SDK, played at the pace of a clock that a test moves."""

from pathlib import Path

import numpy as np
import pytest

from mail_cameras.config import CameraConfig, CameraKind, DepthKind
from mail_policy.core.devices import CameraError
from mail_policy.core.types import CameraFrame

pytest.importorskip("pyrealsense2")
from mail_cameras.realsense_driver import RealSenseCamera
from mail_cameras.realsense_playback_driver import PlaybackSource
from tests.unit.camera_rig import camera_config, record, scene

PICTURES = 12
FIRST_STAMP_S = 1.7e9


class Player:
    """A camera that plays a recording on a clock that stands still until it sleeps."""

    def __init__(self, config: CameraConfig) -> None:
        self.time_s = 50.0
        source = PlaybackSource(config, lambda: self.time_s, self.sleep)
        self.camera = RealSenseCamera(config, lambda: self.time_s, source, source)

    def sleep(self, duration_s: float) -> None:
        self.time_s += duration_s

    def frames(self, count: int) -> list[CameraFrame]:
        with self.camera as camera:
            read = [camera.read(timeout_s=1.0) for _ in range(count)]
        return [frame for frame in read if frame is not None]


def recording(file: Path, depth: DepthKind) -> CameraConfig:
    config = camera_config(driver=CameraKind.PLAYBACK, serial="", file=str(file), depth=depth)
    record(config, file, PICTURES, FIRST_STAMP_S)
    return config


@pytest.fixture
def config(tmp_path: Path) -> CameraConfig:
    return recording(tmp_path / "run.db3", DepthKind.NONE)


@pytest.fixture
def config_with_depth(tmp_path: Path) -> CameraConfig:
    return recording(tmp_path / "run_with_depth.db3", DepthKind.ALIGNED)


def test_a_recording_gives_its_pictures_and_numbers(config):
    frames = Player(config).frames(PICTURES)
    assert [frame.sequence for frame in frames] == list(range(1, PICTURES + 1))
    for frame in frames:
        np.testing.assert_array_equal(frame.image, scene(frame.sequence))
        assert frame.depth_mm is None


def test_a_recording_gives_the_depth_of_its_pictures(config_with_depth):
    frames = Player(config_with_depth).frames(PICTURES - 3)
    with_depth = [frame for frame in frames if frame.depth_mm is not None]
    assert len(with_depth) >= PICTURES - 5
    for frame in with_depth:
        assert np.median(frame.depth_mm) == 1000 + frame.sequence


def test_a_recording_is_played_as_if_it_began_now_and_at_its_own_pace(config):
    frames = Player(config).frames(PICTURES)
    stamps = [frame.captured_at_s for frame in frames]
    assert stamps[0] == pytest.approx(50.0)
    assert np.diff(stamps) == pytest.approx(1.0 / config.rate_hz, abs=1e-6)
    assert [frame.received_at_s for frame in frames] == pytest.approx(stamps, abs=1e-6)


def test_a_recording_begins_again_after_its_end_one_period_later(config):
    frames = Player(config).frames(3 * PICTURES)
    assert len(frames) == 3 * PICTURES
    assert np.diff([frame.captured_at_s for frame in frames]) == pytest.approx(
        1.0 / config.rate_hz, abs=2e-6
    )
    sequences = [frame.sequence for frame in frames]
    assert sequences == 3 * list(range(1, PICTURES + 1))


def test_two_runs_of_a_recording_are_alike(config):
    first, second = (Player(config).frames(2 * PICTURES) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert (one.sequence, one.captured_at_s) == (other.sequence, other.captured_at_s)
        np.testing.assert_array_equal(one.image, other.image)


def test_depth_is_left_out_if_it_is_not_wanted(config_with_depth):
    file = config_with_depth.file
    plain = camera_config(driver=CameraKind.PLAYBACK, serial="", file=file)
    assert [frame.depth_mm for frame in Player(plain).frames(2)] == [None, None]


def test_a_file_that_is_none_is_refused_by_name(tmp_path):
    missing = camera_config(driver=CameraKind.PLAYBACK, serial="", file=str(tmp_path / "no.db3"))
    with pytest.raises(CameraError, match=r"'wrist': the recording .*no\.db3 does not exist"):
        Player(missing).camera.__enter__()
    broken = tmp_path / "broken.db3"
    broken.write_bytes(b"no recording" * 100)
    config = camera_config(driver=CameraKind.PLAYBACK, serial="", file=str(broken))
    with pytest.raises(CameraError, match=r"the recording .*broken\.db3 cannot be played"):
        Player(config).camera.__enter__()
