"""A second arm as the leader: the real franky on a robot whose guiding buttons a test presses."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mail_bringup.claims import claim_address
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from mail_teleop.config import LeaderArmConfig
from mail_teleop.device import TeleopError
from mail_teleop.leader_arm_driver import LeaderArm
from tests.fci.client import FaultyRobot
from tests.unit.test_teleop_contract import (  # noqa: F401
    Bench,
    read_often,
    read_until,
    test_a_closed_device_refuses_to_be_read,
    test_a_device_at_rest_says_so,
    test_a_device_closes_also_when_its_user_fails_and_can_be_opened_again,
    test_a_reading_is_a_copy,
    test_an_unplugged_device_is_told_not_taken_for_one_at_rest,
    test_the_switch_is_seen_held_for_as_long_as_it_is,
)


@pytest.fixture
def robot(tmp_path: Path) -> Iterator[FaultyRobot]:
    with claim_address(tmp_path) as claim, FaultyRobot(claim.value) as robot:
        yield robot


@pytest.fixture
def bench(robot: FaultyRobot) -> Bench:
    """The leader, for the promises that every device keeps."""
    return Bench(
        LeaderArm(LeaderArmConfig(address=robot.address, connect_timeout_s=20.0)),
        hold=lambda: robot.guiding(True),
        release=lambda: robot.guiding(False),
        unplug=lambda: os.kill(robot.process_id, signal.SIGKILL),
    )


def test_the_joints_are_those_of_the_leader(robot: FaultyRobot) -> None:
    signs = (-1, 1, -1, 1, -1, 1, -1)
    config = LeaderArmConfig(address=robot.address, joint_signs=signs, connect_timeout_s=20.0)
    with LeaderArm(config) as leader:
        reading = read_until(leader, lambda reading: True)
    np.testing.assert_allclose(
        reading.joint_positions, np.array(signs) * HOME_JOINT_POSITIONS, atol=1e-6
    )


@pytest.mark.fault("F44", bound="the leader's user stop is no held switch")
def test_a_stopped_leader_holds_no_switch(robot: FaultyRobot) -> None:
    with LeaderArm(LeaderArmConfig(address=robot.address, connect_timeout_s=20.0)) as leader:
        robot.guiding(True)
        read_until(leader, lambda reading: reading.dead_man)
        robot.user_stop(True)
        read_until(leader, lambda reading: not reading.dead_man)


def test_a_leader_that_may_not_be_read_is_refused_with_the_remedy(robot: FaultyRobot) -> None:
    robot.set_readiness(fci_active=False)
    with pytest.raises(TeleopError, match=rf"leader at {robot.address}"):
        LeaderArm(LeaderArmConfig(address=robot.address, connect_timeout_s=5.0)).__enter__()


def test_an_address_without_a_robot_is_refused(tmp_path: Path) -> None:
    with (
        claim_address(tmp_path) as claim,
        pytest.raises(TeleopError, match="check cable and address"),
    ):
        LeaderArm(LeaderArmConfig(address=claim.value)).__enter__()
