"""Rows of an action chunk add up to poses."""

import numpy as np
import pytest

from mail_policy.core.action_schema import EE_DELTA, poses_from_ee_delta, schema_named
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics

ANCHOR = forward_kinematics(HOME_JOINT_POSITIONS)


def test_rows_add_up_from_the_anchor() -> None:
    values = np.zeros((3, EE_DELTA.size))
    values[:, 0] = [0.01, 0.02, -0.005]
    poses = poses_from_ee_delta(ANCHOR, values)
    np.testing.assert_allclose(poses[:, 0, 3] - ANCHOR[0, 3], [0.01, 0.03, 0.025])
    np.testing.assert_allclose(poses[:, :3, :3], np.broadcast_to(ANCHOR[:3, :3], (3, 3, 3)))


def test_rotations_are_about_the_axes_of_the_base() -> None:
    values = np.zeros((2, EE_DELTA.size))
    values[:, 5] = np.pi / 4
    poses = poses_from_ee_delta(ANCHOR, values)
    quarter_turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(poses[-1, :3, :3], quarter_turn @ ANCHOR[:3, :3], atol=1e-12)
    np.testing.assert_allclose(poses[-1, :3, 3], ANCHOR[:3, 3])


def test_an_unknown_schema_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown action schema 'ee_dleta'; known: ee_delta"):
        schema_named("ee_dleta")
