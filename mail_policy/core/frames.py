"""Rotations and rigid transforms. Quaternions are xyzw; a transform is a (4, 4) array.

`transform_a_to_b` maps coordinates in a to coordinates in b.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def skew(vector: Array) -> Array:
    """Return the matrix whose product with x is the cross product of the vector and x."""
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def rotation_from_vector(vector: Array) -> Array:
    """Convert a rotation vector (axis times angle [rad]) to a matrix, by Rodrigues' formula."""
    angle_rad = float(np.linalg.norm(vector))
    if angle_rad < 1e-12:
        return np.eye(3) + skew(vector)
    axis_skew = skew(vector / angle_rad)
    rotation: Array = (
        np.eye(3)
        + np.sin(angle_rad) * axis_skew
        + (1.0 - np.cos(angle_rad)) * axis_skew @ axis_skew
    )
    return rotation


def quaternion_from_rotation(rotation: Array) -> Array:
    """Convert a rotation matrix to a unit quaternion xyzw with non-negative w.

    Uses the largest of the four candidate components (Shepperd 1978), so that no division by a
    small number occurs.
    """
    trace = float(np.trace(rotation))
    squares = np.array([*(1.0 - trace + 2.0 * np.diag(rotation)), 1.0 + trace])
    largest = int(np.argmax(squares))
    quaternion = np.empty(4)
    root = np.sqrt(squares[largest])
    quaternion[largest] = 0.5 * root
    if largest == 3:
        quaternion[0] = rotation[2, 1] - rotation[1, 2]
        quaternion[1] = rotation[0, 2] - rotation[2, 0]
        quaternion[2] = rotation[1, 0] - rotation[0, 1]
        quaternion[:3] *= 0.5 / root
    else:
        i, j, k = largest, (largest + 1) % 3, (largest + 2) % 3
        quaternion[j] = 0.5 / root * (rotation[j, i] + rotation[i, j])
        quaternion[k] = 0.5 / root * (rotation[k, i] + rotation[i, k])
        quaternion[3] = 0.5 / root * (rotation[k, j] - rotation[j, k])
    return -quaternion if quaternion[3] < 0.0 else quaternion


def rotation_from_quaternion(quaternion_xyzw: Array) -> Array:
    """Convert a quaternion xyzw to a rotation matrix. Raises ValueError if its norm is near 0."""
    norm = float(np.linalg.norm(quaternion_xyzw))
    if norm < 1e-9:
        raise ValueError(f"quaternion_xyzw must not be zero, got {quaternion_xyzw}")
    x, y, z, w = quaternion_xyzw / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def vector_from_rotation(rotation: Array) -> Array:
    """Convert a rotation matrix to its rotation vector [rad], with an angle in [0, pi]."""
    quaternion_xyzw = quaternion_from_rotation(rotation)
    sine = float(np.linalg.norm(quaternion_xyzw[:3]))
    if sine < 1e-12:
        return 2.0 * quaternion_xyzw[:3]
    angle_rad = 2.0 * np.arctan2(sine, quaternion_xyzw[3])
    vector: Array = quaternion_xyzw[:3] * (angle_rad / sine)
    return vector


def make_transform(rotation: Array, translation: Array) -> Array:
    """Join a (3, 3) rotation and a translation [m] to a (4, 4) transform."""
    transform = np.eye(4)
    transform[:3, :3] = rotation
    transform[:3, 3] = translation
    return transform


def pose_error(transform_now: Array, transform_target: Array) -> Array:
    """Return the step from one pose to another: translation [m], rotation vector [rad], (6,).

    Both parts are expressed in the frame in which the poses are given.
    """
    return np.concatenate(
        [
            transform_target[:3, 3] - transform_now[:3, 3],
            vector_from_rotation(transform_target[:3, :3] @ transform_now[:3, :3].T),
        ]
    )


def move_pose(transform: Array, step: Array) -> Array:
    """Apply a step as `pose_error` returns it: translation and rotation in the parent frame."""
    return make_transform(
        rotation_from_vector(step[3:]) @ transform[:3, :3], transform[:3, 3] + step[:3]
    )
