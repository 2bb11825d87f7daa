"""The board, its picture, its detection, and folders of views."""

import json
from pathlib import Path

import cv2
import matplotlib.image
import numpy as np
import pytest

from calibration.board import BoardConfig, BoardDetector, board_pose, write_board
from calibration.results import CalibrationError
from calibration.views import View, ViewFolder, ViewSession
from mail_policy.core.frames import make_transform, rotation_from_quaternion
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_sim.world.calibration_board import BoardStudio, black_cells
from tests.unit import calibration_rig as rig

SESSION = ViewSession(
    robot="sim", camera="wrist", serial="1", parent_frame="tcp", board=BoardConfig()
)
IMAGE = np.zeros((8, 10, 3), np.uint8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": 2}, "3 x 3 squares"),
        ({"marker_m": 0.04}, "marker_m must be smaller"),
        ({"square_m": 30.0, "marker_m": 22.0}, "both in metres"),
        ({"dictionary": "DICT_9X9"}, "dictionary must be one of OpenCV"),
    ],
)
def test_an_impossible_board_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BoardConfig(**changes)


def test_a_board_is_printed_in_true_size_and_can_be_detected(tmp_path: Path) -> None:
    board = BoardConfig(columns=5, rows=4)
    write_board(board, tmp_path / "board.png")
    picture = cv2.imread(str(tmp_path / "board.png"))
    # 300 dots per inch: 150 mm of squares and two margins of 12 mm.
    assert picture.shape[1] == pytest.approx((0.15 + 0.024) / 0.0254 * 300, abs=1)
    small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    detection = BoardDetector(board).detect(small)
    assert detection is not None
    assert len(detection.points_m) == 12
    np.testing.assert_allclose(np.diff(detection.corners_px[:4, 0]), 0.03 / 0.0254 * 150, atol=0.5)


def test_a_board_is_printed_as_pdf_of_the_same_size(tmp_path: Path) -> None:
    write_board(BoardConfig(columns=5, rows=4), tmp_path / "board.pdf")
    content = (tmp_path / "board.pdf").read_bytes()
    box = content.split(b"/MediaBox [")[1].split(b"]")[0].split()
    width_points = (5 * 0.03 + 0.024) / 0.0254 * 72
    assert float(box[2]) == pytest.approx(width_points, abs=0.1)


def test_the_mesh_of_the_twin_has_the_cells_of_the_picture() -> None:
    pixels = 42
    picture = rig.BOARD.opencv_board().generateImage((9 * pixels * 5, 6 * pixels * 5))
    drawn = np.full_like(picture, 255)
    scale = pixels * 5 / rig.BOARD.square_m
    for x0, y0, x1, y1 in np.round(black_cells(rig.BOARD) * scale).astype(int):
        drawn[y0:y1, x0:x1] = 0
    assert np.mean(drawn != picture) < 0.005


@pytest.mark.parametrize(("camera", "size"), [("wrist", (640, 480))])
def test_a_rendered_board_is_where_it_truly_is(camera: str, size: tuple[int, int]) -> None:
    with BoardStudio(camera, rig.BOARD, *size) as studio:
        detection = BoardDetector(rig.BOARD).detect(studio.take())
    assert detection is not None
    truth = studio.truth
    tcp = forward_kinematics(HOME_JOINT_POSITIONS)
    expected = np.linalg.inv(tcp @ truth.camera) @ truth.board
    pixels, _ = truth.lens.project(detection.points_m @ expected[:3, :3].T + expected[:3, 3])
    errors_px = detection.corners_px - pixels
    assert np.abs(errors_px.mean(axis=0)).max() < 0.1
    assert np.sqrt(np.mean(np.sum(errors_px**2, axis=1))) < 0.4
    error_mm, error_deg = rig.camera_error(board_pose(detection, truth.lens), expected)
    assert error_mm < 1.5
    assert error_deg < 0.5


def test_a_picture_without_a_board_shows_none() -> None:
    assert BoardDetector(rig.BOARD).detect(np.full((120, 160, 3), 200, np.uint8)) is None


def test_a_folder_of_views_is_resumed(tmp_path: Path) -> None:
    folder = ViewFolder.open_or_create(tmp_path / "views", SESSION)
    folder.add(IMAGE, joint_positions=HOME_JOINT_POSITIONS)
    again = ViewFolder.open_or_create(tmp_path / "views", SESSION)
    view = again.add(IMAGE + 7, joint_positions=HOME_JOINT_POSITIONS)
    assert view.picture == "0001.png"
    assert len(ViewFolder(tmp_path / "views").views) == 2
    np.testing.assert_array_equal(again.image(view), IMAGE + 7)
    np.testing.assert_allclose(
        view.transform_tcp_to_base(), forward_kinematics(HOME_JOINT_POSITIONS)
    )


def test_colours_are_kept(tmp_path: Path) -> None:
    folder = ViewFolder.open_or_create(tmp_path, SESSION)
    image = IMAGE.copy()
    image[..., 0] = 200
    view = folder.add(image, joint_positions=HOME_JOINT_POSITIONS)
    np.testing.assert_array_equal(folder.image(view), image)
    assert matplotlib.image.imread(tmp_path / view.picture)[0, 0, 0] > 0.7


def test_the_pose_that_the_robot_reports_wins() -> None:
    quaternion = (0.0, 0.6, 0.0, 0.8)
    view = View(
        picture="0.png",
        joint_positions=tuple(HOME_JOINT_POSITIONS),
        tcp_position_m=(0.4, 0.0, 0.3),
        tcp_quaternion_xyzw=quaternion,
    )
    expected = make_transform(
        rotation_from_quaternion(np.array(quaternion)), np.array([0.4, 0.0, 0.3])
    )
    np.testing.assert_allclose(view.transform_tcp_to_base(), expected)


def test_another_camera_does_not_continue_a_folder(tmp_path: Path) -> None:
    ViewFolder.open_or_create(tmp_path, SESSION)
    other = ViewSession(
        robot="sim", camera="wrist", serial="2", parent_frame="tcp", board=BoardConfig()
    )
    with pytest.raises(CalibrationError, match="use another folder"):
        ViewFolder.open_or_create(tmp_path, other)


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ({"picture": "../0.png"}, "without a folder"),
        ({"picture": "0.png", "joint_positions": [0.0] * 6}, "expected 7 values"),
        ({"picture": "0.png", "tcp_position_m": [0, 0, 0]}, "go together"),
        ({"picture": "0.png", "joints": [0.0] * 7}, "unknown key 'joints'"),
    ],
)
def test_a_wrong_list_of_views_is_refused(
    tmp_path: Path, view: dict[str, object], message: str
) -> None:
    ViewFolder.open_or_create(tmp_path, SESSION)
    (tmp_path / "views.json").write_text(json.dumps({"views": [view]}))
    with pytest.raises(CalibrationError, match=message):
        ViewFolder(tmp_path)


@pytest.mark.parametrize("joints", [None, (float("nan"),) * 7])
def test_an_unknown_posture_is_refused(joints: tuple[float, ...] | None) -> None:
    with pytest.raises(CalibrationError, match=r"view 0\.png has"):
        View(picture="0.png", joint_positions=joints).transform_tcp_to_base()
