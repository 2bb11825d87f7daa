"""Intrinsics on projected views: accuracy, outliers, and what is missing."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.board import Detection, Lens
from calibration.diversity import coverage, missing_intrinsics_views
from calibration.intrinsics import calibrate_intrinsics
from calibration.results import CalibrationError
from mail_policy.core.frames import rotation_from_vector
from tests.unit import calibration_rig as rig


def detections(count: int, seed: int = 0) -> list[Detection]:
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        board = rig.pose(0, 0, 0, *random.uniform(-0.6, 0.6, 3))
        centre = random.uniform([-0.18, -0.12, 0.3], [0.18, 0.12, 0.55])
        board[:3, 3] = centre - board[:3, :3] @ rig.BOARD.centre_m
        detection = rig.detection_of(board, random, 0.2)
        if len(detection.points_m) >= 15:
            found.append(detection)
    return found


def test_the_lens_is_found() -> None:
    estimate = calibrate_intrinsics(detections(25), rig.BOARD, rig.WIDTH, rig.HEIGHT)
    focal_px, centre_px = estimate.lens.matrix[[0, 1], [0, 1]], estimate.lens.matrix[:2, 2]
    np.testing.assert_allclose(focal_px, 600.0, atol=1.5)
    np.testing.assert_allclose(centre_px, [320, 240], atol=2.0)
    assert np.abs(estimate.lens.distortion[:2]).max() < 0.02
    # Noise of 0.2 px in both directions.
    assert 0.2 < estimate.rms_px < 0.32
    assert estimate.rms_px < np.median(estimate.held_out_px) * 1.2
    assert estimate.used.all()
    assert estimate.missing == []


def test_a_distorted_lens_is_found() -> None:
    lens = Lens(rig.LENS.matrix, np.array([0.08, -0.12, 0.001, -0.001, 0.0]))
    random, views = np.random.default_rng(1), []
    for detection in detections(25):
        rays = np.column_stack([detection.corners_px, np.ones(len(detection.points_m))])
        points = rays @ np.linalg.inv(rig.LENS.matrix).T
        pixels, _ = lens.project(points)
        views.append(replace(detection, corners_px=pixels + random.normal(0, 0.1, pixels.shape)))
    found = calibrate_intrinsics(views, rig.BOARD, rig.WIDTH, rig.HEIGHT).lens
    np.testing.assert_allclose(found.distortion[:2], [0.08, -0.12], atol=0.03)


def test_wrong_views_are_left_out() -> None:
    views = detections(22)
    random = np.random.default_rng(2)
    for number in (3, 8):
        corners = views[number].corners_px
        views[number] = replace(
            views[number], corners_px=corners + random.normal(0, 4.0, corners.shape)
        )
    estimate = calibrate_intrinsics(views, rig.BOARD, rig.WIDTH, rig.HEIGHT)
    assert np.flatnonzero(~estimate.used).tolist() == [3, 8]
    np.testing.assert_allclose(estimate.lens.matrix[0, 0], 600.0, atol=2.0)


def test_too_few_views_are_refused() -> None:
    with pytest.raises(CalibrationError, match="5 usable views are too few, 8 are needed"):
        calibrate_intrinsics(detections(25)[:5], rig.BOARD, rig.WIDTH, rig.HEIGHT)


def test_missing_parts_of_the_picture_and_tilts_are_named() -> None:
    random = np.random.default_rng(0)
    # Small and far, always at the left, with the board's left side nearer or level.
    boards = []
    for angle_rad in np.linspace(0.0, 0.5, 14):
        board = rig.pose(0, 0, 0, 0.0, -angle_rad, 0.0)
        board[:3, 3] = [-0.45, 0.0, 1.5] - rotation_from_vector(
            np.array([0.0, -angle_rad, 0.0])
        ) @ rig.BOARD.centre_m
        boards.append(board)
    views = [rig.detection_of(board, random, 0.1) for board in boards]
    size = rig.WIDTH, rig.HEIGHT
    missing = missing_intrinsics_views(views, np.array(boards), rig.BOARD, *size)
    said = "; ".join(missing)
    assert coverage(views, *size)[1, 0] > 100
    assert "show the board in the top right of the picture" in said
    assert "middle left" not in said
    assert "with its right side nearer" in said
    assert "with its upper side nearer" in said
    assert "with its left side nearer" not in said
    assert "all views are within" in said


@pytest.mark.parametrize(
    ("vector", "side"),
    [
        ((0, 0.5, 0), "right"),
        ((0, -0.5, 0), "left"),
        ((-0.5, 0, 0), "lower"),
        ((0.5, 0, 0), "upper"),
    ],
)
def test_the_nearer_side_is_named_rightly(vector: tuple[float, ...], side: str) -> None:
    board = rig.pose(0, 0, 1.0, *vector)
    middle = {"left": (0, 0.5), "right": (1, 0.5), "upper": (0.5, 0), "lower": (0.5, 1)}
    width_m, height_m = rig.BOARD.width_m, rig.BOARD.height_m
    depths_m = {
        name: float((board @ np.array([x * width_m, y * height_m, 0, 1]))[2])
        for name, (x, y) in middle.items()
    }
    assert min(depths_m, key=lambda name: depths_m[name]) == side
    views = [rig.detection_of(board, np.random.default_rng(0), 0.1)] * 3
    missing = missing_intrinsics_views(
        views, np.array([board] * 3), rig.BOARD, rig.WIDTH, rig.HEIGHT
    )
    named = {name for name in middle if any(f"its {name} side" in text for text in missing)}
    assert named == set(middle) - {side}
