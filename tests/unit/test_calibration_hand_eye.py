"""Hand-eye calibration on views whose truth is known: accuracy, outliers, refusals, words."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.camera_check import check_camera
from calibration.diversity import hand_turns, missing_hand_eye_views
from calibration.hand_eye import calibrate_hand_eye
from calibration.hand_eye_solvers import SOLVERS, motions_between
from calibration.refinement import BoardView, HandEye, invert, refine, view_errors_px
from calibration.results import CalibrationError, FixedBoard, HandEyeResult, pose_fields
from mail_policy.core.frames import Array, move_pose, rotation_from_vector
from mail_sim.world.calibration_board import BoardStudio
from tests.unit import calibration_rig as rig

VIEWS = rig.projected_views(20, seed=1)


def with_boards(boards: list[Array], seed: int = 0) -> list[BoardView]:
    """Return exact views that see the board where it is wanted."""
    random = np.random.default_rng(seed)
    return [
        BoardView(
            f"{number:04d}.png",
            rig.TRUTH.camera @ board @ invert(rig.TRUTH.board),
            rig.detection_of(board, random, 0.0),
            board,
        )
        for number, board in enumerate(boards)
    ]


def result_of(held_out_mm: float = 0.5) -> HandEyeResult:
    return HandEyeResult(
        robot="sim",
        subject="wrist",
        serial="1",
        created_at="2026-07-05T14:22:33+00:00",
        tool="test",
        residuals={},
        parent_frame="tcp",
        **pose_fields(rig.TRUTH.camera),
        held_out_mm=held_out_mm,
        held_out_deg=0.1,
        views=20,
        board=FixedBoard(**pose_fields(rig.TRUTH.board)),
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_is_exact_without_noise(solver: str) -> None:
    boards = np.array(rig.boards_in_camera(12, np.random.default_rng(3)))
    parents = rig.TRUTH.camera @ boards @ invert(rig.TRUTH.board)
    found = SOLVERS[solver](motions_between(parents, boards))
    np.testing.assert_allclose(found, rig.TRUTH.camera, atol=1e-9)


def test_solvers_refuse_views_that_do_not_turn() -> None:
    boards = np.array([rig.pose(0.01 * i, 0.0, 0.4, 0.0, 0.0, 0.0) for i in range(5)])
    with pytest.raises(ValueError, match="rotate the hand"):
        motions_between(rig.TRUTH.camera @ boards, boards)


def test_refinement_returns_to_the_truth_and_lowers_the_error() -> None:
    views = with_boards(rig.boards_in_camera(10, np.random.default_rng(5)))
    start = HandEye(
        move_pose(rig.TRUTH.camera, np.array([0.02, -0.01, 0.03, 0.1, -0.1, 0.05])),
        move_pose(rig.TRUTH.board, np.array([-0.02, 0.01, 0.01, 0.0, 0.1, 0.1])),
    )
    found = refine(start, views, rig.LENS)
    error_mm, error_deg = rig.camera_error(found.camera, rig.TRUTH.camera)
    assert error_mm < 0.01
    assert error_deg < 0.001
    assert view_errors_px(found, views, rig.LENS).max() < 0.01
    assert view_errors_px(start, views, rig.LENS).min() > 3.0


@pytest.mark.parametrize("seed", range(3))
def test_noisy_views_give_the_true_pose(seed: int) -> None:
    estimate = calibrate_hand_eye(
        rig.projected_views(20, seed, arm_noise_m=0.0005), rig.LENS, rig.BOARD, "tcp"
    )
    error_mm, error_deg = rig.camera_error(estimate.hand_eye.camera, rig.TRUTH.camera)
    assert error_mm < 1.0
    assert error_deg < 0.15
    assert estimate.used.sum() >= 18
    assert estimate.missing == []
    # What it says of itself must not be better than it is, nor much worse.
    assert 0.2 < np.median(estimate.held_out_mm) < 3.0
    assert len(estimate.solvers) == 5


@pytest.mark.parametrize("seed", range(3))
def test_corrupted_views_are_left_out(seed: int) -> None:
    estimate = calibrate_hand_eye(
        rig.corrupted(rig.projected_views(20, seed)), rig.LENS, rig.BOARD, "base"
    )
    assert not estimate.used[[2, 5, 7]].any()
    assert estimate.used.sum() >= 15
    assert rig.camera_error(estimate.hand_eye.camera, rig.TRUTH.camera)[0] < 1.0


def test_views_that_contradict_each_other_are_refused() -> None:
    parents = [view.parent for view in VIEWS]
    shuffled = [
        replace(view, parent=parents[(i + 7) % 20]) if i % 2 else view
        for i, view in enumerate(VIEWS)
    ]
    with pytest.raises(CalibrationError, match=r"contradict the others .*is the board fixed"):
        calibrate_hand_eye(shuffled, rig.LENS, rig.BOARD, "tcp")


def test_too_few_views_are_refused_with_what_to_do() -> None:
    with pytest.raises(CalibrationError, match=r"5 usable views .*at least 3 more views"):
        calibrate_hand_eye(VIEWS[:5], rig.LENS, rig.BOARD, "tcp")


def turned_about_one_axis() -> list[BoardView]:
    """The hand turns about its own x only, and the camera goes along."""
    tcp_turns = [rig.pose(0, 0, 0, angle, 0, 0) for angle in np.linspace(-0.4, 0.4, 12)]
    middle = rig.TRUTH.camera @ rig.pose(-0.1, -0.05, 0.45, 0, 0, 0) @ invert(rig.TRUTH.board)
    boards = [invert(rig.TRUTH.camera) @ turn @ middle @ rig.TRUTH.board for turn in tcp_turns]
    return with_boards(boards)


def test_turning_about_one_axis_is_refused_and_the_others_are_named() -> None:
    with pytest.raises(CalibrationError, match="one axis only") as refusal:
        calibrate_hand_eye(turned_about_one_axis(), rig.LENS, rig.BOARD, "tcp")
    said = str(refusal.value)
    assert "rotate the hand by at least 30 deg about its y axis" in said
    assert "about its z axis" in said
    assert "about its x axis" not in said


def test_turns_are_measured_about_the_axes_of_the_hand() -> None:
    home = rig.pose(0.4, 0.0, 0.4, np.pi, 0.0, 0.0)
    poses = np.array([home @ rig.pose(0, 0, 0, 0, angle, 0) for angle in (-0.3, 0.0, 0.3)])
    np.testing.assert_allclose(hand_turns(poses).range_deg, [0, np.degrees(0.6), 0], atol=1e-6)


def test_equal_distances_are_named_in_centimetres() -> None:
    turns = rotation_from_vector
    boards, poses = [], []
    for vector in np.random.default_rng(0).uniform(-0.5, 0.5, (15, 3)):
        board = rig.pose(0, 0, 0, *vector)
        board[:3, 3] = [0.0, 0.0, 0.5] - turns(vector) @ rig.BOARD.centre_m
        boards.append(board)
        poses.append(rig.pose(0, 0, 0, *vector))
    missing = missing_hand_eye_views(np.array(poses), np.array(boards), rig.BOARD)
    assert len(missing) == 1
    assert "all views are within 0 cm of distance" in missing[0]


@pytest.mark.parametrize("count", [1, 6])
def test_a_camera_that_stayed_is_recognised(count: int) -> None:
    verdict = check_camera(result_of(), VIEWS[:count], rig.LENS, rig.BOARD)
    assert not verdict.was_moved
    assert "the calibration holds" in str(verdict)


@pytest.mark.parametrize("count", [1, 6])
def test_a_camera_that_was_moved_is_recognised(count: int) -> None:
    moved = replace(
        result_of(),
        **pose_fields(move_pose(rig.TRUTH.camera, np.array([0.01, 0.0, 0.01, 0.0, 0.03, 0.0]))),
    )
    verdict = check_camera(moved, VIEWS[:count], rig.LENS, rig.BOARD)
    assert verdict.was_moved
    assert "calibrate again" in str(verdict)


def test_with_enough_views_the_board_may_have_been_moved() -> None:
    elsewhere = replace(result_of(), board=FixedBoard(**pose_fields(rig.pose(0.4, 0, 0, 3, 0, 0))))
    assert not check_camera(elsewhere, VIEWS[:6], rig.LENS, rig.BOARD).was_moved
    assert check_camera(elsewhere, VIEWS[:1], rig.LENS, rig.BOARD).was_moved


def test_too_few_views_for_a_check_are_refused() -> None:
    with pytest.raises(CalibrationError, match="take 4 with the hand turned"):
        check_camera(replace(result_of(), board=None), VIEWS[:3], rig.LENS, rig.BOARD)


def test_rendered_blurred_noisy_pictures_give_the_true_pose() -> None:
    random = np.random.default_rng(0)
    with BoardStudio("agentview", rig.BOARD, 1280, 720) as studio:
        postures = rig.planned_postures(studio, "agentview", 9)
        pictures = [rig.spoilt(studio.take(q), rig.Flaws(), random) for q in postures]
    truth = studio.truth
    views = rig.seen_views(pictures, postures, truth.parent_frame, truth.lens)
    estimate = calibrate_hand_eye(views, truth.lens, rig.BOARD, truth.parent_frame)
    error_mm, error_deg = rig.camera_error(estimate.hand_eye.camera, truth.camera)
    assert error_mm < 1.0
    assert error_deg < 0.1
