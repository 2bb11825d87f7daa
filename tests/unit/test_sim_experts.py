"""Scripted experts solve their tasks, within what the real arm may do, also when pushed."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest

from mail_policy.core.frames import make_transform, pose_error
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_policy.core.robot_limits import SHARED_JOINT_LIMITS, LimitShares, tightened
from mail_policy.evaluation.seeds import FIRST_EVALUATION_SEED
from mail_sim.world.demonstration import TAIL_STEPS, Disturbance, demonstrate
from mail_sim.world.experts import PLANS, Expert
from mail_sim.world.servo import PERIOD_S, Servo
from mail_sim.world.tasks import TASKS
from mail_sim.world.world import World

OPEN_TOP = TASKS[0]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(OPEN_TOP, render=False) as world:
        yield world


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_is_solved_within_the_limits_of_the_real_arm(world: World, task: object) -> None:
    world.task = task  # type: ignore[assignment]
    world.reset(FIRST_EVALUATION_SEED)
    expert = Expert(world)
    velocity_limits = tightened(SHARED_JOINT_LIMITS, LimitShares()).velocity
    for _ in range(400):
        action = expert.act()
        assert np.linalg.norm(action[:3]) <= 0.0125 + 1e-9
        assert np.linalg.norm(action[3:6]) <= 0.1 + 1e-9
        before = world.commanded_joints
        world.step(action)
        speeds = np.abs(world.commanded_joints - before) / PERIOD_S
        assert (speeds <= 1.05 * velocity_limits).all(), expert.stage
        if world.success():
            break
    assert world.success()


@pytest.mark.parametrize("seed", range(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + 5))
def test_the_drawer_is_opened_in_spite_of_disturbances(world: World, seed: int) -> None:
    world.task = OPEN_TOP
    assert demonstrate(world, seed, noise=0.25).success


def test_a_drawer_that_the_hand_pushed_in_is_opened_again(world: World) -> None:
    world.task = TASKS[9]
    # In this episode the hand pushes the drawer in after the block has been put into it.
    assert demonstrate(world, FIRST_EVALUATION_SEED + 15, noise=0.25).success


def test_the_same_seed_gives_the_same_episode_to_the_last_bit(world: World) -> None:
    world.task = TASKS[4]
    hashes = []
    for seed in (11, 12, 11):
        digest = hashlib.sha256()
        for observation, _ in demonstrate(world, seed, noise=0.25).steps:
            digest.update(observation.joint_positions.tobytes())
        digest.update(world.data.qpos.tobytes())
        hashes.append(digest.hexdigest())
    assert hashes[0] == hashes[2] != hashes[1]


def test_a_lost_grip_is_taken_again(world: World) -> None:
    world.task = OPEN_TOP
    world.reset(1)
    expert = Expert(world)
    while expert.stage != "pull":
        world.step(expert.act())
    # Something opens the hand and takes it away.
    for _ in range(12):
        world.step(np.array([-0.01, 0.0, 0.01, 0.0, 0.0, 0.0, 0.08]))
    world.step(expert.act())
    assert expert.stage == "before"
    for _ in range(120):
        world.step(expert.act())
    assert world.success()


def test_labels_are_clean_while_executed_actions_are_disturbed(world: World) -> None:
    world.task = OPEN_TOP
    steps = demonstrate(world, 3, noise=0.25).steps
    labels = [action for _, action in steps if action is not None]
    assert steps[-1][1] is None
    assert len(labels) == len(steps) - 1
    assert max(np.linalg.norm(label[:3]) for label in labels) <= 0.0125 + 1e-9
    # The same labels, played without disturbance, lead elsewhere.
    world.reset(3)
    for label in labels[:30]:
        world.step(label)
    here, there = world.data.qpos[:7], steps[30][0].joint_positions
    assert np.abs(here - there).max() > 0.005


def test_some_steps_after_the_success_are_kept(world: World) -> None:
    world.task = OPEN_TOP
    steps = demonstrate(world, 3, noise=0.0).steps
    last = [action for _, action in steps[-3:-1] if action is not None]
    assert len(last) == 2 <= TAIL_STEPS
    assert all(np.linalg.norm(action[:3]) < 0.0125 for action in last)


def test_disturbances_come_in_bursts_and_spare_the_gripper() -> None:
    action = np.array([0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.08])
    disturbance = Disturbance(0.25, seed=0)
    pushes = np.array([disturbance.disturbed(action) - action for _ in range(1500)])
    assert not pushes[:, 6].any()
    quiet = ~pushes.any(axis=1)
    assert 0.3 < quiet.mean() < 0.7
    assert pushes[~quiet, :3].std() == pytest.approx(0.25 * 0.0125, rel=0.3)
    with pytest.raises(ValueError, match="noise must be a share in"):
        Disturbance(1.5, seed=0)


def test_the_servo_comes_to_rest_at_its_goal_without_overshooting() -> None:
    servo, q = Servo(), HOME_JOINT_POSITIONS
    pose = forward_kinematics(q)
    goal = make_transform(pose[:3, :3], pose[:3, 3] + [0.0, 0.2, -0.1])
    lengths_m = []
    for _ in range(60):
        step = servo.step_towards(goal, pose, q)
        lengths_m.append(np.linalg.norm(step[:3]))
        pose = make_transform(pose[:3, :3], pose[:3, 3] + step[:3])
    assert np.linalg.norm(pose_error(pose, goal)) < 1e-3
    assert max(lengths_m) <= 0.0125 + 1e-9
    assert lengths_m[0] < 0.005
    assert np.abs(np.diff(lengths_m)).max() <= 0.004 + 1e-9


def test_a_task_without_expert_is_refused_by_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.task = OPEN_TOP
    monkeypatch.delitem(PLANS, OPEN_TOP.name)
    with pytest.raises(ValueError, match="no expert for 'open the top drawer of the cabinet'"):
        Expert(world)
