"""Plans the postures of `mailctl calibrate collect --poses auto` from what the camera sees now."""

from typing import TYPE_CHECKING

import numpy as np

from calibration.board import BoardConfig, BoardDetector, Lens, board_pose
from calibration.poses import PosePlanConfig, PosePlanner
from calibration.refinement import HandEye
from calibration.results import RESULTS, CalibrationError, HandEyeResult, latest_results
from calibration.views import ViewSession
from mail_policy.core.frames import Array
from mail_policy.core.kinematics import forward_kinematics
from mail_policy.core.motion.config import EnvelopeConfig

if TYPE_CHECKING:
    from mail_bringup.calibration_node import CalibrationLink

# Below this a marker's cells are too small to be read [px]; tilted ones need some more.
_SMALLEST_CELL_PX = 2.2


def plan_postures(link: "CalibrationLink", session: ViewSession, count: int) -> Array:
    """Return safe postures from which the camera sees the board [rad], shape (count, 7).

    Args:
        link: Calibration's topics; the camera sees the board now, and the arm stands.
        session: Of the views.
        count: How many.

    Raises:
        CalibrationError: The board is not seen, or nothing is known of the camera's place.
    """
    rough = _rough_camera(session)
    picture, joints = link.album.newest(), link.joints.since(-np.inf)[1]
    if picture is None or link.camera_matrix is None or len(joints) == 0:
        raise CalibrationError("camera or arm is silent; see mailctl status")
    detection = BoardDetector(session.board).detect(picture.image)
    if detection is None:
        raise CalibrationError(
            "the board is not seen from here; move the arm so that it is, then plan again"
        )
    lens = Lens(link.camera_matrix, link.distortion)
    tcp = forward_kinematics(joints[-1])
    other_parent = np.linalg.inv(tcp) if session.parent_frame == "base" else tcp
    board = other_parent @ rough @ board_pose(detection, lens)
    planner = PosePlanner(
        HandEye(rough, board),
        session.parent_frame,
        lens,
        session.board,
        EnvelopeConfig(),
        PosePlanConfig(count=count, farthest_m=_farthest_m(lens, session.board)),
    )
    return planner.plan()


def _farthest_m(lens: Lens, board: BoardConfig) -> float:
    """Return from how far the camera can read the board's markers [m]."""
    cells = board.opencv_board().getDictionary().markerSize + 2
    readable_m = float(lens.matrix[0, 0]) * board.marker_m / cells / _SMALLEST_CELL_PX
    return min(PosePlanConfig().farthest_m, readable_m)


def _rough_camera(session: ViewSession) -> Array:
    """Return where the camera was by the last calibration: transform_camera_to_parent."""
    known = latest_results(RESULTS / session.robot).get(("hand_eye", session.camera))
    if not isinstance(known, HandEyeResult) or known.parent_frame != session.parent_frame:
        raise CalibrationError(
            f"nothing is known of where {session.camera} is on {session.parent_frame}, which "
            "automatic postures need; collect about ten guided views first, and run mailctl "
            "calibrate hand-eye"
        )
    return known.transform_camera_to_parent
