"""Says whether a camera was moved since it was calibrated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.board import BoardConfig, Lens
from calibration.hand_eye import board_differences
from calibration.refinement import BoardView, HandEye, invert, refine
from calibration.result_types import CalibrationError, HandEyeResult

# From so many views on the board's place is computed anew, so the board may have been moved.
_ENOUGH_FOR_BOARD = 4
# A camera counts as moved when boards are off by this factor of what they were when it was
# calibrated, and by more than this.
_FACTOR, _LEAST_MM, _LEAST_DEG = 3.0, 3.0, 0.5


@dataclass(frozen=True, slots=True)
class CameraCheck:
    """How well fresh views fit a stored calibration.

    Attributes:
        difference_mm: Median distance of boards seen from boards predicted [mm].
        difference_deg: Median angle between them [deg].
        limit_mm: Above this the camera was moved [mm].
        limit_deg: Above this the camera was moved [deg].
        assumes_board: Whether the board must be where it was during calibration.
    """

    difference_mm: float
    difference_deg: float
    limit_mm: float
    limit_deg: float
    assumes_board: bool

    @property
    def was_moved(self) -> bool:
        """Return whether the calibration no longer holds."""
        return self.difference_mm > self.limit_mm or self.difference_deg > self.limit_deg

    def __str__(self) -> str:
        """Return the verdict as a sentence."""
        numbers = (
            f"boards are {self.difference_mm:.1f} mm and {self.difference_deg:.2f} deg from where "
            f"they should be, limits are {self.limit_mm:.1f} mm and {self.limit_deg:.2f} deg"
        )
        if not self.was_moved:
            return f"the calibration holds: {numbers}"
        suspects = "camera or board were" if self.assumes_board else "the camera was"
        return f"{suspects} moved: {numbers}; calibrate again"


def check_camera(
    result: HandEyeResult, views: Sequence[BoardView], lens: Lens, board: BoardConfig
) -> CameraCheck:
    """Compare fresh views with a stored calibration.

    Args:
        result: The stored calibration.
        views: From 4 views with turned hand on, the board may be anywhere; fewer need it to be
            where it was.
        lens: Of the camera.
        board: The board in the pictures.

    Raises:
        CalibrationError: There are too few views.
    """
    is_free = len(views) >= _ENOUGH_FOR_BOARD
    if not views or (result.board is None and not is_free):
        raise CalibrationError(
            f"{len(views)} usable views are too few to check {result.subject}: take "
            f"{_ENOUGH_FOR_BOARD} with the hand turned in different ways"
        )
    # Without a known place, where the first view sees the board is a start.
    camera = result.transform_camera_to_parent
    seen = invert(views[0].parent) @ camera @ views[0].board_to_camera
    known = HandEye(camera, result.board.transform if result.board and not is_free else seen)
    if is_free:
        known = refine(known, views, lens, moves_camera=False)
    differences_mm, differences_deg = board_differences(known, views, board)
    return CameraCheck(
        difference_mm=float(np.median(differences_mm)),
        difference_deg=float(np.median(differences_deg)),
        limit_mm=max(_LEAST_MM, _FACTOR * result.held_out_mm),
        limit_deg=max(_LEAST_DEG, _FACTOR * result.held_out_deg),
        assumes_board=not is_free,
    )
