"""Paths and joins of the motion core."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_policy.core.frames import move_pose
from mail_policy.core.kinematics import (
    HOME_JOINT_POSITIONS,
    forward_kinematics,
)
from mail_policy.core.motion.chunk_planner import follow_pose
from mail_policy.core.motion.splice import ensemble, gap_between, splice
from mail_policy.core.motion.trajectory import HermitePath, minimum_jerk_path
from mail_policy.core.robot_limits import (
    LimitShares,
    RobotType,
    joint_limits,
    tightened,
)

LIMITS = tightened(joint_limits(RobotType.FR3), LimitShares())
TICK_S = 0.01
seeds = st.integers(min_value=0, max_value=2**32 - 1)


def sine_path(speed: float = 0.2, steps: int = 20) -> HermitePath:
    times_s = 0.05 * np.arange(steps)
    positions = np.tile(HOME_JOINT_POSITIONS, (steps, 1))
    positions[:, 0] += speed / 2.0 * np.sin(2.0 * times_s)
    return HermitePath(times_s, positions)


@settings(deadline=None)
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
    assert gap_between(old, new, 0.32).largest_rad == pytest.approx(
        abs(new.at(0.32).positions[0] - old.at(0.32).positions[0])
    )


def test_an_ensemble_is_the_mean_of_all_that_speak_and_an_old_path_fades_out() -> None:
    # Three lines at 0, 1 and 2 rad; the oldest ends first.
    paths = [
        HermitePath(0.05 * np.arange(first, last), np.full((last - first, 7), float(level)))
        for level, (first, last) in enumerate([(0, 17), (8, 25), (16, 33)])
    ]
    mean = ensemble(paths, 0.4, decay=0.0)
    assert mean.start_s == 0.4
    assert mean.end_s == pytest.approx(1.6)
    # At 0.8 s the oldest is silent, the middle one speaks fully; then that one fades within 0.3 s.
    assert mean.at(0.8).positions[0] == pytest.approx(1.5)
    assert mean.at(1.05).positions[0] == pytest.approx((0.5 * 1.0 + 2.0) / 1.5)
    assert mean.at(1.3).positions[0] == pytest.approx(2.0)
    # A high decay trusts the oldest that still speaks.
    assert ensemble(paths, 0.4, decay=8.0).at(0.8).positions[0] == pytest.approx(1.0, abs=1e-3)


def test_homing_path_rests_at_both_ends_and_keeps_its_peak_velocity() -> None:
    end = HOME_JOINT_POSITIONS + np.array([0.5, -0.2, 0.1, 0.3, 0.0, -0.4, 0.2])
    peak = 0.2 * LIMITS.velocity
    path = minimum_jerk_path(HOME_JOINT_POSITIONS, end, peak_velocity=peak, start_progress_s=2.0)
    times_s = np.linspace(2.0, path.end_s, 500)
    velocities = np.array([path.at(float(t)).velocities for t in times_s])
    assert (np.abs(velocities).max(axis=0) <= 1.01 * peak).all()
    np.testing.assert_allclose(velocities[0], 0.0, atol=1e-9)
    np.testing.assert_allclose(path.at(path.end_s).positions, end, atol=1e-12)
