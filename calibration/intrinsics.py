"""How a camera maps directions to pixels, from views of a board."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from calibration.board import BoardConfig, Detection, Flags, Lens, board_pose
from calibration.diversity import missing_intrinsics_views
from calibration.result_types import CalibrationError
from mail_policy.core.frames import Array

FEWEST_VIEWS = 8
# A view is left out when it is worse than the median by this factor and this error [px].
_OUTLIER_FACTOR, _NOISE_PX = 3.0, 0.7
_LARGEST_OUTLIER_SHARE = 0.4
_FOLDS = 5
# The third radial term cannot be told from the first two but with very wide lenses.
_MODEL = cv2.CALIB_FIX_K3


@dataclass(frozen=True, slots=True, eq=False)
class IntrinsicsEstimate:
    """What calibration found.

    Attributes:
        lens: Of the camera.
        rms_px: Reprojection error of all used views together [px].
        used: Whether each view was used, shape (n,).
        errors_px: Reprojection error of each view, used or not [px], shape (n,).
        held_out_px: Of each used view, with a lens computed without it [px].
        missing: What would make it better, in words.
    """

    lens: Lens
    rms_px: float
    used: Flags
    errors_px: Array
    held_out_px: Array
    missing: list[str]


def calibrate_intrinsics(
    detections: Sequence[Detection], board: BoardConfig, width: int, height: int
) -> IntrinsicsEstimate:
    """Compute the lens of a camera.

    Args:
        detections: Corners of each view.
        board: The board in the pictures.
        width: Columns of a picture.
        height: Rows of a picture.

    Raises:
        CalibrationError: The views are too few or contradict each other.
    """
    used = np.ones(len(detections), bool)
    while True:
        _require_enough(used)
        lens = _fit(_select(detections, used), width, height)
        errors_px = np.array([_error_px(detection, lens) for detection in detections])
        limit_px = max(_NOISE_PX, _OUTLIER_FACTOR * float(np.median(errors_px[used])))
        # Never taken back, so that it ends.
        agreeing = used & (errors_px <= limit_px)
        if np.array_equal(agreeing, used):
            break
        used = agreeing
    kept = _select(detections, used)
    poses = np.array([board_pose(detection, lens) for detection in kept])
    return IntrinsicsEstimate(
        lens=lens,
        rms_px=float(np.sqrt(np.mean(errors_px[used] ** 2))),
        used=used,
        errors_px=errors_px,
        held_out_px=_held_out(kept, width, height),
        missing=missing_intrinsics_views(kept, poses, board, width, height),
    )


def _fit(detections: Sequence[Detection], width: int, height: int) -> Lens:
    points = [detection.points_m.astype(np.float32) for detection in detections]
    corners = [detection.corners_px.astype(np.float32) for detection in detections]
    _, matrix, distortion, _, _ = cv2.calibrateCamera(
        points, corners, (width, height), None, None, flags=_MODEL
    )
    if not (np.isfinite(matrix).all() and np.isfinite(distortion).all()):
        raise CalibrationError(
            "intrinsics are not finite; take views that tilt the board in all directions"
        )
    return Lens(matrix, distortion.ravel()[:5])


def _error_px(detection: Detection, lens: Lens) -> float:
    """Return the rms error of a view's corners, with its board where it fits best [px]."""
    pose = board_pose(detection, lens)
    pixels, _ = lens.project(detection.points_m @ pose[:3, :3].T + pose[:3, 3])
    return float(np.sqrt(np.mean(np.sum((pixels - detection.corners_px) ** 2, axis=1))))


def _held_out(detections: Sequence[Detection], width: int, height: int) -> Array:
    errors_px, folds = np.zeros(len(detections)), np.arange(len(detections)) % _FOLDS
    for fold in range(_FOLDS):
        lens = _fit(_select(detections, folds != fold), width, height)
        rest = _select(detections, folds == fold)
        errors_px[folds == fold] = [_error_px(detection, lens) for detection in rest]
    return errors_px


def _require_enough(used: Flags) -> None:
    if used.sum() < FEWEST_VIEWS:
        raise CalibrationError(
            f"intrinsics refused: {used.sum()} usable views are too few, {FEWEST_VIEWS} are "
            f"needed; take at least {FEWEST_VIEWS - used.sum()} more"
        )
    if np.mean(~used) > _LARGEST_OUTLIER_SHARE:
        raise CalibrationError(
            f"intrinsics refused: {np.sum(~used)} of {len(used)} views contradict the others; is "
            "the board flat, and the focus fixed?"
        )


def _select(detections: Sequence[Detection], used: Flags) -> list[Detection]:
    return [detection for detection, is_used in zip(detections, used, strict=True) if is_used]
