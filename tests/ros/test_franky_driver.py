"""The franky driver against a simulated arm that speaks the robot's protocol.

All times are robot time: on a busy machine the simulated arm is slow, not wrong.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import franky
import numpy as np
import pytest

from mail_bringup.claims import claim_address
from mail_franka.arm_config import ArmConfig, FrankyConfig, LoopConfig
from mail_franka.control_loop import ControlLoop, Heard, LoopTick
from mail_franka.franky_driver import FrankyArm
from mail_franka.franky_limits import limit_table
from mail_franka.robot_clock import RobotClock
from mail_policy.core.devices import ArmError
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics, jacobian
from mail_policy.core.motion.core import MotionCore
from mail_policy.core.motion.values import CommandName
from mail_policy.core.robot_limits import RobotType
from mail_policy.core.types import ArmReading, JointSetPoint

SERVER = Path(__file__).with_name("fci_process.py")
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with claim_address(tmp_path_factory.mktemp("claims")) as claim:
        process = subprocess.Popen(
            [sys.executable, str(SERVER), claim.value], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready", "the simulated arm did not start"
        yield claim.value
        process.send_signal(signal.SIGINT)
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def arm(server: str) -> Iterator[FrankyArm]:
    with FrankyArm(server, RobotType.FR3, FrankyConfig()) as arm:
        yield arm


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {LIMIT_S} s: {what}"
        time.sleep(0.0005)


def next_tick(arm: FrankyArm, last_s: float) -> ArmReading:
    reading = arm.read()
    deadline_s = time.monotonic() + LIMIT_S
    while reading.robot_time_s < last_s + 0.01:
        assert time.monotonic() < deadline_s, "the simulated arm stands still"
        time.sleep(0.0005)
        reading = arm.read()
    return reading


def stream(arm: FrankyArm, duration_s: float, amplitude_rad: float = 0.2) -> list[float]:
    """Follow a cosine on all joints; return the following error of each tick [rad]."""
    first = arm.read()
    start, last_s = first.commanded_joint_positions, first.robot_time_s
    began_s, errors, wanted = last_s, [], start
    rate = 2.0 * np.pi * 0.4
    while last_s - began_s < duration_s:
        reading = next_tick(arm, last_s)
        errors.append(float(np.abs(reading.commanded_joint_positions - wanted).max()))
        last_s = reading.robot_time_s
        phase = rate * (last_s - began_s)
        wanted = start + 0.5 * amplitude_rad * (1.0 - np.cos(phase))
        velocity = np.full(7, 0.5 * amplitude_rad * rate * np.sin(phase))
        arm.follow(
            JointSetPoint(
                wanted, velocity, np.full(7, 0.5 * amplitude_rad * rate**2 * np.cos(phase))
            )
        )
    return errors


@pytest.mark.fault("F22", bound="limits of the library are set and read back")
def test_limits_are_set_explicitly_and_never_above_the_table(arm: FrankyArm) -> None:
    robot = arm._robot
    for name, wanted in limit_table(RobotType.FR3).items():
        limit = getattr(robot, name)
        assert (np.asarray(limit.get()) <= np.asarray(wanted) + 1e-9).all(), name


def test_an_arm_that_lags_far_behind_stays_in_control(server: str) -> None:
    config = FrankyConfig(max_follow_error_rad=0.15, follow_gain_per_s=20.0)
    with FrankyArm(server, RobotType.FR3, config) as arm:
        arm.take_control()
        reading = arm.read()
        lead = np.array([0.0, 0.0, 0.14, 0.0, 0.0, 0.0, 0.0])  # 2.8 rad/s; the limit is 2.175
        last_s = reading.robot_time_s
        for _ in range(10):
            wanted = reading.commanded_joint_positions + lead
            arm.follow(JointSetPoint(wanted, np.zeros(7), np.zeros(7)))
            reading = next_tick(arm, last_s)
            last_s = reading.robot_time_s
            assert reading.in_control
            assert np.abs(reading.joint_velocities).max() < 2.2


def test_streaming_follows_set_points_within_milliradians(arm: FrankyArm) -> None:
    arm.take_control()
    errors_rad = np.array(stream(arm, 2.0)[10:])
    assert errors_rad.mean() < 0.004
    # A late tick on a busy machine costs its share of the motion, but never much.
    assert np.percentile(errors_rad, 95) < 0.012


def test_our_kinematics_and_franky_agree_about_the_tcp(arm: FrankyArm) -> None:
    arm.take_control()
    states = [arm._robot.state]
    for _ in range(3):
        stream(arm, 0.3)
        states.append(arm._robot.state)
    postures = np.array([state.q for state in states])
    assert np.ptp(postures, axis=0).min() > 0.02
    for state in states:
        q, q_d, dq_d = (
            np.asarray(values, np.float64) for values in (state.q, state.q_d, state.dq_d)
        )
        # The robot sends single precision.
        # Of a moving arm, franky-sim takes joints and pose at two instants, a step apart.
        np.testing.assert_allclose(forward_kinematics(q), state.O_T_EE.matrix, atol=1e-3)
        np.testing.assert_allclose(forward_kinematics(q_d), state.O_T_EE_d.matrix, atol=1e-3)
        twist = state.O_dP_EE_d
        expected = np.concatenate([twist.linear, twist.angular])
        np.testing.assert_allclose(jacobian(q_d) @ dq_d, expected, atol=1e-4)
    assert np.abs(np.asarray(states[-1].dq_d)).min() > 0.05


@pytest.mark.fault("F31", bound="the reaction in franky's thread stops after 100 ms")
def test_the_dead_man_stops_the_arm_when_set_points_stop(arm: FrankyArm) -> None:
    arm.take_control()
    stream(arm, 0.5)
    silent_s = arm.read().robot_time_s
    wait_until(lambda: not arm.read().in_control, "the dead-man ends the motion")
    stopped = arm.read()
    # 0.1 s of silence, braking, and what this thread needs to notice.
    assert stopped.robot_time_s - silent_s < 0.3
    later = next_tick(arm, stopped.robot_time_s + 0.3)
    # The simulated arm swings out, and its joint 7 trembles by some milliradians.
    np.testing.assert_allclose(later.joint_positions, stopped.joint_positions, atol=0.01)
    with pytest.raises(ArmError, match="not in control"):
        arm.follow(JointSetPoint(stopped.commanded_joint_positions, np.zeros(7), np.zeros(7)))


def test_control_can_be_taken_again_after_the_dead_man(arm: FrankyArm) -> None:
    arm.take_control()
    wait_until(lambda: not arm.read().in_control, "the dead-man ends the motion")
    arm.release_control()
    arm.take_control()
    assert arm.read().in_control


def test_release_brakes_without_reversing(arm: FrankyArm) -> None:
    arm.take_control()
    stream(arm, 0.6)
    before = arm.read()
    direction = np.sign(before.commanded_joint_velocities)
    arm.release_control()
    after = arm.read()
    assert not after.in_control
    assert after.robot_time_s - before.robot_time_s < 0.3
    way = (after.commanded_joint_positions - before.commanded_joint_positions) * direction
    assert way.min() > -1e-3
    assert way.max() < 0.1


def test_a_set_point_that_is_far_away_is_refused(arm: FrankyArm) -> None:
    arm.take_control()
    far = arm.read().commanded_joint_positions + 0.1
    with pytest.raises(ArmError, match="away from its set-point"):
        arm.follow(JointSetPoint(far, np.zeros(7), np.zeros(7)))


def test_a_missing_robot_is_named_at_once_with_a_remedy() -> None:
    # Nothing listens there: the twins of tests claim 127.0.0.x.
    arm = FrankyArm("127.0.1.62", RobotType.FR3, FrankyConfig())
    with pytest.raises(ArmError, match=r"127\.0\.1\.62.*Desk"):
        arm.__enter__()


@pytest.mark.fault("F32", bound="a robot is never driven without real-time priority")
@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("172.16.0.2", franky.RealtimeConfig.Enforce),
        ("127.0.0.2", franky.RealtimeConfig.Ignore),
    ],
)
def test_a_robot_needs_real_time_priority_and_a_twin_does_not(
    monkeypatch: pytest.MonkeyPatch, address: str, wanted: franky.RealtimeConfig
) -> None:
    asked: list[franky.RealtimeConfig] = []

    def refuse(host: str, realtime_config: franky.RealtimeConfig) -> None:
        asked.append(realtime_config)
        raise franky.NetworkException("no robot here")

    monkeypatch.setattr(franky, "Robot", refuse)
    with pytest.raises(ArmError):
        FrankyArm(address, RobotType.FER, FrankyConfig()).__enter__()
    assert asked == [wanted]


def test_homing_through_loop_and_core_arrives_calmly(server: str, arm: FrankyArm) -> None:
    ticks: list[LoopTick] = []
    config = ArmConfig().for_address(server)
    loop = ControlLoop(
        arm,
        MotionCore(config.motion, RobotType.FR3, epoch=1),
        LoopConfig(stall_s=config.loop.stall_s, reply_s=20.0),
        tick_s=0.01,
        clock=RobotClock(0.5),
        observation_now_s=time.monotonic,
        poll_inputs=Heard,
        on_tick=ticks.append,
    )
    loop.start()
    try:
        wait_until(lambda: bool(ticks) and ticks[-1].outputs.state == "idle", "idle")
        assert loop.request(CommandName.ARM).success
        assert loop.request(CommandName.HOME).success
        wait_until(lambda: ticks[-1].outputs.state != "homing", "homing ends")
        assert ticks[-1].outputs.cause == "at home"
        reading = ticks[-1].reading
        assert reading is not None
        np.testing.assert_allclose(
            reading.commanded_joint_positions, HOME_JOINT_POSITIONS, atol=5e-3
        )
    finally:
        loop.stop()
    assert not arm.read().in_control
