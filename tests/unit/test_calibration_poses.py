"""Planned postures: safe, with the board in sight, diverse, and the same for the same seed."""

import numpy as np
import pytest

from calibration.board import Lens
from calibration.diversity import missing_hand_eye_views
from calibration.poses import PosePlanConfig, PosePlanner
from calibration.refinement import HandEye, invert
from calibration.results import CalibrationError
from mail_policy.core.frames import Array
from mail_policy.core.kinematics import chain_frames, forward_kinematics
from mail_policy.core.motion.config import EnvelopeConfig
from mail_policy.core.motion.self_collision import self_collision
from mail_policy.core.motion.workspace import workspace
from mail_policy.core.robot_limits import SHARED_JOINT_LIMITS
from mail_sim.world.calibration_board import BOARD_ON_HAND, BOARD_ON_TABLE
from tests.unit import calibration_rig as rig

ENVELOPE = EnvelopeConfig()
LENS = Lens(np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]), np.zeros(5))
# Above the fingers, looking along them.
ON_HAND = HandEye(rig.pose(0.07, 0.0, -0.06, 0.0, 0.0, np.pi / 2), BOARD_ON_TABLE)


def planner(frame: str, **changes: object) -> PosePlanner:
    if frame == "tcp":
        rough, distances_m = ON_HAND, (0.3, 0.5)
    else:
        rough, distances_m = beside(), (0.7, 1.1)
    values = {"count": 12, "nearest_m": distances_m[0], "farthest_m": distances_m[1], **changes}
    return PosePlanner(rough, frame, LENS, rig.BOARD, ENVELOPE, PosePlanConfig(**values))


def beside() -> HandEye:
    """Return a camera at the left of the robot that looks at where the hand is."""
    eye, target = np.array([0.0, -0.72, 0.78]), np.array([0.53, 0.02, 0.25])
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    camera = np.eye(4)
    camera[:3, :3] = np.column_stack([right, np.cross(forward, right), forward])
    camera[:3, 3] = eye
    return HandEye(camera, BOARD_ON_HAND)


def boards_seen(frame: str, postures: Array) -> Array:
    rough = ON_HAND if frame == "tcp" else beside()
    tcp_poses = np.array([forward_kinematics(posture) for posture in postures])
    return rough.predict_from(invert(tcp_poses) if frame == "tcp" else tcp_poses)


@pytest.mark.parametrize("frame", ["tcp", "base"])
def test_planned_postures_are_safe_diverse_and_see_the_board(frame: str) -> None:
    postures = planner(frame).plan()
    assert postures.shape == (12, 7)
    assert (postures >= SHARED_JOINT_LIMITS.lower + 0.14).all()
    assert (postures <= SHARED_JOINT_LIMITS.upper - 0.14).all()
    assert workspace(ENVELOPE).complaint(chain_frames(postures)) == ""
    for posture in postures:
        assert self_collision(ENVELOPE).clearance_m(posture) >= ENVELOPE.slow_clearance_m
    boards = boards_seen(frame, postures)
    centres = boards[:, :3, :3] @ rig.BOARD.centre_m + boards[:, :3, 3]
    pixels, _ = LENS.project(centres)
    assert ((pixels > 0) & (pixels < (640, 480))).all()
    tcp_poses = np.array([forward_kinematics(posture) for posture in postures])
    assert missing_hand_eye_views(tcp_poses, boards, rig.BOARD) == []
    assert tcp_poses[:, 2, 3].min() >= 0.05


def test_the_same_seed_plans_the_same_postures() -> None:
    first, again = (planner("tcp", count=4).plan() for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, planner("tcp", count=4, seed=1).plan())


def test_what_stands_in_the_way_is_said() -> None:
    with pytest.raises(CalibrationError, match=r"only \d+ of 12 .*the arm cannot reach it"):
        planner("tcp", nearest_m=1.5, farthest_m=2.0, candidates=60).plan()
