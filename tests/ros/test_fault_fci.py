"""The robot that misbehaves on command, with a real franky client.

Other tests trust it, so every fault is checked from the client's side, and correct motion must
pass all its limit checks.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import franky
import numpy as np
import pytest

from mail_bringup.claims import claim_address
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_policy.core.robot_limits import RobotType, joint_limits
from tests.fci.client import ROBOT_MODES, FaultyRobot, FaultyRobotError, Trajectory
from tests.fci.errors import ERROR_NAMES
from tests.fci.franky_client import (
    LIMIT_S,
    active_errors,
    await_mode,
    connect,
    is_turning,
    run_on,
    turn,
    wait_until,
)

COMMUNICATION = "communication_constraints_violation"
BOTH_ARMS = pytest.mark.parametrize("robot_type", list(RobotType))


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with claim_address(tmp_path) as claim:
        yield claim.value


@pytest.fixture
def robot(address: str) -> Iterator[FaultyRobot]:
    with FaultyRobot(address) as robot:
        yield robot


@pytest.fixture
def client(robot: FaultyRobot) -> Any:
    return connect(robot.address)


def joint_motion(offset_rad: float) -> franky.JointMotion:
    return franky.JointMotion((HOME_JOINT_POSITIONS + offset_rad).tolist())


def assert_came_to_rest_inside_limits(
    trajectory: Trajectory, robot_type: RobotType = RobotType.FR3
) -> None:
    limits = joint_limits(robot_type)
    acceleration = np.diff(trajectory.joint_velocities, axis=0) / 1e-3
    jerk = np.diff(acceleration, axis=0) / 1e-3
    # Single precision on the wire: see tests/fci/motion_limits.py.
    assert (np.abs(acceleration) <= limits.acceleration + 1e-3).all()
    assert (np.abs(jerk) <= limits.jerk + 0.3).all()
    assert (trajectory.joint_velocities[-1] == 0.0).all()


# Correct motion passes.


@BOTH_ARMS
def test_a_joint_motion_at_full_dynamics_passes_the_checks_and_arrives(address, robot_type):
    with FaultyRobot(address, robot_type=robot_type) as robot:
        client = connect(address, robot_type)
        for offset_rad in (0.3, -0.1):
            client.move(joint_motion(offset_rad))
            goal = HOME_JOINT_POSITIONS + offset_rad
            np.testing.assert_allclose(client.state.q, goal, atol=1e-4)
            np.testing.assert_allclose(
                client.state.O_T_EE.matrix, forward_kinematics(goal), atol=1e-4
            )
        trajectory = robot.trajectory()
        assert not trajectory.lost.any()
        acceleration = np.diff(trajectory.joint_velocities, axis=0) / 1e-3
        share = np.abs(acceleration) / joint_limits(robot_type).acceleration
        assert share.max() > 0.95, "the motion was too gentle to test the limits"
        assert client.state.robot_mode == franky.RobotMode.Idle


@BOTH_ARMS
def test_velocities_streamed_at_100_hz_pass_the_checks(address, robot_type):
    with FaultyRobot(address, robot_type=robot_type) as robot:
        client = connect(address, robot_type)
        dynamics = franky.RelativeDynamicsFactor(1.0, 0.8, 1.0)
        for tick in range(200):
            # Every 0.4 s the wanted velocity jumps, so that the limits bind.
            speed_rad_s = 0.4 * np.sin(0.03 * tick) if tick % 40 < 30 else -0.8
            motion = franky.JointVelocityMotion([speed_rad_s] * 7, franky.Duration(250), dynamics)
            client.move(motion, asynchronous=True)
            run_on(robot, 10)
        client.move(franky.JointVelocityStopMotion())
        trajectory = robot.trajectory()
        assert not trajectory.lost.any()
        acceleration = np.diff(trajectory.joint_velocities, axis=0) / 1e-3
        share = np.abs(acceleration) / joint_limits(robot_type).acceleration
        assert share.max() > 0.5, "the stream was too gentle to test the limits"
        assert_came_to_rest_inside_limits(trajectory, robot_type)


def test_cartesian_motions_pass_the_checks(robot, client):
    client.relative_dynamics_factor = 0.1
    start = np.array(client.state.O_T_EE.matrix)
    step = franky.Affine([0.05, 0.05, -0.05])
    client.move(franky.CartesianMotion(step, franky.ReferenceType.Relative))
    np.testing.assert_allclose(client.state.O_T_EE.matrix, start @ step.matrix, atol=1e-4)
    twist = franky.Twist([0.05, 0.0, 0.0], [0.0, 0.0, 0.1])
    before = np.array(client.state.O_T_EE.matrix)
    client.move(franky.CartesianVelocityMotion(twist, franky.Duration(300)), asynchronous=True)
    run_on(robot, 300)
    client.move(franky.CartesianVelocityStopMotion())
    moved_m = np.array(client.state.O_T_EE.matrix)[:3, 3] - before[:3, 3]
    assert moved_m[0] > 0.01
    np.testing.assert_allclose(moved_m[1:], 0.0, atol=1e-3)


def test_a_stopped_motion_is_preempted_and_the_arm_rests(robot, client):
    turn(client, robot)
    client.stop()
    wait_until(lambda: robot.status()["robot_mode"] == "kIdle", "the arm rests")
    assert_came_to_rest_inside_limits(robot.trajectory())
    with pytest.raises(franky.ControlException, match="preempted"):
        client.join_motion()


def test_torques_are_refused(client):
    with pytest.raises(franky.Exception, match="not possible"):
        client.move(franky.JointImpedanceMotion(HOME_JOINT_POSITIONS.tolist()))


# Limits.


def beyond_the_range(client: Any) -> franky.JointMotion:
    goal = HOME_JOINT_POSITIONS.copy()
    goal[3] = -0.05
    return franky.JointMotion(goal.tolist())


def too_fast(client: Any) -> franky.JointVelocityMotion:
    client.joint_velocity_limit.set(client.joint_velocity_limit.max)
    return franky.JointVelocityMotion([0.0, 1.5, 0.0, 0.0, 0.0, 0.0, 0.0], franky.Duration(1000))


def too_hard(client: Any) -> franky.JointVelocityMotion:
    client.joint_acceleration_limit.set(client.joint_acceleration_limit.max)
    return franky.JointVelocityMotion([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], franky.Duration(1000))


def without_rest(client: Any) -> franky.JointVelocityWaypointMotion:
    return franky.JointVelocityWaypointMotion([franky.JointVelocityWaypoint([0.1] * 7)])


@pytest.mark.parametrize(
    ("make_motion", "error"),
    [
        (beyond_the_range, "joint_motion_generator_position_limits_violation"),
        (too_fast, "joint_motion_generator_velocity_limits_violation"),
        (too_hard, "joint_motion_generator_velocity_discontinuity"),
        (without_rest, "joint_motion_generator_velocity_discontinuity"),
    ],
)
def test_a_client_that_exceeds_a_limit_is_stopped_by_reflex(robot, client, make_motion, error):
    with pytest.raises(franky.ControlException, match=error):
        client.move(make_motion(client))
    await_mode(client, franky.RobotMode.Reflex)
    assert active_errors(client) == [error]
    assert getattr(client.state.last_motion_errors, error)
    wait_until(lambda: not robot.trajectory().joint_velocities[-1].any(), "the arm rests")
    with pytest.raises(franky.Exception, match="not possible"):
        client.move(joint_motion(0.1))


# Reflexes, user stop, guiding, recovery, readiness.


def test_every_error_can_be_injected_and_is_seen_by_its_name(robot, client):
    assert len(ERROR_NAMES) == 41
    assert set(ERROR_NAMES) == {n for n in dir(franky.Errors) if not n.startswith("_")}
    for name in ERROR_NAMES:
        robot.reflex(name)
        await_mode(client, franky.RobotMode.Reflex)
        assert active_errors(client) == [name]
        client.recover_from_errors()
        await_mode(client, franky.RobotMode.Idle)
        assert active_errors(client) == []


def test_a_reflex_ends_a_motion_with_all_its_errors(robot, client):
    turn(client, robot)
    robot.reflex("joint_reflex", "cartesian_reflex")
    wait_until(lambda: not client.is_in_control, "the client loses control")
    with pytest.raises(franky.ControlException, match=r"joint_reflex.*cartesian_reflex"):
        client.join_motion()
    assert active_errors(client) == ["joint_reflex", "cartesian_reflex"]
    assert client.state.last_motion_errors.joint_reflex
    run_on(robot, 100)
    assert_came_to_rest_inside_limits(robot.trajectory())


def test_after_a_recovery_the_arm_moves_again(robot, client):
    robot.reflex("joint_reflex")
    await_mode(client, franky.RobotMode.Reflex)
    client.recover_from_errors()
    await_mode(client, franky.RobotMode.Idle)
    client.move(joint_motion(0.1))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("kManualErrorRecoveryRequiredRejected", "manual error recovery"),
        ("kCommandNotPossibleRejected", "not possible in the current mode"),
    ],
)
def test_a_recovery_can_be_refused_a_number_of_times(robot, client, answer, message):
    robot.reflex("joint_reflex")
    robot.answer_recoveries(answer, times=2)
    for _ in range(2):
        with pytest.raises(franky.CommandException, match=message):
            client.recover_from_errors()
        assert active_errors(client) == ["joint_reflex"]
    client.recover_from_errors()
    await_mode(client, franky.RobotMode.Idle)


@pytest.mark.parametrize(
    ("inject", "mode", "ended", "refused"),
    [
        ("user_stop", franky.RobotMode.UserStopped, "User Stop", "User stopped"),
        ("guiding", franky.RobotMode.Guiding, "aborted", "Guiding"),
    ],
)
def test_a_human_override_ends_a_motion_and_allows_none_until_released(
    robot, client, inject, mode, ended, refused
):
    turn(client, robot)
    getattr(robot, inject)(True)
    wait_until(lambda: not client.is_in_control, "the client loses control")
    with pytest.raises(franky.ControlException, match=ended):
        client.join_motion()
    await_mode(client, mode)
    with pytest.raises(franky.Exception, match=refused):
        client.move(joint_motion(0.1))
    getattr(robot, inject)(False)
    await_mode(client, franky.RobotMode.Idle)
    client.move(joint_motion(0.1))


@pytest.mark.parametrize(
    ("fault", "mode", "message"),
    [
        ("joints_locked", franky.RobotMode.Other, "open the brakes"),
        ("safety_function_active", franky.RobotMode.Idle, "safety function"),
    ],
)
def test_a_robot_that_is_not_ready_refuses_motions(robot, client, fault, mode, message):
    robot.set_readiness(**{fault: True})
    await_mode(client, mode)
    with pytest.raises(franky.Exception, match=message):
        client.move(joint_motion(0.1))
    robot.set_readiness()
    client.move(joint_motion(0.1))


def test_without_fci_connections_are_refused(robot):
    robot.set_readiness(fci_active=False)
    with pytest.raises(franky.NetworkException, match="enable FCI mode"):
        connect(robot.address)
    robot.set_readiness()
    connect(robot.address).move(joint_motion(0.1))


def test_another_version_is_refused_by_its_number(robot):
    robot.set_server_version(5)
    with pytest.raises(franky.IncompatibleVersionException, match="server version: 5"):
        connect(robot.address)
    robot.set_server_version(None)
    assert connect(robot.address).state.robot_mode == franky.RobotMode.Idle


# Network and clock.


@pytest.mark.parametrize("direction", ["states", "commands"])
def test_20_lost_cycles_in_a_row_are_survived(robot, client, direction):
    turn(client, robot)
    began = robot.lose_packets(direction, 20)
    run_on(robot, 100)
    lost = robot.trajectory(began).lost
    assert lost.sum() == 20
    assert robot.status()["in_motion"]
    # The arm goes on at its speed while it gets no commands.
    speed = np.abs(robot.trajectory(began).joint_velocities)
    np.testing.assert_allclose(speed, 0.1, atol=1e-4)


@pytest.mark.parametrize("direction", ["states", "commands"])
def test_21_lost_cycles_in_a_row_end_the_motion(robot, client, direction):
    turn(client, robot)
    began = robot.lose_packets(direction, 21)
    wait_until(lambda: not client.is_in_control, "the client loses control")
    with pytest.raises(franky.ControlException, match=COMMUNICATION):
        client.join_motion()
    assert active_errors(client) == [COMMUNICATION]
    run_on(robot, 100)
    trajectory = robot.trajectory(began)
    assert trajectory.lost.sum() == 21
    assert_came_to_rest_inside_limits(trajectory)


def test_random_loss_lowers_the_success_rate(robot, client):
    turn(client, robot)
    run_on(robot, 100)
    assert client.state.control_command_success_rate == 1.0
    robot.lose_share("commands", 0.2, seed=3)
    run_on(robot, 150)
    assert 0.65 < client.state.control_command_success_rate < 0.95
    robot.restore_network()
    run_on(robot, 150)
    assert client.state.control_command_success_rate == 1.0


@pytest.mark.parametrize("direction", ["states", "commands"])
def test_doubled_packets_change_nothing(robot, client, direction):
    turn(client, robot)
    began = robot.double_packets(direction, 50)
    run_on(robot, 150)
    trajectory = robot.trajectory(began)
    assert not trajectory.lost.any()
    assert trajectory.in_motion.all()
    # A doubled command counts as late; a doubled state is answered once.
    assert robot.status()["late_commands"] == (50 if direction == "commands" else 0)


@pytest.mark.parametrize("direction", ["states", "commands"])
def test_late_packets_are_lost_cycles_and_do_no_other_harm(robot, client, direction):
    turn(client, robot)
    began = robot.delay_packets(direction, 5, delay_ms=4)
    run_on(robot, 100)
    trajectory = robot.trajectory(began)
    assert 5 <= trajectory.lost.sum() <= 9
    assert trajectory.in_motion.all()
    np.testing.assert_allclose(np.abs(trajectory.joint_velocities), 0.1, atol=1e-4)


def test_a_frozen_robot_goes_on_where_it_stood(robot, client):
    turn(client, robot)
    frozen_at = robot.freeze()
    time.sleep(0.1)
    assert robot.cycle() == frozen_at
    robot.thaw()
    run_on(robot, 50)
    trajectory = robot.trajectory(frozen_at)
    assert not trajectory.lost.any()
    assert trajectory.in_motion.all()
    robot.freeze(0.05)
    run_on(robot, 50)
    assert robot.status()["in_motion"]


def test_a_robot_that_stays_frozen_looks_like_a_lost_link(robot, client):
    turn(client, robot)
    robot.freeze()
    wait_until(lambda: not client.is_in_control, "libfranka gives up")
    with pytest.raises(franky.NetworkException):
        client.join_motion()


STREAMING_CLIENT = """
import sys, time, franky
robot = franky.Robot(sys.argv[1], realtime_config=franky.RealtimeConfig.Ignore)
robot.move(franky.JointVelocityMotion([0.1] * 7, franky.Duration(60_000)), asynchronous=True)
time.sleep(60.0)
"""


@contextmanager
def other_client(robot: FaultyRobot) -> Iterator[subprocess.Popen[bytes]]:
    """Let another process turn the arm."""
    process = subprocess.Popen([sys.executable, "-c", STREAMING_CLIENT, robot.address])
    try:
        wait_until(lambda: is_turning(robot, [0.1] * 7), "the other client turns the arm")
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_killed_client_is_noticed_after_20_cycles(robot):
    with other_client(robot):
        pass
    wait_until(lambda: robot.status()["errors"] == [COMMUNICATION], "the loss is noticed")
    trajectory = robot.trajectory()
    assert trajectory.lost.sum() == 21
    client = connect(robot.address)
    assert active_errors(client) == [COMMUNICATION]
    client.recover_from_errors()
    await_mode(client, franky.RobotMode.Idle)


def test_a_slow_machine_slows_robot_time_and_loses_no_cycle(address):
    with FaultyRobot(address, patience_s=5.0) as robot, other_client(robot) as client:
        client.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        client.send_signal(signal.SIGCONT)
        run_on(robot, 100)
        trajectory = robot.trajectory()
        assert not trajectory.lost.any()
        assert trajectory.in_motion[-1]


# What the state shows.


def test_wrong_tool_torques_and_rate_are_shown(robot, client):
    frame = np.eye(4)
    frame[2, 3] = 0.2
    robot.set_tool(load_mass_kg=1.5, flange_to_ee=frame.T.ravel())
    robot.set_external_torques([1, 2, 3, 4, 5, 6, 7])
    robot.set_success_rate(0.5)
    run_on(robot, 5)
    state = client.state
    assert state.m_load == pytest.approx(1.5)
    np.testing.assert_allclose(state.F_T_EE.matrix, frame, atol=1e-6)
    np.testing.assert_allclose(state.tau_ext_hat_filtered, [1, 2, 3, 4, 5, 6, 7])
    assert state.control_command_success_rate == 0.5
    # The end effector moves with its frame.
    tip_m = np.array(state.O_T_EE.matrix)[2, 3]
    assert tip_m == pytest.approx(forward_kinematics(HOME_JOINT_POSITIONS)[2, 3] - 0.0966, abs=1e-4)
    robot.set_tool()
    robot.set_success_rate(None)
    run_on(robot, 5)
    assert client.state.m_load == 0.0
    assert client.state.control_command_success_rate == 0.0


# The hand.


@pytest.fixture
def hand(robot: FaultyRobot) -> Any:
    return franky.Gripper(robot.address)


def test_the_hand_moves_grasps_and_loses(robot, hand):
    assert hand.homing()
    assert hand.move(0.06, 0.1)
    assert hand.width == pytest.approx(0.06, abs=1e-6)
    robot.put_gripper_object(0.03)
    assert hand.grasp(0.03, 0.1, 20.0)
    assert hand.state.is_grasped
    assert hand.width == pytest.approx(0.03, abs=1e-6)
    robot.put_gripper_object(0.0)
    wait_until(lambda: not hand.state.is_grasped, "the hand notices that the object has gone")
    assert hand.width == pytest.approx(0.0, abs=1e-6)
    assert not hand.grasp(0.03, 0.1, 20.0), "nothing is there to be grasped"


def test_a_failing_hand_says_so(robot, hand):
    robot.set_gripper_answer("fail")
    with pytest.raises(franky.CommandException, match="failed"):
        hand.move(0.02, 0.1)
    robot.set_gripper_answer("unsuccessful")
    assert not hand.move(0.02, 0.1)
    assert hand.width == pytest.approx(0.08, abs=1e-6)


def test_a_hanging_hand_answers_nothing_but_reports_its_state(robot, hand):
    robot.set_gripper_answer("hang")
    moving = hand.move_async(0.0, 0.1)
    run_on(robot, 300)
    assert not moving.wait(0.0)
    assert hand.width == pytest.approx(0.08)
    robot.set_gripper_answer("normal")
    assert moving.wait(LIMIT_S)
    assert hand.width == pytest.approx(0.0, abs=1e-6)


def test_a_connection_that_breaks_in_a_command_ends_the_command(robot, hand):
    robot.set_gripper_answer("hang")
    moving = hand.move_async(0.0, 0.1)
    run_on(robot, 50)
    robot.set_gripper_connected(False, by_reset=True)
    assert moving.wait(LIMIT_S)
    with pytest.raises(franky.NetworkException):
        moving.get()


def test_a_hand_that_is_plugged_out_ends_its_connection(robot, hand):
    robot.set_gripper_connected(False)
    with pytest.raises((franky.Exception, RuntimeError)):
        hand.move(0.02, 0.1)
    robot.set_gripper_connected(True)
    assert franky.Gripper(robot.address).move(0.02, 0.1)


# The channel and the process.


@pytest.mark.parametrize(
    ("command", "fields", "message"),
    [
        ("explode", {}, "command must be one of status"),
        ("reflex", {"errors": ["joint_refleks"]}, "unknown robot errors: joint_refleks"),
        ("reflex", {"errors": []}, "at least one error"),
        ("freeze", {"duration": 1.0}, "did you mean 'duration_s'"),
        ("freeze", {"duration_s": -1.0}, "must be positive"),
        ("user_stop", {}, "missing pressed"),
        ("lose_packets", {"direction": "sideways", "count": 1}, "sideways"),
        ("recovery", {"answer": "kMaybe"}, "kManualErrorRecoveryRequiredRejected"),
        ("gripper_object", {"width_m": 0.2}, "width_m must be in"),
    ],
)
def test_a_bad_request_is_refused_and_changes_nothing(robot, command, fields, message):
    with pytest.raises(FaultyRobotError, match=message):
        robot.request(command, **fields)
    assert robot.status()["robot_mode"] == "kIdle"


def test_the_oracle_has_every_cycle(robot, client):
    client.move(joint_motion(0.1))
    robot.user_stop(True)
    run_on(robot, 5)
    trajectory = robot.trajectory()
    np.testing.assert_allclose(np.diff(trajectory.robot_time_s), 0.001)
    np.testing.assert_allclose(
        np.diff(trajectory.joint_positions, axis=0),
        1e-3 * trajectory.joint_velocities[1:],
        atol=1e-12,
    )
    modes = [ROBOT_MODES[mode] for mode in np.unique(trajectory.robot_mode)]
    assert modes == ["idle", "move", "user_stopped"]


def test_a_taken_address_is_refused(robot):
    with pytest.raises(FaultyRobotError, match="in use"):
        FaultyRobot(robot.address).__enter__()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_robot_ends_with_the_test_that_started_it(address, end):
    source = (
        "import sys, time\n"
        "from tests.fci.client import FaultyRobot\n"
        "with FaultyRobot(sys.argv[1]) as robot:\n"
        "    print(robot.process_id, flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", source, address],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert parent.stdout is not None
    process_id = int(parent.stdout.readline())
    os.kill(parent.pid, end)
    parent.wait(LIMIT_S)
    parent.stdout.close()
    wait_until(lambda: not Path(f"/proc/{process_id}").exists(), "the robot's process ends")
