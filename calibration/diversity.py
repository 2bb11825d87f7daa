"""Says which views are missing, in words that the person at the robot can act on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.board import BoardConfig, Detection
from mail_policy.core.frames import Array, vector_from_rotation

ENOUGH_VIEWS = 12
_ENOUGH_TURN_DEG = 30.0
_ENOUGH_DISTANCE_M = 0.08
_ENOUGH_TILT_DEG = 15.0
_ENOUGH_TILTED_VIEWS = 2
# A ninth of the picture counts as covered from this many corners on.
_ENOUGH_CORNERS = 12
_ROWS, _COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")


@dataclass(frozen=True, slots=True, eq=False)
class HandTurns:
    """How the hand was turned between views.

    Attributes:
        range_deg: About the hand's x, y and z axis [deg], shape (3,).
        second_deg: Standard deviation about the second best axis [deg]; with all turns about one
            axis the camera's place cannot be computed.
    """

    range_deg: Array
    second_deg: float


def hand_turns(tcp_poses: Array) -> HandTurns:
    """Measure how the hand was turned.

    Args:
        tcp_poses: transform_tcp_to_base of each view, shape (n, 4, 4).
    """
    rotations = tcp_poses[:, :3, :3]
    left, _, right = np.linalg.svd(rotations.mean(axis=0))
    mean = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
    vectors = np.degrees([vector_from_rotation(mean.T @ rotation) for rotation in rotations])
    deviations = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(vectors.T)), 0.0))
    return HandTurns(np.ptp(vectors, axis=0), float(deviations[1]))


def missing_hand_eye_views(tcp_poses: Array, boards: Array, board: BoardConfig) -> list[str]:
    """Return what to do for a better hand-eye calibration; nothing if the views suffice.

    Args:
        tcp_poses: transform_tcp_to_base of each view, shape (n, 4, 4).
        boards: transform_board_to_camera of each view, shape (n, 4, 4).
        board: The board in the pictures.
    """
    missing = _missing_count(len(tcp_poses))
    for axis, turn_deg in zip("xyz", hand_turns(tcp_poses).range_deg, strict=True):
        if turn_deg < _ENOUGH_TURN_DEG:
            missing.append(
                f"rotate the hand by at least {_ENOUGH_TURN_DEG:.0f} deg about its {axis} axis "
                f"between views (so far {turn_deg:.0f} deg)"
            )
    return missing + _missing_distance(boards, board)


def missing_intrinsics_views(
    detections: Sequence[Detection], boards: Array, board: BoardConfig, width: int, height: int
) -> list[str]:
    """Return what to do for better intrinsics; nothing if the views suffice.

    Args:
        detections: Corners of each view.
        boards: transform_board_to_camera of each view, shape (n, 4, 4).
        board: The board in the pictures.
        width: Columns of a picture.
        height: Rows of a picture.
    """
    missing = _missing_count(len(detections))
    counts = coverage(detections, width, height)
    for row, column in np.argwhere(counts < _ENOUGH_CORNERS):
        missing.append(f"show the board in the {_ROWS[row]} {_COLUMNS[column]} of the picture")
    # z of the board points away from the camera, so the side it leans towards is the nearer one.
    tilts_deg = np.degrees(np.arctan2(boards[:, :2, 2], boards[:, 2:3, 2]))
    sides = {"left": (0, -1), "right": (0, 1), "upper": (1, -1), "lower": (1, 1)}
    for side, (axis, sign) in sides.items():
        if np.sum(sign * tilts_deg[:, axis] >= _ENOUGH_TILT_DEG) < _ENOUGH_TILTED_VIEWS:
            missing.append(
                f"tilt the board by {_ENOUGH_TILT_DEG:.0f} deg or more with its {side} side "
                f"nearer to the camera, in {_ENOUGH_TILTED_VIEWS} views"
            )
    return missing + _missing_distance(boards, board)


def coverage(detections: Sequence[Detection], width: int, height: int) -> Array:
    """Return how many corners lie in each ninth of the picture, shape (3, 3), top row first."""
    corners = np.concatenate([detection.corners_px for detection in detections])
    edges = np.linspace(0, height, 4), np.linspace(0, width, 4)
    counts: Array = np.histogram2d(corners[:, 1], corners[:, 0], bins=edges)[0]
    return counts


def _missing_count(count: int) -> list[str]:
    few = ENOUGH_VIEWS - count
    return [f"take at least {few} more views (so far {count})"] if few > 0 else []


def _missing_distance(boards: Array, board: BoardConfig) -> list[str]:
    centres = boards[:, :3, :3] @ board.centre_m + boards[:, :3, 3]
    range_m = float(np.ptp(centres[:, 2]))
    if range_m >= _ENOUGH_DISTANCE_M:
        return []
    return [
        f"bring the board nearer to the camera and farther away: all views are within "
        f"{100 * range_m:.0f} cm of distance, wanted are {100 * _ENOUGH_DISTANCE_M:.0f} cm or more"
    ]
