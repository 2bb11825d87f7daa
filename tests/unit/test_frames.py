"""Rotations obey the group laws, also where formulas divide by small numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_policy.core.frames import (
    make_transform,
    move_pose,
    pose_error,
    quaternion_from_rotation,
    rotation_from_quaternion,
    rotation_from_vector,
    vector_from_rotation,
)

component = st.floats(-1.8, 1.8, allow_nan=False)
vectors = st.tuples(component, component, component).map(np.array)


@given(vectors)
def test_a_rotation_vector_survives_the_round_trip(vector: np.ndarray) -> None:
    rotation = rotation_from_vector(vector)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(
        rotation_from_vector(vector_from_rotation(rotation)), rotation, atol=1e-7
    )


@given(vectors)
def test_a_quaternion_survives_the_round_trip(vector: np.ndarray) -> None:
    rotation = rotation_from_vector(vector)
    quaternion_xyzw = quaternion_from_rotation(rotation)
    assert abs(np.linalg.norm(quaternion_xyzw) - 1.0) < 1e-9
    np.testing.assert_allclose(rotation_from_quaternion(quaternion_xyzw), rotation, atol=1e-9)


@pytest.mark.parametrize("axis", range(3))
def test_half_turns_are_found(axis: int) -> None:
    vector = np.zeros(3)
    vector[axis] = np.pi
    rotation = rotation_from_vector(vector)
    np.testing.assert_allclose(np.linalg.norm(vector_from_rotation(rotation)), np.pi, atol=1e-6)


def test_a_quarter_turn_about_z_maps_x_to_y() -> None:
    rotation = rotation_from_quaternion(np.array([0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)]))
    np.testing.assert_allclose(rotation @ [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], atol=1e-12)


@given(vectors, vectors, vectors, vectors)
def test_moving_by_the_error_reaches_the_target(
    turn_a: np.ndarray, shift_a: np.ndarray, turn_b: np.ndarray, shift_b: np.ndarray
) -> None:
    start = make_transform(rotation_from_vector(turn_a), shift_a)
    target = make_transform(rotation_from_vector(turn_b), shift_b)
    np.testing.assert_allclose(move_pose(start, pose_error(start, target)), target, atol=1e-6)


def test_a_zero_quaternion_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be zero"):
        rotation_from_quaternion(np.zeros(4))
