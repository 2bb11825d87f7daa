"""Views of a board whose truth is known: projected for the mathematics, rendered for the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from calibration.board import BoardConfig, BoardDetector, Detection, Image, Lens, board_pose
from calibration.poses import PosePlanConfig, PosePlanner
from calibration.refinement import BoardView, HandEye, invert
from mail_policy.core.frames import Array, make_transform, move_pose, rotation_from_vector
from mail_policy.core.kinematics import forward_kinematics
from mail_policy.core.motion.config import EnvelopeConfig
from mail_sim.world.calibration_board import BoardStudio

BOARD = BoardConfig()
WIDTH, HEIGHT = 640, 480
LENS = Lens(np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]), np.zeros(5))
# Distances at which a camera of the twin sees the board well [m].
DISTANCES_M = {"wrist": (0.25, 0.50), "agentview": (0.70, 1.10)}
PICTURE_SIZES = {"wrist": (1280, 960), "agentview": (1280, 720)}


def pose(*vector: float) -> Array:
    """Return a transform of a translation [m] and a rotation vector [rad]."""
    return make_transform(rotation_from_vector(np.array(vector[3:])), np.array(vector[:3]))


TRUTH = HandEye(pose(0.05, -0.03, 0.08, 0.2, -0.3, 1.5), pose(0.5, 0.1, 0.02, 2.9, 0.3, 0.1))


def boards_in_camera(count: int, random: np.random.Generator) -> list[Array]:
    """Draw boards in front of a camera, turned in all directions, shape (4, 4) each."""
    boards = []
    for _ in range(count):
        rotation = rotation_from_vector(random.uniform(-0.6, 0.6, 3))
        centre = random.uniform([-0.08, -0.06, 0.35], [0.08, 0.06, 0.6])
        boards.append(make_transform(rotation, centre - rotation @ BOARD.centre_m))
    return boards


def detection_of(board: Array, random: np.random.Generator, noise_px: float) -> Detection:
    """Project the corners of a board; those outside the picture are not seen."""
    points = np.asarray(BOARD.opencv_board().getChessboardCorners(), float)
    pixels, _ = LENS.project(points @ board[:3, :3].T + board[:3, 3])
    inside = ((pixels > 0) & (pixels < (WIDTH, HEIGHT))).all(axis=1)
    return Detection((pixels + random.normal(0.0, noise_px, pixels.shape))[inside], points[inside])


def projected_views(
    count: int, seed: int, noise_px: float = 0.3, arm_noise_m: float = 0.0
) -> list[BoardView]:
    """Return views for TRUTH.

    Args:
        count: How many.
        seed: Of poses and noise.
        noise_px: Standard deviation of corners [px].
        arm_noise_m: Standard deviation of the arm's position [m].
    """
    random, views = np.random.default_rng(seed), []
    for number, board in enumerate(boards_in_camera(count, random)):
        parent = TRUTH.camera @ board @ invert(TRUTH.board)
        parent[:3, 3] += random.normal(0.0, arm_noise_m, 3)
        detection = detection_of(board, random, noise_px)
        views.append(BoardView(f"{number:04d}.png", parent, detection, board_pose(detection, LENS)))
    return views


def corrupted(views: Sequence[BoardView]) -> list[BoardView]:
    """Return views of which three are wrong: two swapped pictures, one wrong posture."""
    bad = list(views)
    bad[2], bad[5] = replace(bad[2], parent=bad[5].parent), replace(bad[5], parent=bad[2].parent)
    wrong = np.array([0.02, -0.01, 0.0, 0.0, 0.05, 0.0])
    bad[7] = replace(bad[7], parent=move_pose(bad[7].parent, wrong))
    return bad


@dataclass(frozen=True)
class Flaws:
    """What is wrong with a picture.

    Attributes:
        noise: Standard deviation of grey values.
        defocus_px: Standard deviation of the blur [px].
        motion_px: Length of the blur by motion [px].
        shade: Share of light that one side of the picture lacks.
    """

    noise: float = 3.0
    defocus_px: float = 0.7
    motion_px: int = 3
    shade: float = 0.4


def spoilt(image: Image, flaws: Flaws, random: np.random.Generator) -> Image:
    """Return a picture as a real camera would take it: blurred, unevenly lit, noisy."""
    picture = cv2.GaussianBlur(image.astype(np.float32), (0, 0), flaws.defocus_px)
    if flaws.motion_px > 1:
        line = np.zeros((flaws.motion_px, flaws.motion_px), np.float32)
        line[flaws.motion_px // 2] = 1.0 / flaws.motion_px
        if random.random() < 0.5:
            line = line.T
        picture = cv2.filter2D(picture, -1, line)
    angle_rad, (height, width) = random.uniform(-np.pi, np.pi), image.shape[:2]
    y, x = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    light = 1.0 - flaws.shade * (0.5 + 0.7 * (x * np.cos(angle_rad) + y * np.sin(angle_rad)))
    picture = picture * light[..., None] + random.normal(0.0, flaws.noise, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def planned_postures(studio: BoardStudio, camera: str, count: int, seed: int = 0) -> Array:
    """Plan postures as an operator would: camera and board are known within centimetres."""
    random, truth = np.random.default_rng(seed), studio.truth
    guess = [
        move_pose(transform, random.normal(0.0, [0.01] * 3 + [0.03] * 3))
        for transform in (truth.camera, truth.board)
    ]
    nearest_m, farthest_m = DISTANCES_M[camera]
    config = PosePlanConfig(count=count, nearest_m=nearest_m, farthest_m=farthest_m, seed=seed)
    rough, frame = HandEye(*guess), truth.parent_frame
    return PosePlanner(rough, frame, truth.lens, BOARD, EnvelopeConfig(), config).plan()


def seen_views(
    pictures: Sequence[Image], postures: Array, parent_frame: str, lens: Lens
) -> list[BoardView]:
    """Find the board in pictures; return the views that show it."""
    detector, views = BoardDetector(BOARD), []
    for number, (picture, posture) in enumerate(zip(pictures, postures, strict=True)):
        detection = detector.detect(picture)
        if detection is None:
            continue
        tcp = forward_kinematics(posture)
        parent = invert(tcp) if parent_frame == "tcp" else tcp
        views.append(BoardView(f"{number:04d}.png", parent, detection, board_pose(detection, lens)))
    return views


def camera_error(found: Array, true: Array) -> tuple[float, float]:
    """Return how far a camera is from where it truly is: [mm], [deg]."""
    turn = found[:3, :3].T @ true[:3, :3]
    sine = 0.5 * np.linalg.norm(
        [turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]
    )
    angle_deg = np.degrees(np.arctan2(sine, 0.5 * (np.trace(turn) - 1.0)))
    return float(1e3 * np.linalg.norm(found[:3, 3] - true[:3, 3])), float(angle_deg)
