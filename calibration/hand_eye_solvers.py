"""Five closed-form answers to A X = X B: where a camera is, from how arm and board moved.

A is a motion of the board's parent seen from the camera's parent, B the same motion of the board
seen from the camera, X is transform_camera_to_parent. Each solver weighs noise in its own way, so
their agreement says whether the motions fix X at all. OpenCV 5 left them out of its Python module.

Sources: Tsai and Lenz 1989; Park and Martin 1994; Horaud and Dornaika 1995; Andreff, Horaud and
Espiau 1999; Daniilidis 1999.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mail_policy.core.frames import (
    Array,
    make_transform,
    quaternion_from_rotation,
    rotation_from_quaternion,
    skew,
    vector_from_rotation,
)

# A motion that turns less says more about noise than about X.
_LEAST_TURN_RAD = np.radians(8.0)


@dataclass(frozen=True, slots=True, eq=False)
class Motions:
    """Relative motions between pairs of views.

    Attributes:
        a: Of the board's parent in the camera's parent, shape (n, 4, 4).
        b: Of the board in the camera, shape (n, 4, 4).
    """

    a: Array
    b: Array


def motions_between(parents: Array, boards: Array) -> Motions:
    """Return the motions between all pairs of views that turn enough.

    Args:
        parents: transform_board_parent_to_camera_parent of each view, shape (n, 4, 4).
        boards: transform_board_to_camera of each view, shape (n, 4, 4).

    Raises:
        ValueError: No pair of views turns enough.
    """
    first, second = np.triu_indices(len(parents), k=1)
    a = parents[second] @ np.linalg.inv(parents[first])
    b = boards[second] @ np.linalg.inv(boards[first])
    cosines = 0.5 * (np.trace(a[:, :3, :3], axis1=1, axis2=2) - 1.0)
    turns = np.arccos(np.clip(cosines, -1.0, 1.0)) >= _LEAST_TURN_RAD
    if not turns.any():
        raise ValueError("no two views are turned by 8 degrees or more; rotate the hand")
    return Motions(a[turns], b[turns])


def tsai(motions: Motions) -> Array:
    """Solve by modified Rodrigues vectors, rotation first (Tsai and Lenz)."""
    a, b = 2.0 * _half_sines(motions.a), 2.0 * _half_sines(motions.b)
    matrix = np.concatenate([skew(vector) for vector in a + b])
    half, *_ = np.linalg.lstsq(matrix, (b - a).ravel(), rcond=None)
    p = 2.0 * half / np.sqrt(1.0 + half @ half)
    rotation = (1.0 - 0.5 * p @ p) * np.eye(3) + 0.5 * (
        np.outer(p, p) + np.sqrt(max(4.0 - p @ p, 0.0)) * skew(p)
    )
    return _with_translation(rotation, motions)


def park(motions: Motions) -> Array:
    """Solve on the Lie algebra: rotation vectors of A are those of B, turned (Park and Martin)."""
    return _with_translation(_turn_between(_vectors(motions.b), _vectors(motions.a)), motions)


def horaud(motions: Motions) -> Array:
    """Solve for the unit quaternion that turns axes of B to those of A (Horaud and Dornaika)."""
    a, b = _unit(_vectors(motions.a)), _unit(_vectors(motions.b))
    cost = np.zeros((4, 4))
    for axis_a, axis_b in zip(a, b, strict=True):
        # q B - A q for the pure quaternions of both axes, as a matrix times q = (x, y, z, w).
        matrix = np.zeros((4, 4))
        matrix[:3, :3] = -skew(axis_a + axis_b)
        matrix[:3, 3], matrix[3, :3] = axis_b - axis_a, axis_a - axis_b
        cost += matrix.T @ matrix
    _, vectors = np.linalg.eigh(cost)
    return _with_translation(rotation_from_quaternion(vectors[:, 0]), motions)


def andreff(motions: Motions) -> Array:
    """Solve for all twelve numbers of X at once, linearly, then make it rigid (Andreff)."""
    count = len(motions.a)
    matrix, right = np.zeros((12 * count, 12)), np.zeros(12 * count)
    for i, (a, b) in enumerate(zip(motions.a, motions.b, strict=True)):
        rows = slice(12 * i, 12 * i + 9)
        # Row-major vec: vec(A X B^T) = (A kron B) vec(X).
        matrix[rows, :9] = np.eye(9) - np.kron(a[:3, :3], b[:3, :3])
        rows = slice(12 * i + 9, 12 * i + 12)
        matrix[rows, :9] = np.kron(np.eye(3), b[:3, 3])
        matrix[rows, 9:] = np.eye(3) - a[:3, :3]
        right[rows] = a[:3, 3]
    solution, *_ = np.linalg.lstsq(matrix, right, rcond=None)
    left, _, right_vectors = np.linalg.svd(solution[:9].reshape(3, 3))
    sign = np.sign(np.linalg.det(left @ right_vectors))
    return _with_translation(left @ np.diag([1.0, 1.0, sign]) @ right_vectors, motions)


def daniilidis(motions: Motions) -> Array:
    """Solve rotation and translation together by dual quaternions (Daniilidis)."""
    rows = [
        _dual_rows(_dual_quaternion(a), _dual_quaternion(b))
        for a, b in zip(motions.a, motions.b, strict=True)
    ]
    *_, vectors = np.linalg.svd(np.concatenate(rows))
    (u1, v1), (u2, v2) = (np.split(vector, 2) for vector in vectors[-2:])
    # The real part has length 1 and is orthogonal to the dual part: a quadratic in their ratio.
    polynomial = np.array([u1 @ v1, u1 @ v2 + u2 @ v1, u2 @ v2])
    best, best_norm = (0.0, 1.0), u2 @ u2
    for ratio in np.roots(polynomial).real:
        norm = np.dot(ratio * u1 + u2, ratio * u1 + u2)
        if norm > best_norm:
            best, best_norm = (ratio, 1.0), norm
    scale = 1.0 / float(np.sqrt(best_norm))
    real = scale * (best[0] * u1 + best[1] * u2)
    dual = scale * (best[0] * v1 + best[1] * v2)
    translation: Array = 2.0 * _multiply(dual, real * np.array([-1.0, -1.0, -1.0, 1.0]))[:3]
    return make_transform(rotation_from_quaternion(real), translation)


SOLVERS: dict[str, Callable[[Motions], Array]] = {
    "tsai": tsai,
    "park": park,
    "horaud": horaud,
    "andreff": andreff,
    "daniilidis": daniilidis,
}


def _with_translation(rotation: Array, motions: Motions) -> Array:
    """Add the translation that fits a rotation: (R_A - 1) t = R t_B - t_A."""
    matrix = (motions.a[:, :3, :3] - np.eye(3)).reshape(-1, 3)
    right = motions.b[:, :3, 3] @ rotation.T - motions.a[:, :3, 3]
    translation, *_ = np.linalg.lstsq(matrix, right.ravel(), rcond=None)
    return make_transform(rotation, np.asarray(translation, float))


def _turn_between(source: Array, target: Array) -> Array:
    """Return the rotation that brings vectors nearest to others, both of shape (n, 3)."""
    left, _, right = np.linalg.svd(target.T @ source)
    turn: Array = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
    return turn


def _vectors(transforms: Array) -> Array:
    return np.array([vector_from_rotation(transform[:3, :3]) for transform in transforms])


def _half_sines(transforms: Array) -> Array:
    """Return axis times sin(angle / 2) of each transform, shape (n, 3)."""
    return np.array([quaternion_from_rotation(transform[:3, :3])[:3] for transform in transforms])


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _multiply(p: Array, q: Array) -> Array:
    """Return the product of two quaternions xyzw."""
    vector = p[3] * q[:3] + q[3] * p[:3] + np.cross(p[:3], q[:3])
    return np.array([*vector, p[3] * q[3] - p[:3] @ q[:3]])


def _dual_quaternion(transform: Array) -> tuple[Array, Array]:
    real = quaternion_from_rotation(transform[:3, :3])
    return real, 0.5 * _multiply(np.array([*transform[:3, 3], 0.0]), real)


def _dual_rows(a: tuple[Array, Array], b: tuple[Array, Array]) -> Array:
    """Return the six equations of one motion for (real, dual) of X, xyzw, shape (6, 8)."""
    (a_real, a_dual), (b_real, b_dual) = ((real[:3], dual[:3]) for real, dual in (a, b))
    rows = np.zeros((6, 8))
    rows[:3, :3] = rows[3:, 4:7] = skew(a_real + b_real)
    rows[:3, 3] = rows[3:, 7] = a_real - b_real
    rows[3:, :3], rows[3:, 3] = skew(a_dual + b_dual), a_dual - b_dual
    return rows
