"""Transforms of the robot: which joint states make them, and where cameras come from."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from calibration.results import HandEyeResult, pose_fields, save_result
from data_collection.topics import joint_names
from mail_description.camera_mounts import CameraName, camera_mounts, named_cameras
from mail_description.joint_tracker import Ignored, JointTracker
from mail_description.robot_model import JointKind, child_pose, moving_poses, robot_model
from mail_policy.core.frames import (
    make_transform,
    rotation_from_quaternion,
    rotation_from_vector,
)
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_policy.core.robot_limits import RobotType, joint_limits

NAMES = joint_names("fr3")
POSITIONS = [*HOME_JOINT_POSITIONS.tolist(), 0.02, 0.02]
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def transform_of(pose: tuple[float, ...]) -> np.ndarray:
    return make_transform(rotation_from_quaternion(np.array(pose[3:])), np.array(pose[:3]))


def transforms(robot_type: RobotType, positions: list[float]) -> dict[str, np.ndarray]:
    """Return where every frame is in the base, by following the published poses."""
    joints = robot_model(robot_type)
    moving = [joint for joint in joints if joint.kind is not JointKind.FIXED]
    at = dict(zip(joint_names(robot_type.value), positions, strict=True))
    poses = dict(zip([j.name for j in moving], moving_poses(joints, at), strict=True))
    found = {"base": np.eye(4)}
    for joint in joints:
        pose = poses.get(joint.name) or child_pose(joint)
        found[joint.child] = found[joint.parent] @ transform_of(pose)
    return found


@pytest.mark.parametrize("robot_type", RobotType)
@pytest.mark.parametrize("seed", range(10))
def test_the_published_poses_make_our_forward_kinematics(robot_type, seed):
    limits = joint_limits(robot_type)
    q = np.random.default_rng(seed).uniform(limits.lower, limits.upper)
    frames = transforms(robot_type, [*q, 0.0, 0.0])
    assert np.allclose(frames["tcp"], forward_kinematics(q), atol=1e-9, rtol=0)


def test_the_fingers_move_apart_along_y_of_the_hand():
    frames = transforms(RobotType.FR3, [*HOME_JOINT_POSITIONS, 0.03, 0.01])
    hand = np.linalg.inv(frames["fr3_hand"])
    left, right = (hand @ frames[f"fr3_{side}finger"] for side in ("left", "right"))
    assert np.allclose(left[:3, 3], [0.0, 0.03, 0.0584])
    assert np.allclose(right[:3, 3], [0.0, -0.01, 0.0584])


@pytest.fixture
def tracker() -> JointTracker:
    return JointTracker(RobotType.FR3, max_age_s=0.5)


def test_joint_states_are_taken_by_name_in_any_order(tracker):
    accepted = tracker.accept(NAMES[::-1], POSITIONS[::-1], stamp_s=10.0, now_s=10.01)
    assert accepted == dict(zip(NAMES, POSITIONS, strict=True))
    assert list(accepted) == NAMES


@pytest.mark.parametrize(
    ("names", "positions", "stamp_s", "reason"),
    [
        (NAMES, POSITIONS[:-1], 10.0, "9 names, but 8 positions"),
        ([], [], 10.0, "lacks fr3_joint1"),
        (joint_names("fer"), POSITIONS, 10.0, "is robot_type right"),
        (NAMES, [math.nan, *POSITIONS[1:]], 10.0, "must be finite"),
        (NAMES, [*POSITIONS[:-1], math.inf], 10.0, "must be finite"),
        (NAMES, POSITIONS, 9.4, "0.60 s old, limit is 0.50 s"),
        (NAMES, POSITIONS, 10.6, "-0.60 s old"),
        (NAMES, POSITIONS, 0.0, "10.00 s old"),
    ],
)
def test_bad_joint_states_become_no_transforms(tracker, names, positions, stamp_s, reason):
    ignored = tracker.accept(names, positions, stamp_s, now_s=10.0)
    assert isinstance(ignored, Ignored)
    assert reason in ignored.reason
    assert reason in tracker.silence(now_s=10.0)


def test_joint_states_are_never_shown_twice_or_backwards(tracker):
    assert not isinstance(tracker.accept(NAMES, POSITIONS, 10.0, now_s=10.0), Ignored)
    for stamp_s in (10.0, 9.9):
        ignored = tracker.accept(NAMES, POSITIONS, stamp_s, now_s=10.1)
        assert isinstance(ignored, Ignored)
    assert not isinstance(tracker.accept(NAMES, POSITIONS, 10.1, now_s=10.1), Ignored)


def test_a_clock_that_was_set_back_begins_anew(tracker):
    tracker.accept(NAMES, POSITIONS, 100.0, now_s=100.0)
    assert not isinstance(tracker.accept(NAMES, POSITIONS, 1.0, now_s=1.0), Ignored)


def test_silence_is_told_with_its_duration(tracker):
    assert "since the start: no joint states received yet" in tracker.silence(3.0)
    tracker.accept(NAMES, POSITIONS, 10.0, now_s=10.0)
    assert tracker.silence(10.4) == ""
    assert "for 2.0 s: joint states ended" in tracker.silence(12.0)


@pytest.mark.parametrize("max_age_s", [0.0, -1.0, math.nan, 6.0])
def test_a_limit_that_lets_ghosts_live_is_refused(max_age_s):
    with pytest.raises(ValueError, match="max_age_s must be in"):
        JointTracker(RobotType.FR3, max_age_s)


POSE = make_transform(rotation_from_vector(np.array([0.1, 2.0, 0.3])), np.array([0.1, 0.0, -0.07]))
WRIST = CameraName(name="wrist", image_frame="wrist_color_optical_frame", serial="42")
RESULT = HandEyeResult(
    robot="panda",
    subject="wrist",
    serial="42",
    created_at=NOW.isoformat(),
    tool="test",
    residuals={},
    parent_frame="tcp",
    held_out_mm=1.25,
    held_out_deg=0.1,
    views=20,
    **pose_fields(POSE),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "panda"


def test_lists_that_do_not_fit_together_are_refused():
    assert named_cameras([""], [""], [""]) == []
    assert named_cameras(["wrist"], [WRIST.image_frame], ["42"]) == [WRIST]
    with pytest.raises(ValueError, match="same length, got 2, 1 and 2"):
        named_cameras(["agentview", "wrist"], ["a"], ["1", "2"])


def test_a_calibrated_camera_has_its_measured_pose(folder):
    save_result(RESULT, folder)
    (mount,), (finding,) = camera_mounts(folder, [WRIST], NOW)
    assert np.allclose(mount.transform_camera_to_parent, POSE)
    assert mount.parent_frame == "tcp"
    assert mount.optical_frame == "camera_wrist_optical_frame"
    assert finding.is_good
    assert "1.2 mm" in finding.text


def test_the_newest_measurement_counts(folder):
    later = replace(RESULT, position_m=(0.0, 0.0, 0.5), created_at="2026-05-02T00:00:00+00:00")
    for result in (later, RESULT):
        save_result(result, folder)
    (mount,), _ = camera_mounts(folder, [WRIST], NOW)
    assert mount.transform_camera_to_parent[2, 3] == 0.5


def refused(folder: Path, camera: CameraName = WRIST) -> str:
    """Return why a camera has no frame."""
    mounts, (finding,) = camera_mounts(folder, [camera], NOW)
    assert not mounts
    assert not finding.is_good
    assert finding.subject == f"camera {camera.name}"
    assert finding.text.startswith("has no frame: ")
    return finding.text


def test_a_camera_without_calibration_has_no_frame(folder):
    assert "no hand_eye calibration in" in refused(folder)
    save_result(RESULT, folder)
    assert "mailctl calibrate" in refused(folder, CameraName(name="agentview"))


def test_the_calibration_of_another_camera_is_refused(folder):
    save_result(RESULT, folder)
    assert "'42', but '43' is in use" in refused(folder, replace(WRIST, serial="43"))


def test_the_calibration_of_another_robot_is_refused(tmp_path):
    save_result(RESULT, tmp_path / "fr3")
    assert "robot 'panda', not on 'fr3'" in refused(tmp_path / "fr3")


def test_a_calibration_edited_by_hand_is_refused(folder):
    path = save_result(RESULT, folder)
    path.write_text(path.read_text().replace("0.1\n", "0.2\n", 1))
    assert "sha256" in refused(folder)


def test_an_old_calibration_is_used_but_warned_about(folder):
    save_result(RESULT, folder)
    mounts, (finding,) = camera_mounts(folder, [WRIST], NOW + timedelta(days=31))
    assert len(mounts) == 1
    assert not finding.is_good
    assert "31 days old" in finding.text


def test_what_the_twin_says_about_its_cameras_does_not_age(tmp_path):
    save_result(replace(RESULT, robot="sim"), tmp_path / "sim")
    _, (finding,) = camera_mounts(tmp_path / "sim", [WRIST], NOW + timedelta(days=4000))
    assert finding.is_good
