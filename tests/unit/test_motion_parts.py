"""Geometry, paths, joins and speed of the motion core."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_policy.core.frames import move_pose
from mail_policy.core.kinematics import (
    HOME_JOINT_POSITIONS,
    forward_kinematics,
    jacobian,
    joint_transforms,
)
from mail_policy.core.motion.checker import SetPointChecker
from mail_policy.core.motion.chunk_planner import follow_pose
from mail_policy.core.motion.config import EnvelopeConfig
from mail_policy.core.motion.geometry import arm_geometry, arm_points
from mail_policy.core.motion.limits_filter import JointMotion, LimitsFilter, plan_braking
from mail_policy.core.motion.speed_profile import SpeedProfile
from mail_policy.core.motion.splice import join_distance, splice
from mail_policy.core.motion.trajectory import HermitePath, minimum_jerk_path
from mail_policy.core.robot_limits import (
    SHARED_JOINT_LIMITS,
    LimitShares,
    RobotType,
    joint_limits,
    tightened,
)

LIMITS = tightened(joint_limits(RobotType.FR3), LimitShares())
ENVELOPE = EnvelopeConfig()
TICK_S = 0.01
seeds = st.integers(min_value=0, max_value=2**32 - 1)


def sine_path(speed: float = 0.2, steps: int = 20) -> HermitePath:
    times_s = 0.05 * np.arange(steps)
    positions = np.tile(HOME_JOINT_POSITIONS, (steps, 1))
    positions[:, 0] += speed / 2.0 * np.sin(2.0 * times_s)
    return HermitePath(times_s, positions)


@given(seeds)
def test_fast_geometry_agrees_with_the_kinematics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = rng.uniform(SHARED_JOINT_LIMITS.lower, SHARED_JOINT_LIMITS.upper)
    geometry, transforms = arm_geometry(q), joint_transforms(q)
    np.testing.assert_allclose(geometry.tcp_position, transforms[7, :3, 3], atol=1e-12)
    np.testing.assert_allclose(geometry.tcp_rotation, transforms[7, :3, :3], atol=1e-12)
    np.testing.assert_allclose(geometry.elbow_position, transforms[3, :3, 3], atol=1e-12)
    np.testing.assert_allclose(geometry.tcp_jacobian, jacobian(q), atol=1e-12)
    np.testing.assert_allclose(arm_points(q)[0], geometry.tcp_position, atol=1e-12)


@given(seeds)
def test_elbow_jacobian_is_the_derivative_of_the_elbow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = rng.uniform(SHARED_JOINT_LIMITS.lower, SHARED_JOINT_LIMITS.upper)
    direction = rng.normal(size=7)
    moved = (arm_points(q + 1e-6 * direction)[1] - arm_points(q - 1e-6 * direction)[1]) / 2e-6
    np.testing.assert_allclose(arm_geometry(q).elbow_jacobian @ direction, moved, atol=1e-6)


@given(seeds)
def test_one_newton_step_follows_a_row_to_half_a_millimetre(seed: int) -> None:
    rng = np.random.default_rng(seed)
    step = np.concatenate([rng.uniform(-0.007, 0.007, 3), rng.uniform(-0.02, 0.02, 3)])
    pose = move_pose(forward_kinematics(HOME_JOINT_POSITIONS), step)
    q, missed_m = follow_pose(pose, HOME_JOINT_POSITIONS, LIMITS, iterations=1)
    assert missed_m < 5e-4
    distance_m = np.linalg.norm(forward_kinematics(q)[:3, 3] - pose[:3, 3])
    assert distance_m == pytest.approx(missed_m, abs=1e-9)


def test_a_path_passes_through_its_waypoints_with_continuous_velocity() -> None:
    path = sine_path()
    for time_s, positions in zip(path.progress_s[:-1], path.positions[:-1], strict=True):
        np.testing.assert_allclose(path.at(float(time_s)).positions, positions, atol=1e-12)
    for time_s in path.progress_s[1:-1]:
        before, after = path.at(float(time_s) - 1e-9), path.at(float(time_s) + 1e-9)
        np.testing.assert_allclose(before.velocities, after.velocities, atol=1e-6)


def test_path_derivatives_are_those_of_its_positions() -> None:
    path, h = sine_path(), 1e-5
    for time_s in (0.012, 0.333, 0.71):
        left, here, right = (path.at(time_s + d) for d in (-h, 0.0, h))
        np.testing.assert_allclose(
            here.velocities, (right.positions - left.positions) / (2 * h), atol=1e-6
        )
        np.testing.assert_allclose(
            here.accelerations, (right.velocities - left.velocities) / (2 * h), atol=1e-4
        )


@pytest.mark.parametrize("times_s", [[0.0, 0.0], [1.0, 0.5], [0.0]])
def test_a_path_whose_times_do_not_increase_is_refused(times_s: list[float]) -> None:
    with pytest.raises(ValueError, match=r"increase|two or more"):
        HermitePath(np.array(times_s), np.zeros((len(times_s), 7)))


def test_a_splice_leaves_one_path_and_ends_on_the_other_without_a_jump() -> None:
    old, new = sine_path(0.2), sine_path(0.3)
    joined = splice(old, new, progress_s=0.32, blend_s=0.1)
    np.testing.assert_allclose(joined.at(0.32).positions, old.at(0.32).positions, atol=1e-12)
    np.testing.assert_allclose(joined.at(0.32).velocities, old.at(0.32).velocities, atol=1e-9)
    np.testing.assert_allclose(joined.at(0.42).positions, new.at(0.42).positions, atol=1e-9)
    np.testing.assert_allclose(joined.at(0.8).positions, new.at(0.8).positions, atol=1e-3)
    samples = np.array([joined.at(t).positions for t in np.arange(0.32, 0.9, 0.001)])
    assert np.abs(np.diff(samples, axis=0)).max() < 1e-3
    assert join_distance(old, new, 0.32) == pytest.approx(
        abs(new.at(0.32).positions[0] - old.at(0.32).positions[0])
    )


def test_speed_profile_keeps_speed_limits_and_ends_at_rest() -> None:
    path = sine_path(2.5)
    profile = SpeedProfile(path, 0.0, LIMITS, ENVELOPE)
    assert profile.rate_at(path.end_s) == 0.0
    for time_s in path.progress_s[:-1]:
        point, rate = path.at(float(time_s)), profile.rate_at(float(time_s))
        speed = np.linalg.norm(arm_geometry(point.positions).tcp_jacobian[:3] @ point.velocities)
        assert rate * speed <= ENVELOPE.speed_m_s
        assert (rate * np.abs(point.velocities) <= LIMITS.velocity).all()


def test_a_slow_path_is_not_slowed_down() -> None:
    path = sine_path(0.05)
    profile = SpeedProfile(path, 0.0, LIMITS, ENVELOPE)
    assert profile.rate_at(0.3) == 1.0


def test_homing_path_rests_at_both_ends_and_keeps_its_peak_velocity() -> None:
    end = HOME_JOINT_POSITIONS + np.array([0.5, -0.2, 0.1, 0.3, 0.0, -0.4, 0.2])
    peak = 0.2 * LIMITS.velocity
    path = minimum_jerk_path(HOME_JOINT_POSITIONS, end, peak_velocity=peak, start_progress_s=2.0)
    times_s = np.linspace(2.0, path.end_s, 500)
    velocities = np.array([path.at(float(t)).velocities for t in times_s])
    assert (np.abs(velocities).max(axis=0) <= 1.01 * peak).all()
    np.testing.assert_allclose(velocities[0], 0.0, atol=1e-9)
    np.testing.assert_allclose(path.at(path.end_s).positions, end, atol=1e-12)


@given(seeds)
def test_braking_motions_keep_acceleration_and_jerk_and_end_at_rest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = JointMotion(
        HOME_JOINT_POSITIONS,
        rng.uniform(-1, 1, 7) * LIMITS.velocity,
        rng.uniform(-1, 1, 7) * LIMITS.acceleration,
    )
    braking = plan_braking(state, LIMITS, TICK_S)
    times_s = np.linspace(0.0, braking.duration_s, 400)
    accelerations = np.array([braking.after(float(t)).accelerations for t in times_s])
    jerks = np.diff(accelerations, axis=0) / (times_s[1] - times_s[0])
    assert (np.abs(accelerations) <= LIMITS.acceleration * (1 + 1e-9)).all()
    assert (np.abs(jerks) <= LIMITS.jerk * (1 + 1e-6)).all()
    end = braking.after(braking.duration_s)
    np.testing.assert_allclose(end.velocities, 0.0, atol=1e-12)
    np.testing.assert_allclose(end.positions, braking.end, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_no_reference_brings_the_filter_outside_a_limit(seed: int) -> None:
    """References here are hostile: they jump, and lie outside every range."""
    rng = np.random.default_rng(seed)
    limits_filter = LimitsFilter(LIMITS, ENVELOPE, TICK_S)
    checker = SetPointChecker(LIMITS, ENVELOPE, TICK_S)
    limits_filter.reset(HOME_JOINT_POSITIONS)
    checker.reset(HOME_JOINT_POSITIONS)
    reference = JointMotion(HOME_JOINT_POSITIONS, np.zeros(7), np.zeros(7))
    for tick in range(200):
        if tick % int(rng.integers(1, 40)) == 0:
            reference = JointMotion(
                HOME_JOINT_POSITIONS + rng.normal(0, rng.choice([0.02, 0.5, 5.0]), 7),
                rng.normal(0, 1, 7),
                rng.normal(0, 20, 7),
            )
        limits_filter.step(reference)
        assert checker.violation(limits_filter.state.positions) == ""


def test_filter_follows_a_reference_within_limits_without_lag() -> None:
    path = sine_path(0.2, steps=60)
    limits_filter = LimitsFilter(LIMITS, ENVELOPE, TICK_S)
    limits_filter.reset(path.at(0.0).positions)
    errors = []
    for tick in range(1, 280):
        point = path.at(tick * TICK_S)
        assert limits_filter.step(
            JointMotion(point.positions, point.velocities, point.accelerations)
        )
        errors.append(np.abs(limits_filter.state.positions - point.positions).max())
    assert max(errors[50:]) < 2e-4


@pytest.mark.parametrize(
    ("joint", "jump", "text"),
    [(0, 0.1, "velocity of joint 1"), (3, 0.004, "acceleration of joint 4"), (0, 9.0, "range")],
)
def test_checker_names_what_is_violated(joint: int, jump: float, text: str) -> None:
    checker = SetPointChecker(LIMITS, ENVELOPE, TICK_S)
    checker.reset(HOME_JOINT_POSITIONS)
    bad = HOME_JOINT_POSITIONS.copy()
    bad[joint] += jump
    assert text in checker.violation(bad)


def test_checker_refuses_what_is_not_finite() -> None:
    checker = SetPointChecker(LIMITS, ENVELOPE, TICK_S)
    checker.reset(HOME_JOINT_POSITIONS)
    assert "finite" in checker.violation(np.full(7, np.nan))


def test_checker_sees_a_slow_walk_out_of_the_workspace() -> None:
    box = EnvelopeConfig(tcp_lower_m=(0.2, -0.6, 0.3))
    checker = SetPointChecker(LIMITS, box, TICK_S)
    q = HOME_JOINT_POSITIONS.copy()
    checker.reset(q)
    speed, found = 0.0, ""
    while not found and q[1] < 0.5:
        speed = min(speed + 0.005, 0.1)
        q = q + np.array([0.0, speed * TICK_S, 0.0, 0.0, 0.0, 0.0, 0.0])
        found = checker.violation(q)
    assert "workspace" in found
