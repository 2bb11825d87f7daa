"""Forward and inverse kinematics: derivatives, round trips, limits."""

import xml.etree.ElementTree as ET

import mujoco
import numpy as np
import pytest
from franky_sim.mujoco_simulator import MujocoSimulator
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_policy.core.frames import Array, make_transform, move_pose, pose_error
from mail_policy.core.kinematics import (
    BASE_FRAME,
    FRAME_DISTANCES_M,
    HOME_JOINT_POSITIONS,
    TCP_FRAME,
    chain_frames,
    condition_numbers,
    forward_kinematics,
    inverse_kinematics,
    jacobian,
    jacobians,
    joint_transforms,
    pose_and_jacobian,
)
from mail_policy.core.robot_limits import SHARED_JOINT_LIMITS

LOWER, UPPER = SHARED_JOINT_LIMITS.lower, SHARED_JOINT_LIMITS.upper


@st.composite
def joint_positions(draw: st.DrawFn) -> Array:
    """Draw postures inside the limits of both arms."""
    shares = [draw(st.floats(0.0, 1.0)) for _ in range(7)]
    return LOWER + np.array(shares) * (UPPER - LOWER)


def near_home(seed: int, spread_rad: float = 0.4) -> Array:
    return HOME_JOINT_POSITIONS + np.random.default_rng(seed).uniform(-spread_rad, spread_rad, 7)


@given(joint_positions())
@settings(max_examples=50, deadline=None)
def test_the_jacobian_is_the_derivative_of_the_pose(q: Array) -> None:
    step = 1e-6
    columns = [
        pose_error(forward_kinematics(q - nudge), forward_kinematics(q + nudge)) / (2 * step)
        for nudge in step * np.eye(7)
    ]
    np.testing.assert_allclose(np.array(columns).T, jacobian(q), atol=1e-7)


@given(joint_positions())
@settings(max_examples=50, deadline=None)
def test_every_frame_is_a_rigid_transform(q: Array) -> None:
    for transform in joint_transforms(q):
        rotation = transform[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        assert transform[3].tolist() == [0.0, 0.0, 0.0, 1.0]


def test_the_last_transform_is_the_tcp() -> None:
    q = near_home(1)
    np.testing.assert_array_equal(joint_transforms(q)[7], forward_kinematics(q))


def test_the_hand_points_down_at_home() -> None:
    tcp = forward_kinematics(HOME_JOINT_POSITIONS)
    np.testing.assert_allclose(tcp[:3, 2], [0.0, 0.0, -1.0], atol=1e-3)
    np.testing.assert_allclose(tcp[:3, 3], [0.485, 0.0, 0.345], atol=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_a_reachable_pose_is_reached_from_nearby(seed: int) -> None:
    wanted = forward_kinematics(near_home(seed))
    start = near_home(seed) + np.random.default_rng(seed + 100).uniform(-0.05, 0.05, 7)
    solution = inverse_kinematics(wanted, start)
    reached = pose_error(forward_kinematics(solution.joint_positions), wanted)
    assert np.linalg.norm(reached[:3]) < 1e-4
    assert np.linalg.norm(reached[3:]) < 1e-3


def test_the_reported_errors_are_the_true_ones() -> None:
    far = make_transform(np.diag([1.0, -1.0, -1.0]), np.array([2.0, 0.0, 0.5]))
    solution = inverse_kinematics(far, HOME_JOINT_POSITIONS)
    error = pose_error(forward_kinematics(solution.joint_positions), far)
    assert solution.position_error_m > 0.5
    assert solution.position_error_m == pytest.approx(np.linalg.norm(error[:3]))
    assert solution.rotation_error_rad == pytest.approx(np.linalg.norm(error[3:]))


@given(
    st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=3),
    st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3),
)
@settings(max_examples=50, deadline=None)
def test_the_result_is_inside_the_limits_whatever_is_wanted(
    shift_m: list[float], turn_rad: list[float]
) -> None:
    wanted = move_pose(forward_kinematics(HOME_JOINT_POSITIONS), np.array([*shift_m, *turn_rad]))
    q = inverse_kinematics(wanted, HOME_JOINT_POSITIONS).joint_positions
    assert np.isfinite(q).all()
    assert (q >= LOWER + 0.05 - 1e-12).all()
    assert (q <= UPPER - 0.05 + 1e-12).all()


def test_half_a_turn_is_measured_as_half_a_turn() -> None:
    here = forward_kinematics(HOME_JOINT_POSITIONS)
    for axis in np.eye(3):
        wanted = move_pose(here, np.concatenate([np.zeros(3), np.pi * axis]))
        solution = inverse_kinematics(wanted, HOME_JOINT_POSITIONS, iterations=0)
        assert solution.rotation_error_rad == pytest.approx(np.pi, abs=1e-6)


def test_the_elbow_returns_to_the_posture_while_the_hand_stays() -> None:
    wanted = forward_kinematics(HOME_JOINT_POSITIONS)
    away = np.array([0.3, 0.0, -0.3, 0.0, 0.0, 0.0, 0.0])
    q = inverse_kinematics(wanted, HOME_JOINT_POSITIONS + away).joint_positions
    began_rad = np.linalg.norm(q - HOME_JOINT_POSITIONS)
    for _ in range(10):
        solution = inverse_kinematics(wanted, q)
        q = solution.joint_positions
        assert solution.position_error_m < 1e-3
    assert np.linalg.norm(q - HOME_JOINT_POSITIONS) < 0.1 * began_rad


def test_small_steps_of_the_hand_make_small_steps_of_the_joints() -> None:
    q, pose = HOME_JOINT_POSITIONS, forward_kinematics(HOME_JOINT_POSITIONS)
    steps = []
    for _ in range(15):
        pose = move_pose(pose, np.array([0.0, 0.01, -0.005, 0.0, 0.0, 0.0]))
        new = inverse_kinematics(pose, q).joint_positions
        steps.append(new - q)
        q = new
    assert np.abs(steps).max() < 0.05
    assert np.abs(np.diff(steps, axis=0)).max() < 0.01


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    """Franky-sim's FR3: joints, lengths and frames from another source than ours."""
    simulator = MujocoSimulator()
    simulator.add_robot(initial_q=tuple(HOME_JOINT_POSITIONS), initial_hand_width=0.08)
    return mujoco.MjModel.from_xml_string(ET.tostring(simulator.scene, encoding="unicode"))


@pytest.mark.parametrize("seed", range(30))
def test_all_frames_and_the_jacobian_are_those_of_mujoco(model: mujoco.MjModel, seed: int) -> None:
    q = np.random.default_rng(seed).uniform(LOWER, UPPER)
    data = mujoco.MjData(model)
    joints = [model.joint(f"robot0_fr3_joint{i}") for i in range(1, 8)]
    for joint, angle in zip(joints, q, strict=True):
        data.qpos[joint.qposadr[0]] = angle
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    ours = joint_transforms(q)
    for i in range(7):
        body = data.body(f"robot0_fr3_link{i + 1}")
        np.testing.assert_allclose(ours[i, :3, 3], body.xpos, atol=1e-6)
        np.testing.assert_allclose(ours[i, :3, :3], body.xmat.reshape(3, 3), atol=1e-6)
    hand = data.body("robot0_hand")
    np.testing.assert_allclose(ours[7, :3, :3], hand.xmat.reshape(3, 3), atol=1e-6)
    tcp = hand.xpos + 0.1034 * hand.xmat.reshape(3, 3)[:, 2]
    np.testing.assert_allclose(ours[7, :3, 3], tcp, atol=1e-6)
    linear, angular = np.zeros((3, model.nv)), np.zeros((3, model.nv))
    mujoco.mj_jac(model, data, linear, angular, ours[7, :3, 3], hand.id)
    columns = [joint.dofadr[0] for joint in joints]
    theirs = np.vstack([linear[:, columns], angular[:, columns]])
    np.testing.assert_allclose(jacobian(q), theirs, atol=1e-6)


@given(st.lists(joint_positions(), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_many_postures_at_once_are_the_same_as_one_by_one(postures: list[Array]) -> None:
    frames = chain_frames(np.array(postures))
    j, conditions = jacobians(frames), condition_numbers(frames)
    for i, q in enumerate(postures):
        np.testing.assert_array_equal(frames[BASE_FRAME, i], np.eye(4))
        np.testing.assert_allclose(frames[1:, i], joint_transforms(q), atol=1e-12)
        np.testing.assert_allclose(j[i], jacobian(q), atol=1e-12)
        if (expected := np.linalg.cond(jacobian(q))) < 1e4:
            assert conditions[i] == pytest.approx(expected, rel=1e-6)
        else:
            assert conditions[i] > 5e3


def test_pose_and_jacobian_come_together() -> None:
    q = near_home(5)
    pose, j = pose_and_jacobian(q)
    np.testing.assert_array_equal(pose, forward_kinematics(q))
    np.testing.assert_array_equal(j, jacobian(q))


def test_frames_stay_as_far_apart_as_the_links_are_long() -> None:
    frames = chain_frames(np.array([near_home(6), near_home(7, 1.0)]))
    origins = frames[:, :, :3, 3]
    lengths_m = np.linalg.norm(np.diff(origins, axis=0), axis=2)
    np.testing.assert_allclose(lengths_m, np.tile(FRAME_DISTANCES_M[:, None], 2), atol=1e-12)
    assert len(FRAME_DISTANCES_M) == TCP_FRAME
