"""Limits of joints and space: the filter that keeps them, and the checker that watches it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import (
    HOME_JOINT_POSITIONS,
    chain_frames,
    condition_numbers,
    forward_kinematics,
    inverse_kinematics,
    jacobian,
    joint_transforms,
)
from mail_policy.core.motion.checker import SetPointChecker
from mail_policy.core.motion.config import EnvelopeConfig
from mail_policy.core.motion.limits_filter import (
    BrakingMotion,
    JointMotion,
    LimitsFilter,
    plan_braking,
)
from mail_policy.core.motion.posture_check import posture_refusal
from mail_policy.core.motion.self_collision import self_collision
from mail_policy.core.motion.speed_profile import SpeedProfile
from mail_policy.core.motion.trajectory import HermitePath
from mail_policy.core.motion.workspace import workspace
from mail_policy.core.robot_limits import LimitShares, RobotType, joint_limits, tightened
from mail_policy.evaluation.seeds import FIRST_EVALUATION_SEED
from mail_sim.world.experts import Expert
from mail_sim.world.tasks import TASKS
from mail_sim.world.world import World

LIMITS = tightened(joint_limits(RobotType.FR3), LimitShares())
# Derivatives that the checker bounds, in their order.
CHECKED = ("velocity", "braking_acceleration", "braking_jerk")
# So slow that no limit in space is met first.
SLOW = replace(LIMITS, braking_acceleration=LIMITS.acceleration, braking_jerk=LIMITS.jerk)
ENVELOPE = EnvelopeConfig()
WIDE = EnvelopeConfig(
    **{  # type: ignore[arg-type]
        f"{part}_{corner}_m": (sign * 2.0,) * 3
        for part in ("tcp", "hand", "elbow", "wrist")
        for corner, sign in (("lower", -1.0), ("upper", 1.0))
    }
)
TICK_S = 0.01
STILL = np.zeros(7)
HAND_DOWN = np.diag([1.0, -1.0, -1.0])
seeds = st.integers(min_value=0, max_value=2**32 - 1)


def resting(positions: Array) -> JointMotion:
    return JointMotion(positions, STILL, STILL)


def posture(
    position_m: tuple[float, float, float], rotation: Array = HAND_DOWN, turns: int = 60
) -> Array:
    """Return a posture with the TCP somewhere, hand downwards if nothing else is said."""
    q = HOME_JOINT_POSITIONS
    pose = forward_kinematics(q)
    pose[:3, :3], pose[:3, 3] = rotation, position_m
    for _ in range(turns):
        q = inverse_kinematics(pose, q).joint_positions
    np.testing.assert_allclose(forward_kinematics(q)[:3, 3], position_m, atol=1e-4)
    return q


def allowed_start(rng: np.random.Generator, envelope: EnvelopeConfig, kind: RobotType) -> Array:
    limits = tightened(joint_limits(kind), LimitShares())
    while True:
        q = np.clip(rng.normal(HOME_JOINT_POSITIONS, 0.5), limits.lower, limits.upper)
        if not posture_refusal(q[None], envelope):
            return q


class Follower:
    """A filter with a checker behind it."""

    def __init__(
        self,
        start: Array = HOME_JOINT_POSITIONS,
        envelope: EnvelopeConfig = ENVELOPE,
        kind: RobotType = RobotType.FR3,
    ) -> None:
        limits = tightened(joint_limits(kind), LimitShares())
        self.filter = LimitsFilter(limits, envelope, TICK_S)
        self.checker = SetPointChecker(limits, envelope, TICK_S)
        self.filter.reset(start)
        self.checker.reset(start)
        self.track = [start]

    def follow(self, reference: JointMotion, ticks: int = 1) -> bool:
        """Follow a reference; return whether nothing stood in the way in the last tick."""
        for _ in range(ticks):
            free = self.filter.step(reference)
            self.track.append(self.filter.state.positions)
            assert self.checker.violation(self.track[-1]) == ""
        return free

    @property
    def at(self) -> Array:
        return self.track[-1]


def hostile_references(rng: np.random.Generator, around: Array) -> Iterator[JointMotion]:
    """Yield references that jump, and lie outside every range."""
    reference, patience = resting(around), int(rng.integers(1, 40))
    while True:
        if rng.integers(patience) == 0:
            goal = around + rng.normal(0, rng.choice([0.02, 0.5, 5.0]), 7)
            reference = JointMotion(goal, rng.normal(0, 1, 7), rng.normal(0, 20, 7))
        yield reference


# The filter.


@settings(deadline=None)
@given(seeds)
def test_braking_motions_keep_acceleration_and_jerk_and_end_at_rest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = JointMotion(
        HOME_JOINT_POSITIONS,
        rng.uniform(-1, 1, 7) * LIMITS.velocity,
        rng.uniform(-1, 1, 7) * LIMITS.braking_acceleration,
    )
    braking = plan_braking(state, LIMITS, TICK_S)
    times_s = np.linspace(0.0, braking.duration_s, 400)
    accelerations = np.array([braking.after(float(t)).accelerations for t in times_s])
    jerks = np.diff(accelerations, axis=0) / (times_s[1] - times_s[0])
    assert (np.abs(accelerations) <= LIMITS.braking_acceleration * (1 + 1e-9)).all()
    assert (np.abs(jerks) <= LIMITS.braking_jerk * (1 + 1e-6)).all()
    end = braking.after(braking.duration_s)
    np.testing.assert_allclose(end.velocities, 0.0, atol=1e-12)
    np.testing.assert_allclose(end.positions, braking.end, atol=1e-12)


@pytest.mark.fault("F22", bound="no violation, any reference")
@pytest.mark.fault("F23", bound="no violation, any reference")
@pytest.mark.parametrize("kind", list(RobotType))
@pytest.mark.parametrize("envelope", [ENVELOPE, WIDE], ids=["boxes", "wide"])
@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_no_reference_brings_the_filter_outside_a_limit(
    kind: RobotType, envelope: EnvelopeConfig, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    follower = Follower(allowed_start(rng, envelope, kind), envelope, kind)
    references = hostile_references(rng, follower.at)
    for _ in range(100):
        follower.follow(next(references))


@settings(max_examples=12, deadline=None)
@given(seeds)
def test_from_every_set_point_a_whole_braking_motion_is_known(seed: int) -> None:
    rng = np.random.default_rng(seed)
    follower = Follower(allowed_start(rng, WIDE, RobotType.FR3), WIDE)
    references = hostile_references(rng, follower.at)
    for _ in range(int(rng.integers(5, 80))):
        follower.follow(next(references))
    place = follower.filter.stopping_place
    # A reference that is not finite is followed by nobody: what is left is braking.
    nowhere = JointMotion(np.full(7, np.nan), STILL, STILL)
    assert not follower.follow(nowhere, 120)
    np.testing.assert_allclose(follower.at, place, atol=1e-9)
    np.testing.assert_allclose(follower.filter.state.velocities, 0.0, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_the_arm_brakes_soon_and_without_going_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    follower = Follower()
    towards = rng.normal(0.0, 1.0, 7)
    velocity = 0.2 * towards / np.linalg.norm(jacobian(HOME_JOINT_POSITIONS)[:3] @ towards)
    velocity = np.clip(velocity, -0.4, 0.4)
    for tick in range(1, 40):
        goal = HOME_JOINT_POSITIONS + tick * TICK_S * velocity
        follower.follow(JointMotion(goal, velocity, STILL))
    begin = len(follower.track)
    follower.follow(resting(follower.filter.stopping_place), 60)
    points = np.array([forward_kinematics(q)[:3, 3] for q in follower.track[begin - 2 :]])
    heading = points[1] - points[0]
    progress_m = (points - points[0]) @ heading / np.linalg.norm(heading)
    assert progress_m.max() - progress_m[-1] < 1e-3
    speeds_m_s = np.linalg.norm(np.diff(points, axis=0), axis=1) / TICK_S
    assert speeds_m_s[30:].max() < 1e-3


def test_filter_follows_a_reference_within_limits_without_lag() -> None:
    path = sine_path(0.2, steps=60)
    follower = Follower(path.at(0.0).positions)
    errors = []
    for tick in range(1, 280):
        point = path.at(tick * TICK_S)
        assert follower.follow(JointMotion(point.positions, point.velocities, point.accelerations))
        errors.append(np.abs(follower.at - point.positions).max())
    assert max(errors[50:]) < 2e-4


@pytest.mark.fault("F24", bound="stops at the face")
@pytest.mark.parametrize(
    ("goal_m", "name", "axis"),
    [
        ((0.5, 0.0, -0.2), "TCP", 2),
        ((0.5, -0.9, 0.3), "TCP", 1),
        ((0.1, 0.0, 0.3), "TCP", 0),
    ],
)
def test_the_arm_stops_at_each_face_and_leaves_it_again(
    goal_m: tuple[float, float, float], name: str, axis: int
) -> None:
    boxes = workspace(ENVELOPE)
    start = forward_kinematics(HOME_JOINT_POSITIONS)
    follower = Follower()
    for share in np.linspace(0.0, 1.0, 800):
        pose = start.copy()
        pose[:3, 3] += share * (np.array(goal_m) - start[:3, 3])
        goal = inverse_kinematics(pose, follower.at).joint_positions
        free = follower.follow(resting(goal))
    assert not free
    excess_m = boxes.excess_m(boxes.points(chain_frames(follower.at[None])))[0]
    nearest = int(np.argmax(excess_m[axis]))
    assert boxes.name(nearest) == name
    assert -0.03 < excess_m[axis, nearest] <= 0.0
    assert follower.follow(resting(HOME_JOINT_POSITIONS), 600)
    np.testing.assert_allclose(follower.at, HOME_JOINT_POSITIONS, atol=1e-3)


@pytest.mark.fault("F25", bound="slower from 2 cm, stops at 1 cm")
def test_the_arm_slows_down_near_itself_and_stops_a_centimetre_away() -> None:
    arm = self_collision(WIDE)
    start = np.array([0.0, -0.9, 0.0, -2.6, 0.0, 1.7, 0.785])
    follower = Follower(start, WIDE)
    into = start + np.array([0.0, 0.0, 0.0, -0.35, 0.0, -0.9, 0.0])
    assert arm.clearance_m(into) < -0.01
    follower.follow(resting(into), 900)
    clearances_m = np.array([arm.clearance_m(q) for q in follower.track])
    points = workspace(WIDE).points(chain_frames(np.array(follower.track)))
    speeds_m_s = workspace(WIDE).longest_m(np.diff(points, axis=0)) / TICK_S
    assert clearances_m.min() >= 0.01 - 1e-4
    assert clearances_m[-1] < 0.015
    assert speeds_m_s[clearances_m[1:] > 0.04].max() > 0.15
    assert speeds_m_s[clearances_m[1:] < 0.015].max() < 0.14
    assert follower.follow(resting(start), 600)
    np.testing.assert_allclose(follower.at, start, atol=1e-3)


@pytest.mark.fault("F26", bound="slower from condition 17, stops at 30")
def test_the_arm_does_not_stretch_into_a_singularity_but_comes_out_of_one() -> None:
    stretched = np.array([0.0, 0.6, 0.0, -0.21, 0.0, 0.9, 0.785])
    assert condition_numbers(chain_frames(stretched[None]))[0] > 30.0
    follower = Follower(envelope=WIDE)
    assert not follower.follow(resting(stretched), 900)
    reached = condition_numbers(chain_frames(np.array(follower.track)))
    assert 20.0 < reached[-1] <= 30.0 + 1e-6
    assert reached.max() <= 30.5
    nearly = stretched + 0.3 * (HOME_JOINT_POSITIONS - stretched)
    assert condition_numbers(chain_frames(nearly[None]))[0] > 35.0
    trapped = Follower(nearly, WIDE)
    trapped.follow(resting(HOME_JOINT_POSITIONS), 900)
    np.testing.assert_allclose(trapped.at, HOME_JOINT_POSITIONS, atol=1e-3)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_nothing_that_is_watched_is_faster_than_allowed(seed: int) -> None:
    """Elbow, wrist and fingertips count, also where the TCP itself stands still."""
    rng = np.random.default_rng(seed)
    follower = Follower(envelope=WIDE)
    _, _, null = np.linalg.svd(jacobian(HOME_JOINT_POSITIONS))
    goal = HOME_JOINT_POSITIONS + rng.choice([-1.0, 1.0]) * null[6]
    follower.follow(resting(goal), 80)
    transforms = np.array([joint_transforms(q) for q in follower.track])
    for joint in (3, 5, 6, 7):
        way_m = np.linalg.norm(np.diff(transforms[:, joint, :3, 3], axis=0), axis=1)
        assert way_m.max() / TICK_S <= 1.001 * ENVELOPE.speed_m_s


# The checker.


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
    assert "seven" in checker.violation(np.zeros(6))


@pytest.mark.fault("F22", bound="seen from a thousandth on")
@pytest.mark.parametrize("order", [1, 2, 3])
def test_checker_sees_a_thousandth_beyond_each_derivative(order: int) -> None:
    limit = getattr(SLOW, CHECKED[order - 1])[0]
    name = ("velocity", "acceleration", "jerk")[order - 1]
    for share, expected in ((0.999, ""), (1.001, name)):
        # The first three set-points follow a polynomial whose derivative is the limit's share.
        ticks = np.arange(4.0)
        way = share * limit * TICK_S**order * ticks
        for _ in range(order - 1):
            way = np.cumsum(way)
        checker = SetPointChecker(loosened_below(order), replace(WIDE, speed_m_s=0.6), TICK_S)
        checker.reset(HOME_JOINT_POSITIONS)
        said = []
        for step in way[1:]:
            q = HOME_JOINT_POSITIONS.copy()
            q[0] += step
            said.append(checker.violation(q))
        assert (expected in said[-1]) if expected else said[-1] == ""


def loosened_below(order: int) -> object:
    """Return limits in which only one derivative can be violated."""
    much = np.full(7, 1e9)
    return replace(SLOW, **{name: much for name in CHECKED if name != CHECKED[order - 1]})


@pytest.mark.parametrize(
    ("envelope", "text"),
    [
        (EnvelopeConfig(tcp_lower_m=(0.2, -0.6, 0.3)), "TCP"),
        (EnvelopeConfig(hand_lower_m=(0.05, -0.75, 0.28)), "fingertip"),
        (EnvelopeConfig(elbow_upper_m=(0.05, 0.45, 0.8)), "elbow"),
        (EnvelopeConfig(wrist_upper_m=(0.52, 0.70, 1.1)), "wrist"),
        (EnvelopeConfig(hand_upper_m=(0.70, 0.75, 1.05), camera_mount_m=(0.2, 0, 0)), "camera"),
    ],
)
def test_checker_sees_a_slow_walk_out_of_each_box(envelope: EnvelopeConfig, text: str) -> None:
    checker = SetPointChecker(LIMITS, envelope, TICK_S)
    q = HOME_JOINT_POSITIONS.copy()
    checker.reset(q)
    speed, found = 0.0, ""
    while not found and q[1] < 0.5:
        speed = min(speed + 0.005, 0.1)
        q = q + np.array([0.0, speed * TICK_S, 0.0, 0.0, 0.0, 0.0, 0.0])
        found = checker.violation(q)
    assert text in found
    assert "workspace" in found


def test_checker_sees_the_arm_come_near_itself() -> None:
    checker, arm = SetPointChecker(LIMITS, WIDE, TICK_S), self_collision(WIDE)
    q = np.array([0.0, -0.9, 0.0, -2.6, 0.0, 1.7, 0.785])
    checker.reset(q)
    speed, found = 0.0, ""
    while not found and q[5] > 0.6:
        speed = min(speed + 0.002, 0.1)
        q = q - speed * TICK_S * np.array([0.0, 0.0, 0.0, 0.35, 0.0, 0.9, 0.0])
        found = checker.violation(q)
    assert "from itself" in found
    assert arm.clearance_m(q) == pytest.approx(0.01 - 0.001, abs=8e-4)


@pytest.mark.parametrize(("joint", "name"), [(0, "hand"), (5, "fingertip")])
def test_checker_sees_a_point_that_is_too_fast(joint: int, name: str) -> None:
    checker = SetPointChecker(LIMITS, EnvelopeConfig(speed_m_s=0.05), TICK_S)
    q = HOME_JOINT_POSITIONS.copy()
    checker.reset(q)
    speed, found = 0.0, ""
    while not found:
        speed += 0.0002
        q = q.copy()
        q[joint] += speed * TICK_S
        found = checker.violation(q)
    assert name in found
    assert "limit is 0.05 m/s" in found


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_checker_and_filter_see_the_same_arm(seed: int) -> None:
    """Two programs, one arm: what one calls a violation the other does not call allowed."""
    rng = np.random.default_rng(seed)
    q = np.clip(rng.normal(HOME_JOINT_POSITIONS, 0.7), LIMITS.lower, LIMITS.upper)
    checker = SetPointChecker(LIMITS, ENVELOPE, TICK_S)
    checker.reset(q)
    said = checker.violation(q)
    refused = posture_refusal(q[None], ENVELOPE)
    if said:
        assert refused
    tolerant = EnvelopeConfig(
        stop_clearance_m=0.007,
        **{
            f"{part}_{corner}_m": tuple(
                np.array(getattr(ENVELOPE, f"{part}_{corner}_m")) + sign * 0.001
            )
            for part in ("tcp", "hand", "elbow", "wrist")
            for corner, sign in (("lower", -1.0), ("upper", 1.0))
        },
    )
    if posture_refusal(q[None], tolerant):
        assert said


# Postures and profiles.


def test_the_table_is_felt_by_whatever_is_lowest() -> None:
    """Fingers pointing down, a tilted finger, and a hand that lies flat."""
    tilt = np.array(
        [[1.0, 0.0, 0.0], [0.0, -np.cos(0.5), -np.sin(0.5)], [0.0, np.sin(0.5), -np.cos(0.5)]]
    )
    assert posture_refusal(posture((0.5, 0.0, 0.012))[None], ENVELOPE) == ""
    assert "fingertip" in posture_refusal(posture((0.5, 0.0, 0.02), tilt)[None], ENVELOPE)
    # Lying flat the hand hangs above the wrist.
    flat = np.array([0.0, 0.7, 0.0, -2.1, 0.0, 4.37, 0.785])
    assert posture_refusal(flat[None], ENVELOPE) == ""
    lower = flat + np.array([0.0, 0.2, 0.0, 0.0, 0.0, 0.2, 0.0])
    assert "wrist" in posture_refusal(lower[None], ENVELOPE)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_defaults_leave_room_for_every_task(world: World, task: object) -> None:
    world.task = task  # type: ignore[assignment]
    world.reset(FIRST_EVALUATION_SEED)
    expert, track = Expert(world), []
    while not world.success() and len(track) < 400:
        world.step(expert.act())
        track.append(world.commanded_joints.copy())
    assert world.success()
    frames = chain_frames(np.array(track))
    boxes = workspace(ENVELOPE)
    # A centimetre to every face and no slowing down near itself.
    assert boxes.excess_m(boxes.points(frames)).max() < -0.01
    assert self_collision(ENVELOPE).clearances_m(frames).min() > ENVELOPE.slow_clearance_m
    assert condition_numbers(frames).max() < 20.0


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(TASKS[0], render=False) as world:
        yield world


def sine_path(speed: float = 0.2, steps: int = 20) -> HermitePath:
    times_s = 0.05 * np.arange(steps)
    positions = np.tile(HOME_JOINT_POSITIONS, (steps, 1))
    positions[:, 0] += speed / 2.0 * np.sin(2.0 * times_s)
    return HermitePath(times_s, positions)


def test_speed_profile_keeps_speed_limits_and_ends_at_rest() -> None:
    path = sine_path(2.5)
    profile = SpeedProfile(path, 0.0, LIMITS, ENVELOPE)
    assert profile.rate_at(path.end_s) == 0.0
    for time_s in path.progress_s[:-1]:
        point, rate = path.at(float(time_s)), profile.rate_at(float(time_s))
        speed = np.linalg.norm(jacobian(point.positions)[:3] @ point.velocities)
        assert rate * speed <= ENVELOPE.speed_m_s
        assert (rate * np.abs(point.velocities) <= LIMITS.velocity).all()


def test_a_slow_path_is_not_slowed_down() -> None:
    path = sine_path(0.05)
    profile = SpeedProfile(path, 0.0, LIMITS, ENVELOPE)
    assert profile.rate_at(0.3) == 1.0


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (HOME_JOINT_POSITIONS, [0.0, 0.5, 0.0, -0.25, 0.0, 0.9, 0.785]),
        ([0.0, -0.9, 0.0, -2.6, 0.0, 1.7, 0.785], [0.0, -0.9, 0.0, -2.95, 0.0, 0.8, 0.785]),
    ],
    ids=["singularity", "self-collision"],
)
def test_speed_profile_slows_down_on_the_way_in_and_not_on_the_way_out(
    start: Array, end: list[float]
) -> None:
    shares = np.linspace(0.0, 1.0, 60)[:, None]
    positions = np.asarray(start) + shares * (np.array(end) - start)
    times_s = np.linspace(0.0, 30.0, 60)
    frames = chain_frames(positions)
    conditions = condition_numbers(frames)
    clearances_m = self_collision(WIDE).clearances_m(frames)
    closed = (conditions > 30.0) | (clearances_m < 0.01)
    free = (conditions < 17.0) & (clearances_m > 0.02)
    assert closed.any()
    assert free[:10].all()
    inwards = SpeedProfile(HermitePath(times_s, positions), 0.0, LIMITS, WIDE)
    rates = np.array([inwards.rate_at(float(t)) for t in times_s])
    first = int(np.argmax(closed))
    assert rates[first] < 1e-6
    assert (rates[:10] == 1.0).all()
    slowed = rates[:first][~free[:first]]
    assert (slowed > 0.0).all()
    assert (slowed < 1.0).any()
    back = HermitePath(times_s[: first + 1], positions[first::-1])
    assert SpeedProfile(back, 0.0, LIMITS, WIDE).rate_at(0.1) > 0.9


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"speed_m_s": 0.7}, "speed_m_s"),
        ({"hand_lower_m": (2.0, 0.0, 0.0)}, "hand_lower_m must be below hand_upper_m in x"),
        ({"wrist_upper_m": (0.9, -0.7, 1.0)}, "wrist_lower_m must be below wrist_upper_m in y"),
        ({"stop_clearance_m": 0.03}, "slow_clearance_m must be above"),
        ({"slow_condition": 40.0}, "stop_condition above"),
    ],
)
def test_an_envelope_without_sense_is_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        EnvelopeConfig(**change)  # type: ignore[arg-type]


def test_a_braking_motion_is_exact_at_any_time() -> None:
    state = JointMotion(HOME_JOINT_POSITIONS, 0.3 * np.ones(7), -1.0 * np.ones(7))
    braking = BrakingMotion(state, 0.3)
    h = 1e-5
    for time_s in (0.05, 0.15, 0.28):
        left, here, right = (braking.after(time_s + d) for d in (-h, 0.0, h))
        slope = (right.positions - left.positions) / (2 * h)
        np.testing.assert_allclose(slope, here.velocities, atol=1e-7)
        slope = (right.velocities - left.velocities) / (2 * h)
        np.testing.assert_allclose(slope, here.accelerations, atol=1e-6)
