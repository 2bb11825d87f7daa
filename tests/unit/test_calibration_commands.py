"""`mailctl calibrate` on folders of views: from pictures to results and reports."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration import commands
from calibration.board import Lens
from calibration.refinement import invert
from calibration.results import HandEyeResult, IntrinsicsResult, latest_results
from calibration.views import ViewFolder, ViewSession
from mail_policy import mailctl
from mail_policy.core.frames import Array, quaternion_from_rotation
from tests.unit import calibration_rig as rig

SESSION = ViewSession(robot="lab", camera="wrist", serial="7", parent_frame="tcp", board=rig.BOARD)


def drawn(board: Array, lens: Lens) -> np.ndarray:
    """Draw the board by a homography, which is what a pinhole makes of a plane."""
    scale = 4000.0
    flat = rig.BOARD.opencv_board().generateImage((1080, 720))
    to_camera = board[:3, [0, 1, 3]] @ np.diag([1 / scale, 1 / scale, 1.0])
    # generateImage counts pixels from their middle, the board from its edge.
    to_camera = to_camera @ np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    picture = cv2.warpPerspective(
        flat, lens.matrix @ to_camera, (640, 480), flags=cv2.INTER_AREA, borderValue=150
    )
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)


def write_views(path: Path, count: int, seed: int, camera: Array = rig.TRUTH.camera) -> Path:
    random = np.random.default_rng(seed)
    folder = ViewFolder.open_or_create(path, SESSION)
    for board in rig.boards_in_camera(count, random):
        tcp = invert(camera @ board @ invert(rig.TRUTH.board))
        folder.add(
            drawn(board, rig.LENS),
            tcp_position_m=tcp[:3, 3],
            tcp_quaternion_xyzw=quaternion_from_rotation(tcp[:3, :3]),
        )
    return path


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Return a folder of views, and results computed from it."""
    root = tmp_path_factory.mktemp("calibration")
    views, results = write_views(root / "views", 14, seed=0), root / "results"
    for command in ("intrinsics", "hand-eye"):
        assert mailctl.main(["calibrate", command, str(views), "--results", str(results)]) == 0
    return views, results


def test_results_are_near_the_truth(places: tuple[Path, Path]) -> None:
    latest = latest_results(places[1] / "lab")
    intrinsics, hand_eye = latest["intrinsics", "wrist"], latest["hand_eye", "wrist"]
    assert isinstance(intrinsics, IntrinsicsResult)
    assert isinstance(hand_eye, HandEyeResult)
    assert intrinsics.fx == pytest.approx(600.0, abs=3.0)
    error_mm, error_deg = rig.camera_error(hand_eye.transform_camera_to_parent, rig.TRUTH.camera)
    assert error_mm < 3.0
    assert error_deg < 0.3
    assert hand_eye.views == 14
    assert hand_eye.serial == "7"
    assert hand_eye.residuals["reprojection_px"] < 0.5


@pytest.mark.parametrize("page", ["intrinsics.html", "hand_eye.html"])
def test_reports_need_no_other_file(places: tuple[Path, Path], page: str) -> None:
    text = (places[0] / page).read_text()
    assert "data:image/png;base64," in text
    assert "held-out error" in text
    assert "$" not in text


def test_a_camera_that_stayed_passes_and_one_that_moved_fails(
    places: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = rig.TRUTH.camera @ rig.pose(0.015, 0.0, 0.01, 0.0, 0.04, 0.0)
    for name, camera, code in (("same", rig.TRUTH.camera, 0), ("moved", moved, 3)):
        views = write_views(tmp_path / name, 5, seed=9, camera=camera)
        words = ["calibrate", "check", str(views), "--results", str(places[1])]
        assert mailctl.main(words) == code
    said = capsys.readouterr().out
    assert "wrist: the calibration holds" in said
    assert "wrist: the camera was moved" in said


def test_without_intrinsics_the_remedy_is_named(
    places: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["calibrate", "hand-eye", str(places[0]), "--results", str(tmp_path)]
    assert mailctl.main(words) == 1
    assert "run mailctl calibrate intrinsics" in capsys.readouterr().err


def test_a_folder_without_views_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mailctl.main(["calibrate", "intrinsics", str(tmp_path)]) == 1
    assert "session.json" in capsys.readouterr().err


def test_a_board_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "board.png"
    words = ["calibrate", "board", "--out", str(out), "--columns", "4", "--rows", "3"]
    assert mailctl.main(words) == 0
    assert out.stat().st_size > 0
    assert "print at 100 %" in capsys.readouterr().out
    assert mailctl.main([*words, "--marker-m", "0.05"]) == 1
    assert "marker_m must be smaller" in capsys.readouterr().err


def test_an_unknown_command_lists_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert mailctl.main(["calibrate", "handeye"]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in commands.COMMANDS)
