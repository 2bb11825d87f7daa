"""The ChArUco board: a chessboard whose white squares carry markers, so parts of it suffice.

The board's frame has its origin at a corner of the board, x along a row of squares, y along a
column, and z into the board, away from whoever looks at it.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.result_types import CalibrationError
from mail_policy.core.frames import Array, make_transform, rotation_from_vector

Image = NDArray[np.uint8]
Flags = NDArray[np.bool_]
# Fewer corners than this do not fix a pose well.
MIN_CORNERS = 8
_INCH_M = 0.0254
_PRINT_DPI = 300
_MARGIN_M = 0.012
# Refining a corner looks this far around it, which stays clear of the next markers.
_REFINE_WINDOW_PX = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardConfig:
    """Which board is used. The defaults fit on a sheet of A4.

    Attributes:
        columns: Squares in a row.
        rows: Squares in a column.
        square_m: Side of a square [m]; measure it on the print.
        marker_m: Side of a marker [m].
        dictionary: Name of the markers' dictionary in OpenCV, for example `DICT_5X5_100`.
    """

    columns: int = 9
    rows: int = 6
    square_m: float = 0.030
    marker_m: float = 0.022
    dictionary: str = "DICT_5X5_100"

    def __post_init__(self) -> None:
        """Refuse a board that cannot be printed or found."""
        if min(self.columns, self.rows) < 3:
            raise ValueError(f"a board needs 3 x 3 squares, got {self.columns} x {self.rows}")
        if not 0.0 < self.marker_m < self.square_m < 1.0:
            raise ValueError(
                "marker_m must be smaller than square_m, and both in metres, got "
                f"{self.marker_m} and {self.square_m}"
            )
        if not (self.dictionary.startswith("DICT_") and hasattr(cv2.aruco, self.dictionary)):
            raise ValueError(f"dictionary must be one of OpenCV, got {self.dictionary!r}")

    @property
    def width_m(self) -> float:
        """Return the length of a row [m]."""
        return self.columns * self.square_m

    @property
    def height_m(self) -> float:
        """Return the length of a column [m]."""
        return self.rows * self.square_m

    @property
    def centre_m(self) -> Array:
        """Return the middle of the board in its frame [m], shape (3,)."""
        return np.array([0.5 * self.width_m, 0.5 * self.height_m, 0.0])

    def opencv_board(self) -> cv2.aruco.CharucoBoard:
        """Return the board as OpenCV describes it."""
        markers = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, self.dictionary))
        return cv2.aruco.CharucoBoard(
            (self.columns, self.rows), self.square_m, self.marker_m, markers
        )


# eq=False: comparing arrays yields arrays.
@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """Which corners of the board were seen where.

    Attributes:
        corners_px: Column and row of each corner [px], shape (n, 2).
        points_m: The same corners in the board's frame [m], shape (n, 3).
    """

    corners_px: Array
    points_m: Array


class BoardDetector:
    """Finds a board in pictures."""

    def __init__(self, config: BoardConfig) -> None:
        self._points = np.asarray(config.opencv_board().getChessboardCorners(), float)
        self._detector = cv2.aruco.CharucoDetector(config.opencv_board())

    def detect(self, image: Image) -> Detection | None:
        """Return the corners found with subpixel accuracy; None if there are too few.

        Args:
            image: RGB uint8, shape (height, width, 3).
        """
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        corners, ids, _, _ = self._detector.detectBoard(grey)
        if ids is None or len(ids) < MIN_CORNERS:
            return None
        window = (_REFINE_WINDOW_PX, _REFINE_WINDOW_PX)
        until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-3)
        refined = cv2.cornerSubPix(grey, corners.astype(np.float32), window, (-1, -1), until)
        points = self._points[ids.ravel()]
        if np.linalg.matrix_rank(points - points.mean(0), tol=1e-6) < 2:
            return None
        return Detection(refined.reshape(-1, 2).astype(float), points)


@dataclass(frozen=True, slots=True, eq=False)
class Lens:
    """How a camera maps directions to pixels: OpenCV's pinhole model.

    Attributes:
        matrix: Camera matrix [px], shape (3, 3).
        distortion: k1, k2, p1, p2, k3, shape (5,).
    """

    matrix: Array
    distortion: Array

    def project(self, points_m: Array) -> tuple[Array, Array]:
        """Project points in the camera's frame.

        Args:
            points_m: x right, y down, z forward [m], shape (n, 3).

        Returns:
            Pixels, shape (n, 2), and their derivatives by the points [px/m], shape (n, 2, 3).
        """
        zero = np.zeros(3)
        pixels, derivatives = cv2.projectPoints(
            points_m.reshape(-1, 1, 3), zero, zero, self.matrix, self.distortion
        )
        return pixels.reshape(-1, 2), derivatives[:, 3:6].reshape(-1, 2, 3)


def board_pose(detection: Detection, lens: Lens) -> Array:
    """Return transform_board_to_camera as one picture tells it, shape (4, 4)."""
    points = detection.points_m.reshape(-1, 1, 3)
    pixels = detection.corners_px.reshape(-1, 1, 2)
    # Two poses fit a plane; the first one fits better.
    found, rotations, translations, _ = cv2.solvePnPGeneric(
        points, pixels, lens.matrix, lens.distortion, flags=cv2.SOLVEPNP_IPPE
    )
    if not found:
        raise CalibrationError("the board's pose cannot be found from its corners; drop this view")
    rotation, translation = cv2.solvePnPRefineLM(
        points, pixels, lens.matrix, lens.distortion, rotations[0], translations[0]
    )
    return make_transform(rotation_from_vector(rotation.ravel()), translation.ravel())


def write_board(config: BoardConfig, path: Path) -> None:
    """Write a board to print in true size, as PDF or PNG, with a line that says what it is."""
    pixels_per_square = round(config.square_m / _INCH_M * _PRINT_DPI)
    size = (config.columns * pixels_per_square, config.rows * pixels_per_square)
    picture = config.opencv_board().generateImage(size)
    width_m, height_m = config.width_m + 2 * _MARGIN_M, config.height_m + 2 * _MARGIN_M
    figure = Figure(figsize=(width_m / _INCH_M, height_m / _INCH_M), dpi=_PRINT_DPI)
    left, low = _MARGIN_M / width_m, _MARGIN_M / height_m
    axes = figure.add_axes((left, low, 1.0 - 2 * left, 1.0 - 2 * low))
    axes.imshow(picture, cmap="gray", interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    text = (
        f"{config.columns} x {config.rows} squares of {1e3 * config.square_m:g} mm, markers of "
        f"{1e3 * config.marker_m:g} mm, {config.dictionary}. Print at 100 %, then measure: "
        f"the row is {1e3 * config.width_m:g} mm long."
    )
    figure.text(0.5, 0.4 * low, text, ha="center", va="center", fontsize=6)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
