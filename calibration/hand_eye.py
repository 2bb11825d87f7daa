"""Where a camera is, on the hand or beside the robot, from views of a board.

One computation serves both. The camera is fixed to one of `tcp` and `base`, its parent, and the
board to the other. The arm's posture gives transform_board_parent_to_camera_parent, and every
corner must fall where the picture shows it:

    board in camera = inverse(camera in its parent) x posture x board in its parent

First a consensus among the views finds those that contradict the others, then the five solvers
answer for the rest, and a refinement on pixels has the last word.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.board import BoardConfig, Flags, Lens
from calibration.diversity import hand_turns, missing_hand_eye_views
from calibration.hand_eye_solvers import SOLVERS, motions_between, park
from calibration.refinement import BoardView, HandEye, invert, refine, view_errors_px
from calibration.result_types import CalibrationError
from mail_policy.core.frames import Array, make_transform, pose_error

FEWEST_VIEWS = 8
# Turns about a second axis below this leave the camera's place to noise.
_LEAST_SECOND_TURN_DEG = 4.0
_HYPOTHESES, _VIEWS_PER_HYPOTHESIS = 200, 4
# A view contradicts the others when it is worse than the median by this factor, and by more than
# the noise of a good detector [px] or of a board's pose [m].
_OUTLIER_FACTOR, _NOISE_PX, _NOISE_M = 3.0, 1.5, 0.004
_LARGEST_OUTLIER_SHARE = 0.4
_ROUNDS = 10
_FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class HandEyeEstimate:
    """What calibration found.

    Attributes:
        hand_eye: Poses of camera and board.
        used: Whether each view was used, shape (n,).
        errors_px: Reprojection error of each view, used or not [px], shape (n,).
        held_out_mm: Distance between predicted and seen board of each used view, predicted
            without this view [mm].
        held_out_deg: Angle between them [deg].
        solvers: Distance of each solver's camera from ours [mm] and [deg], by name.
        missing: What would make it better, in words.
    """

    hand_eye: HandEye
    used: Flags
    errors_px: Array
    held_out_mm: Array
    held_out_deg: Array
    solvers: dict[str, tuple[float, float]]
    missing: list[str]


def calibrate_hand_eye(
    views: Sequence[BoardView], lens: Lens, board: BoardConfig, parent_frame: str, seed: int = 0
) -> HandEyeEstimate:
    """Compute where camera and board are.

    Args:
        views: With the board in sight.
        lens: Of the camera.
        board: The board in the pictures.
        parent_frame: `tcp` for a camera on the hand, `base` for one beside the robot.
        seed: Of the consensus.

    Raises:
        CalibrationError: The views are too few, too much alike, or contradict each other.
    """
    require_views(views, parent_frame, board)
    used = _consensus(views, board, np.random.default_rng(seed))
    hand_eye = refine(_solve(_select(views, used)), _select(views, used), lens)
    for _ in range(_ROUNDS):
        errors_px = view_errors_px(hand_eye, views, lens)
        agreeing = errors_px <= max(_NOISE_PX, _OUTLIER_FACTOR * np.median(errors_px[used]))
        is_settled = np.array_equal(agreeing, used)
        used = agreeing
        _require_agreement(views, used)
        hand_eye = refine(hand_eye, _select(views, used), lens)
        if is_settled:
            break
    kept = _select(views, used)
    require_views(kept, parent_frame, board)
    held_out_mm, held_out_deg = _held_out(hand_eye, kept, lens, board)
    return HandEyeEstimate(
        hand_eye=hand_eye,
        used=used,
        errors_px=view_errors_px(hand_eye, views, lens),
        held_out_mm=held_out_mm,
        held_out_deg=held_out_deg,
        solvers=_compare_solvers(kept, hand_eye),
        missing=_missing(kept, parent_frame, board),
    )


def require_views(views: Sequence[BoardView], parent_frame: str, board: BoardConfig) -> None:
    """Refuse views from which no camera pose can be computed, and say what is missing."""
    if len(views) < FEWEST_VIEWS:
        problem = f"{len(views)} usable views are too few, {FEWEST_VIEWS} are needed"
        todo = [f"take at least {FEWEST_VIEWS - len(views)} more views"]
    elif hand_turns(_tcp_poses(views, parent_frame)).second_deg < _LEAST_SECOND_TURN_DEG:
        problem = "the hand was turned about one axis only, which leaves the camera's place open"
        todo = _missing(views, parent_frame, board)
    else:
        return
    raise CalibrationError(f"hand-eye calibration refused: {problem}; {'; '.join(todo)}")


def board_differences(
    hand_eye: HandEye, views: Sequence[BoardView], board: BoardConfig
) -> tuple[Array, Array]:
    """Return how far predicted boards are from seen ones: [mm] at its centre and [deg], (n,)."""
    centre = np.array([*board.centre_m, 1.0])
    errors_mm, errors_deg = [], []
    for view in views:
        predicted, seen = hand_eye.predict(view), view.board_to_camera
        errors_mm.append(1e3 * np.linalg.norm((predicted - seen) @ centre))
        errors_deg.append(np.degrees(np.linalg.norm(pose_error(predicted, seen)[3:])))
    return np.array(errors_mm), np.array(errors_deg)


def _consensus(
    views: Sequence[BoardView], board: BoardConfig, random: np.random.Generator
) -> Flags:
    """Return which views agree with the hypothesis that fits the median view best, shape (n,)."""
    corners = np.array(
        [[x * board.width_m, y * board.height_m, 0.0, 1.0] for x in (0, 1) for y in (0, 1)]
    ).T
    parents = np.array([view.parent for view in views])
    seen = np.array([view.board_to_camera for view in views]) @ corners
    best_m = np.full(len(views), np.inf)
    for _ in range(_HYPOTHESES):
        chosen = random.choice(len(views), _VIEWS_PER_HYPOTHESIS, replace=False)
        try:
            guess = _solve([views[i] for i in chosen])
        except ValueError:  # These views are turned too little.
            continue
        predicted = guess.predict_from(parents) @ corners
        errors_m = np.linalg.norm((predicted - seen)[:, :3], axis=1).mean(axis=1)
        if np.median(errors_m) < np.median(best_m):
            best_m = errors_m
    agreeing: Flags = best_m <= max(_NOISE_M, _OUTLIER_FACTOR * float(np.median(best_m)))
    _require_agreement(views, agreeing)
    return agreeing


def _solve(views: Sequence[BoardView]) -> HandEye:
    """Return poses by one closed-form solver. Raises ValueError if the hand turns too little."""
    parents = np.array([view.parent for view in views])
    boards = np.array([view.board_to_camera for view in views])
    camera = park(motions_between(parents, boards))
    placed = invert(parents) @ camera @ boards
    left, _, right = np.linalg.svd(placed[:, :3, :3].mean(axis=0))
    rotation = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
    return HandEye(camera, make_transform(rotation, placed[:, :3, 3].mean(axis=0)))


def _held_out(
    hand_eye: HandEye, views: Sequence[BoardView], lens: Lens, board: BoardConfig
) -> tuple[Array, Array]:
    """Predict every view from the views of the other folds; return [mm] and [deg], (n,)."""
    errors_mm, errors_deg = np.zeros(len(views)), np.zeros(len(views))
    folds = np.arange(len(views)) % _FOLDS
    for fold in range(_FOLDS):
        others = refine(hand_eye, _select(views, folds != fold), lens)
        errors_mm[folds == fold], errors_deg[folds == fold] = board_differences(
            others, _select(views, folds == fold), board
        )
    return errors_mm, errors_deg


def _compare_solvers(
    views: Sequence[BoardView], hand_eye: HandEye
) -> dict[str, tuple[float, float]]:
    motions = motions_between(
        np.array([view.parent for view in views]),
        np.array([view.board_to_camera for view in views]),
    )
    errors = {name: pose_error(solve(motions), hand_eye.camera) for name, solve in SOLVERS.items()}
    return {
        name: (
            float(1e3 * np.linalg.norm(error[:3])),
            float(np.degrees(np.linalg.norm(error[3:]))),
        )
        for name, error in errors.items()
    }


def _require_agreement(views: Sequence[BoardView], used: Flags) -> None:
    if np.mean(~used) <= _LARGEST_OUTLIER_SHARE:
        return
    names = ", ".join(view.name for view, is_used in zip(views, used, strict=True) if not is_used)
    raise CalibrationError(
        f"hand-eye calibration refused: {np.sum(~used)} of {len(views)} views contradict the "
        f"others ({names}); is the board fixed, its square_m measured, and the parent frame right?"
    )


def _tcp_poses(views: Sequence[BoardView], parent_frame: str) -> Array:
    parents = np.array([view.parent for view in views])
    return invert(parents) if parent_frame == "tcp" else parents


def _missing(views: Sequence[BoardView], parent_frame: str, board: BoardConfig) -> list[str]:
    boards = np.array([view.board_to_camera for view in views])
    return missing_hand_eye_views(_tcp_poses(views, parent_frame), boards, board)


def _select(views: Sequence[BoardView], used: Flags) -> list[BoardView]:
    return [view for view, is_used in zip(views, used, strict=True) if is_used]
