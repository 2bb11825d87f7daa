"""Parts of the robot that misbehaves on command, without a network: limits, braking, messages."""

from typing import Any

import numpy as np
import pytest
from franky_sim.franka_robot_protocol import StateMotionGeneratorMode, UDPCommand
from franky_sim.franka_robot_state import FrankaRobotState

from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from mail_policy.core.robot_limits import RobotType
from tests.fci.kinematic_arm import KinematicArm
from tests.fci.state_message import StateMessage

STILL = [0.0] * 7
POSITION, VELOCITY = (
    StateMotionGeneratorMode.kJointPosition,
    StateMotionGeneratorMode.kJointVelocity,
)


def first_error(mode: Any, commands: list[Any]) -> str | None:
    arm = KinematicArm(RobotType.FR3, HOME_JOINT_POSITIONS.tolist())
    arm.begin(mode)
    field = "q_c" if mode is POSITION else "dq_c"
    errors = (arm.follow(UDPCommand(**{field: tuple(command)})) for command in commands)
    return next((error for error in errors if error is not None), None)


def ramp(accelerations: list[float]) -> list[list[float]]:
    """Return velocities of joint 1 for its accelerations, cycle by cycle."""
    return [[speed, *STILL[1:]] for speed in np.cumsum(accelerations) * 1e-3]


@pytest.mark.parametrize(
    ("mode", "commands", "error"),
    [
        (VELOCITY, ramp([4.9, 9.8, 9.9, 9.9]), None),
        (VELOCITY, ramp([4.9, 9.8, 10.1]), "joint_motion_generator_velocity_discontinuity"),
        (VELOCITY, ramp([5.1]), "joint_motion_generator_acceleration_discontinuity"),
        (VELOCITY, ramp([4.9, 9.8, 4.7]), "joint_motion_generator_acceleration_discontinuity"),
        (
            VELOCITY,
            ramp([4.9, *[9.9] * 210]),
            "joint_motion_generator_velocity_limits_violation",
        ),
        (
            VELOCITY,
            [[np.nan, *STILL[1:]]],
            "joint_motion_generator_position_limits_violation",
        ),
        (POSITION, [HOME_JOINT_POSITIONS] * 3, None),
        (
            POSITION,
            [HOME_JOINT_POSITIONS + 0.01],
            "joint_position_motion_generator_start_pose_invalid",
        ),
        (
            POSITION,
            [HOME_JOINT_POSITIONS + np.nan],
            "joint_position_motion_generator_start_pose_invalid",
        ),
        (
            POSITION,
            [HOME_JOINT_POSITIONS + 1.1e-5],
            "joint_motion_generator_velocity_discontinuity",
        ),
        (
            POSITION,
            [HOME_JOINT_POSITIONS + 6e-6],
            "joint_motion_generator_acceleration_discontinuity",
        ),
    ],
)
def test_each_limit_has_its_error(mode, commands, error):
    assert first_error(mode, commands) == error


@pytest.mark.parametrize("speed_rad_s", [0.9, 0.01, -1e-5])
def test_braking_is_monotone_and_ends(speed_rad_s):
    arm = KinematicArm(RobotType.FR3, HOME_JOINT_POSITIONS.tolist())
    arm.dq = [speed_rad_s] * 7
    arm.ddq = [-2.0] * 7
    speeds, accelerations = [], [-2.0]
    while not arm.at_rest:
        arm.brake()
        speeds.append(arm.dq[0] * np.sign(speed_rad_s))
        accelerations.append(arm.ddq[0])
        assert len(speeds) < 300
    assert np.abs(accelerations).max() <= 10.0
    assert np.abs(np.diff(accelerations)).max() <= 5000.0 * 1e-3
    if abs(speed_rad_s) > 0.1:
        assert (np.diff(speeds) <= 0.0).all()
        assert min(speeds) >= 0.0


def test_lost_cycles_are_extrapolated_with_constant_acceleration_up_to_the_speed_limit():
    arm = KinematicArm(RobotType.FR3, HOME_JOINT_POSITIONS.tolist())
    arm.dq, arm.ddq = [0.0, 0.985, *STILL[2:]], [1.0, 10.0, *STILL[2:]]
    for _ in range(10):
        arm.extrapolate()
    assert arm.dq[0] == pytest.approx(0.01)
    assert arm.q[0] == pytest.approx(0.5 * 1.0 * 0.01 * 0.011)
    assert arm.dq[1] == 1.0, "the speed limit of joint 2 is 1 rad/s"


def test_a_message_written_field_by_field_is_that_of_franky_sim():
    q, dq, ddq = ([0.1 * i + base for i in range(7)] for base in (1.0, 2.0, 3.0))
    errors = [index % 3 == 0 for index in range(41)]
    message = StateMessage()
    message.write_joints(q, dq, ddq)
    message.write("m_load", [0.5])
    message.write("accelerometer_bottom", range(18))
    message.write_modes((2, 0, 4), errors, errors[::-1], 0.25)
    expected = FrankaRobotState(
        **{"q": q, "q_d": q, "theta": q, "dq": dq, "dq_d": dq, "dtheta": dq, "ddq_d": ddq},
        m_load=0.5,
        accelerometer_bottom=tuple(range(18)),
        motion_generator_mode=2,
        controller_mode=0,
        robot_mode=4,
        errors=tuple(errors),
        reflex_reason=tuple(errors[::-1]),
        control_command_success_rate=0.25,
    )
    assert bytes(message) == expected.pack_state()
