"""From a folder of views to what calibration computes with: corners, postures, a lens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.board import BoardDetector, Detection, Image, Lens, board_pose
from calibration.refinement import BoardView, invert
from calibration.result_types import CalibrationError, IntrinsicsResult
from calibration.views import View, ViewFolder


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """The views of a folder in which the board was found.

    Attributes:
        views: In order.
        detections: Their corners.
        image: Picture of the first one: RGB uint8, shape (height, width, 3).
        unseen: Names of pictures without a board.
    """

    views: tuple[View, ...]
    detections: tuple[Detection, ...]
    image: Image
    unseen: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Return the names of the pictures."""
        return [view.picture for view in self.views]

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height of the pictures [px]."""
        return self.image.shape[1], self.image.shape[0]


def find_boards(folder: ViewFolder) -> Sightings:
    """Find the board in all pictures of a folder.

    Raises:
        CalibrationError: No picture shows it, or pictures differ in size.
    """
    detector = BoardDetector(folder.session.board)
    seen: list[tuple[View, Detection]] = []
    unseen, first = [], None
    for view in folder.views:
        image = folder.image(view)
        detection = detector.detect(image)
        if detection is None:
            unseen.append(view.picture)
            continue
        first = image if first is None else first
        if image.shape != first.shape:
            raise CalibrationError(
                f"{folder.path / view.picture} has shape {image.shape}, others {first.shape}; "
                "all pictures must come from the camera in one mode"
            )
        seen.append((view, detection))
    if first is None:
        raise CalibrationError(
            f"the board is in none of {len(folder.views)} pictures of {folder.path}; does "
            f"{folder.session.board} describe it?"
        )
    views, detections = zip(*seen, strict=True)
    return Sightings(views, detections, first, tuple(unseen))


def board_views(sightings: Sightings, parent_frame: str, lens: Lens) -> list[BoardView]:
    """Return what hand-eye calibration needs of views.

    Args:
        sightings: Of the board.
        parent_frame: Of the camera, `base` or `tcp`.
        lens: Of the camera.
    """
    result = []
    for view, detection in zip(sightings.views, sightings.detections, strict=True):
        tcp = view.transform_tcp_to_base()
        parent = invert(tcp) if parent_frame == "tcp" else tcp
        result.append(BoardView(view.picture, parent, detection, board_pose(detection, lens)))
    return result


def lens_of(intrinsics: IntrinsicsResult, size: Sequence[int]) -> Lens:
    """Return the lens of a result. Raises CalibrationError for pictures of another size."""
    if tuple(size) != (intrinsics.width, intrinsics.height):
        raise CalibrationError(
            f"intrinsics of {intrinsics.subject} are for {intrinsics.width} x {intrinsics.height} "
            f"pixels, the pictures have {size[0]} x {size[1]}; calibrate this mode"
        )
    return Lens(intrinsics.matrix, np.array(intrinsics.distortion))
