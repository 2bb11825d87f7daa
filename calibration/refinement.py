"""Refines where camera and board are, so that the corners fall where the pictures show them.

Levenberg-Marquardt on the reprojection error of all corners of all views, with weights of Huber's
loss: a corner that is far off pulls no harder than one at the loss's width. A real arm is off by
half a millimetre, differently in every view. Each view therefore has an error of the arm of its
own, which is expected to be small and is eliminated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.board import Detection, Lens
from mail_policy.core.frames import Array, make_transform, rotation_from_vector

_ITERATIONS = 50
_CONVERGED = 1e-9
# Start, and where no smaller error is to be found.
_DAMPING, _MOST_DAMPING = 1e-3, 1e9
# Residuals up to this count as noise of the corner detector [px].
_HUBER_PX = 1.0
# Noise of corners [px], and of the arm's posture [m and rad]: what weighs one against the other.
_CORNER_PX, _ARM_M, _ARM_RAD = 0.3, 0.0003, 0.0003
_ARM_PRIOR = _CORNER_PX**2 * np.diag([_ARM_M**-2] * 3 + [_ARM_RAD**-2] * 3)


def invert(transforms: Array) -> Array:
    """Return the inverse of rigid transforms, shape (..., 4, 4)."""
    turned = np.swapaxes(transforms[..., :3, :3], -1, -2)
    inverse = transforms.copy()
    inverse[..., :3, :3] = turned
    inverse[..., :3, 3:] = -turned @ transforms[..., :3, 3:]
    return inverse


@dataclass(frozen=True, slots=True, eq=False)
class BoardView:
    """What hand-eye calibration needs of a view.

    Attributes:
        name: For messages.
        parent: transform_board_parent_to_camera_parent by the arm's posture, shape (4, 4). The
            parents are `base` and `tcp`: the camera is fixed to one, the board to the other.
        detection: Corners in the picture.
        board_to_camera: The board's pose by this picture alone, shape (4, 4).
    """

    name: str
    parent: Array
    detection: Detection
    board_to_camera: Array


@dataclass(frozen=True, slots=True, eq=False)
class HandEye:
    """Where camera and board are fixed.

    Attributes:
        camera: transform_camera_to_parent, shape (4, 4).
        board: transform_board_to_parent, its parent being the other one, shape (4, 4).
    """

    camera: Array
    board: Array

    def predict(self, view: BoardView) -> Array:
        """Return transform_board_to_camera by the arm's posture, shape (4, 4)."""
        return self.predict_from(view.parent)

    def predict_from(self, parent: Array) -> Array:
        """Return transform_board_to_camera for a posture, as in `BoardView.parent`, (4, 4)."""
        return invert(self.camera) @ parent @ self.board


def refine(
    start: HandEye, views: Sequence[BoardView], lens: Lens, *, moves_camera: bool = True
) -> HandEye:
    """Return the poses that fit the corners of all views best.

    Args:
        start: Poses to begin with.
        views: At least one.
        lens: Of the camera.
        moves_camera: Whether the camera's pose may change; the board's always may.
    """
    free = slice(0, 12) if moves_camera else slice(6, 12)
    best, damping = start, _DAMPING
    hessian, gradient, cost = _normal_equations(best, views, lens)
    for _ in range(_ITERATIONS):
        damped = hessian[free, free] + damping * np.diag(np.diag(hessian)[free])
        step = np.zeros(12)
        step[free] = np.linalg.solve(damped, -gradient[free])
        candidate = HandEye(_moved(best.camera, step[:6]), _moved(best.board, step[6:]))
        equations = _normal_equations(candidate, views, lens)
        if equations[2] >= cost:
            damping *= 10.0
            if damping > _MOST_DAMPING:
                break
            continue
        is_done = cost - equations[2] < _CONVERGED * cost
        best, (hessian, gradient, cost), damping = candidate, equations, damping / 10.0
        if is_done:
            break
    return best


def view_errors_px(hand_eye: HandEye, views: Sequence[BoardView], lens: Lens) -> Array:
    """Return the rms reprojection error of each view [px], shape (n,)."""
    return np.array(
        [np.sqrt(np.mean(np.sum(_residuals(hand_eye, v, lens)[0] ** 2, 1))) for v in views]
    )


def _moved(transform: Array, step: Array) -> Array:
    """Apply a step in the moved frame itself: translation [m], rotation vector [rad]."""
    return transform @ make_transform(rotation_from_vector(step[3:]), step[:3])


def _residuals(hand_eye: HandEye, view: BoardView, lens: Lens) -> tuple[Array, Array, Array]:
    """Return pixel errors (n, 2), derivatives by points (n, 2, 3), the points (n, 3)."""
    predicted = hand_eye.predict(view)
    points = view.detection.points_m @ predicted[:3, :3].T + predicted[:3, 3]
    # A point behind the camera has no picture; a wrong start may put it there.
    points[:, 2] = np.maximum(points[:, 2], 1e-3)
    pixels, derivatives = lens.project(points)
    return pixels - view.detection.corners_px, derivatives, points


def _normal_equations(
    hand_eye: HandEye, views: Sequence[BoardView], lens: Lens
) -> tuple[Array, Array, float]:
    """Return hessian (12, 12), gradient (12,) and cost, for steps of camera, then board."""
    hessian, gradient, cost = np.zeros((12, 12)), np.zeros(12), 0.0
    for view in views:
        errors, by_point, points = _residuals(hand_eye, view, lens)
        rotation = hand_eye.predict(view)[:3, :3]
        # A step (v, w) of the camera moves a point by -(v + w x p), one of the board by
        # R (v + w x q), where q is the point in the board's frame.
        turned = by_point @ rotation
        jacobian = np.concatenate(
            [
                -by_point,
                by_point @ _skews(points),
                turned,
                -turned @ _skews(view.detection.points_m),
            ],
            axis=2,
        )
        weights = _huber_weights(errors, jacobian)
        weighted = (jacobian * weights[:, None, None]).reshape(-1, 12)
        square = weighted.T @ jacobian.reshape(-1, 12)
        slope = weighted.T @ errors.ravel()
        # An error of the arm acts like a step of the camera, so the view's own best one is
        # eliminated: what is left is a Schur complement.
        arm = np.linalg.solve(square[:6, :6] + _ARM_PRIOR, np.column_stack([square[:6], slope[:6]]))
        hessian += square - square[:, :6] @ arm[:, :12]
        gradient += slope - square[:, :6] @ arm[:, 12]
        cost += 0.5 * float(weights @ np.sum(errors**2, axis=1) - slope[:6] @ arm[:, 12])
    return hessian, gradient, cost


def _huber_weights(errors: Array, jacobian: Array) -> Array:
    """Return the weight of each corner, once the view's arm error is taken out, shape (n,)."""
    by_arm = jacobian[:, :, :6].reshape(-1, 6)
    step = np.linalg.solve(by_arm.T @ by_arm + _ARM_PRIOR, by_arm.T @ errors.ravel())
    lengths = np.linalg.norm(errors - (by_arm @ step).reshape(errors.shape), axis=1)
    weights: Array = np.minimum(1.0, _HUBER_PX / np.maximum(lengths, 1e-12))
    return weights


def _skews(vectors: Array) -> Array:
    """Return the matrices of cross products with vectors, shape (n, 3, 3)."""
    matrices = np.zeros((len(vectors), 3, 3))
    for row, column, axis in ((2, 1, 0), (0, 2, 1), (1, 0, 2)):
        matrices[:, row, column] = vectors[:, axis]
        matrices[:, column, row] = -vectors[:, axis]
    return matrices
