"""The directly stepped world against the twin behind the robot's protocol: same targets, same end.

An expert opens a drawer in the world; the joint targets that it drove are then streamed to the
twin by our driver, by the robot's own clock, so that a busy machine only makes it slower.
"""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass

import franky
import numpy as np
import pytest

from mail_franka.arm_config import FrankyConfig
from mail_franka.franky_driver import FrankyArm
from mail_policy.core.action_schema import GRIPPER_CLOSE_BELOW_M
from mail_policy.core.frames import Array
from mail_policy.core.robot_limits import RobotType
from mail_policy.core.types import JointSetPoint
from mail_policy.evaluation.seeds import FIRST_EVALUATION_SEED
from mail_sim.twin import Twin, TwinConfig
from mail_sim.world.address import find_free_address
from mail_sim.world.experts import Expert
from mail_sim.world.hand import SPEED_M_S
from mail_sim.world.layout import sample_arm_start
from mail_sim.world.world import PERIOD_S, World

OPEN_TOP = "open the top drawer of the cabinet"
SEED = FIRST_EVALUATION_SEED
SMALL = TwinConfig(image_height=32, image_width=32)
TOLERANCE_M = 0.005
TICK_S = 0.01
# After the success, until the expert's hand has come to rest.
REST_STEPS = 25
LIMIT_S = 120.0
GRIP_FORCE_N = 40.0


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """What an expert drove.

    Attributes:
        joints: Joint positions at every period [rad], shape (L + 1, 7).
        close_at_s: When the hand began to close [s].
        opening_m: How far the drawer was open at the end [m].
    """

    joints: Array
    close_at_s: float
    opening_m: float


def drive_in_the_world() -> Drive:
    with World(OPEN_TOP, render=False) as world:
        world.reset(SEED)
        expert, joints, closing = Expert(world), [world.commanded_joints], []
        rest_steps = 0
        while rest_steps < REST_STEPS:
            rest_steps += world.success()
            action = expert.act()
            closing.append(action[6] < GRIPPER_CLOSE_BELOW_M)
            world.step(action)
            joints.append(world.commanded_joints)
        return Drive(np.array(joints), PERIOD_S * closing.index(True), world.measure())


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin(find_free_address(), f"test{secrets.token_hex(4)}", SMALL) as twin:
        yield twin


def stream(arm: FrankyArm, gripper: franky.Gripper, drive: Drive) -> None:
    """Drive the arm along straight lines between the targets, as the world does."""
    ends_s = PERIOD_S * (len(drive.joints) - 1)
    times_s = PERIOD_S * np.arange(len(drive.joints))
    velocities = np.diff(drive.joints, axis=0) / PERIOD_S
    reading, deadline_s, closing = arm.read(), time.monotonic() + LIMIT_S, None
    began_s = last_s = reading.robot_time_s
    while last_s - began_s < ends_s:
        assert time.monotonic() < deadline_s, "the simulated arm stands still"
        reading = arm.read()
        if reading.robot_time_s < last_s + TICK_S:
            time.sleep(0.0005)
            continue
        last_s = reading.robot_time_s
        now_s = min(last_s - began_s, ends_s)
        wanted = np.array([np.interp(now_s, times_s, joint) for joint in drive.joints.T])
        segment = min(int(now_s / PERIOD_S), len(velocities) - 1)
        arm.follow(JointSetPoint(wanted, velocities[segment], np.zeros(7)))
        if closing is None and now_s >= drive.close_at_s:
            closing = gripper.grasp_async(0.0, SPEED_M_S, GRIP_FORCE_N, 0.0, 0.08)
    assert closing is not None


def test_replayed_targets_open_the_drawer_as_far_in_both_twins(twin: Twin) -> None:
    drive = drive_in_the_world()
    robot = franky.Robot(twin.robot_ip, realtime_config=franky.RealtimeConfig.Ignore)
    robot.relative_dynamics_factor = 0.3
    robot.move(franky.JointMotion([float(q) for q in sample_arm_start(SEED)]))
    gripper = franky.Gripper(twin.robot_ip)
    assert gripper.move(0.08, SPEED_M_S)
    twin.reset(SEED)
    del robot  # One client at a time commands the arm.
    with FrankyArm(twin.robot_ip, RobotType.FR3, FrankyConfig()) as arm:
        arm.take_control()
        stream(arm, gripper, drive)
        arm.release_control()
    check = twin.check(OPEN_TOP)
    assert check.success
    assert check.measure == pytest.approx(drive.opening_m, abs=TOLERANCE_M)
