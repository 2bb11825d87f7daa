"""States, leases and watchdogs: nothing moves unasked, every stop stops."""

from dataclasses import replace

import numpy as np
import pytest

from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_policy.core.motion.config import (
    AdmissionConfig,
    EnvelopeConfig,
    JoinConfig,
    JoinMode,
    MotionConfig,
    WatchdogConfig,
)
from mail_policy.core.motion.values import CommandName
from tests.unit.motion_rig import EPOCH, TICK_S, Rig, straight, tcp_speeds


@pytest.fixture
def rig() -> Rig:
    return Rig()


def moving_rig(
    step: tuple[float, float, float] = (0.0, 0.012, 0.0), config: MotionConfig | None = None
) -> Rig:
    rig = Rig(config=config)
    rig.start_policy()
    rig.wait(10)
    rig.step(chunk=rig.chunk(straight(step, steps=30)))
    rig.wait(40)
    assert np.abs(rig.velocities).max() > 0.05
    return rig


def reversal_m(rig: Rig, start: int) -> float:
    """Return how far the TCP came back from its farthest point along y [m]."""
    way = np.array([forward_kinematics(q)[1, 3] for q in rig.set_points[start:]])
    return float(way.max() - way[-1])


def ticks_to_rest(rig: Rig, limit: int = 200) -> int:
    for ticks in range(limit):
        if np.abs(rig.velocities).max() < 1e-3:
            return ticks
        rig.step()
    raise AssertionError("the arm did not come to rest")


def test_a_run_starts_offline_and_idle_never_moving(rig: Rig) -> None:
    assert rig.step(linked=False).state == "offline"
    outputs = rig.step()
    assert outputs.state == "idle"
    assert not outputs.wants_control
    assert outputs.set_point is None
    assert rig.wait(50).state == "idle"


@pytest.mark.parametrize(
    "name", [CommandName.HOME, CommandName.START_POLICY, CommandName.RESUME, CommandName.RECOVER]
)
def test_an_idle_arm_refuses_to_move_and_says_what_to_do(rig: Rig, name: CommandName) -> None:
    rig.step()
    (reply,) = rig.ask(name).replies
    assert not reply.success
    assert reply.number == 7
    assert "arm/arm" in reply.message
    assert rig.last.state == "idle"


@pytest.mark.fault("F21", bound="first set-point is q_d")
def test_arming_holds_the_commanded_position(rig: Rig) -> None:
    start = rig.positions.copy()
    assert rig.arm().state == "ready"
    assert rig.last.wants_control
    np.testing.assert_array_equal(rig.wait(50).set_point.positions, start)  # type: ignore[union-attr]


@pytest.mark.fault("F28", bound="above 3 Nm at rest: the operator is warned")
def test_arming_a_wrongly_loaded_arm_warns(rig: Rig) -> None:
    rig.step()
    rig.torques = np.array([0.0, 0.0, 4.2, 0.0, 0.0, 0.0, 0.0])
    (reply,) = rig.ask(CommandName.ARM).replies
    assert reply.success
    assert "joint 3 feels 4.2 Nm" in reply.message


def test_arming_outside_the_range_is_refused_with_the_joint() -> None:
    start = HOME_JOINT_POSITIONS.copy()
    start[3] = -0.17
    rig = Rig(start=start)
    rig.step()
    (reply,) = rig.ask(CommandName.ARM).replies
    assert not reply.success
    assert "joint 4" in reply.message


def test_the_epoch_starts_where_told_and_grows_with_leases_and_stops(rig: Rig) -> None:
    rig.step()
    assert rig.last.lease_epoch == EPOCH
    rig.start_policy()
    granted = rig.last.lease_epoch
    assert granted == EPOCH + 1
    rig.ask(CommandName.STOP)
    assert rig.last.lease_epoch == granted + 1
    assert rig.last.lease_holder == ""


def test_start_policy_answers_with_the_lease(rig: Rig) -> None:
    (reply,) = rig.start_policy().replies
    assert reply.success
    assert reply.lease_epoch == rig.last.lease_epoch


@pytest.mark.fault("F47", bound="empty or endless text: refused")
@pytest.mark.parametrize(
    ("task", "duration_s", "text"), [("", 5.0, "task"), ("a", 0.0, "max_duration")]
)
def test_start_policy_checks_its_arguments(
    rig: Rig, task: str, duration_s: float, text: str
) -> None:
    rig.arm()
    (reply,) = rig.ask(CommandName.START_POLICY, task=task, max_duration_s=duration_s).replies
    assert not reply.success
    assert text in reply.message


def test_rows_add_to_the_pose_commanded_when_the_picture_was_taken() -> None:
    rig = Rig()
    rig.start_policy()
    rig.wait(20)
    start = forward_kinematics(rig.positions)[:3, 3]
    rig.step(chunk=rig.chunk(straight((0.0, 0.006, 0.002), steps=10), age_s=0.1))
    rig.wait(120)
    moved = forward_kinematics(rig.positions)[:3, 3] - start
    np.testing.assert_allclose(moved, [0.0, 0.06, 0.02], atol=1e-3)


@pytest.mark.parametrize("mode", [JoinMode.BLENDED, JoinMode.ENSEMBLED])
def test_successive_chunks_make_one_smooth_motion_at_full_speed(mode: JoinMode) -> None:
    rig = Rig(config=MotionConfig(join=JoinConfig(mode=mode)))
    rig.start_policy()
    rig.wait(10)
    joins = []
    for tick in range(200):
        chunk = None
        if tick % 20 == 0:
            chunk = rig.chunk(straight((0.0, 0.008, 0.0)), age_s=0.1 if tick else 0.05)
        outputs = rig.step(chunk=chunk)
        if outputs.decision is not None:
            assert outputs.decision.accepted, outputs.decision
            joins.append(outputs.decision)
    speeds = tcp_speeds(rig)
    # What is left is the slow pull of the elbow to its home posture.
    assert max(decision.disagreement_rad for decision in joins) < 0.005
    assert max(decision.join_jump_rad for decision in joins) < 0.0005
    np.testing.assert_allclose(speeds[-100:], 0.16, atol=0.01)


@pytest.mark.fault("F36", bound="steps in the past are skipped")
def test_steps_whose_time_has_passed_are_skipped() -> None:
    rig = moving_rig((0.0, 0.008, 0.0))
    decision = rig.step(chunk=rig.chunk(straight((0.0, 0.008, 0.0)), age_s=0.2)).decision
    assert decision is not None
    assert decision.skipped_steps == 4
    assert decision.camera_to_command_s == pytest.approx(0.21, abs=1e-6)


def test_too_fast_a_chunk_is_slowed_down_without_a_later_jump() -> None:
    rig = Rig()
    rig.start_policy()
    rig.wait(10)
    for tick in range(120):
        fast = straight((0.0, 0.025 if tick < 60 else -0.025, 0.0))
        # From rest no row may be as long as that.
        fast[0, 1] = 0.015
        rig.step(chunk=rig.chunk(fast) if tick % 20 == 0 else None)
    rig.wait(150)
    assert tcp_speeds(rig).max() <= 0.25
    assert rig.last.state == "hold"


@pytest.mark.fault("F37", bound="hold at the end of the chunk")
@pytest.mark.fault("F34", bound="ramp to rest at the end of the chunk")
def test_a_chunk_without_successor_ends_in_a_hold_without_reversing() -> None:
    rig = moving_rig()
    rig.wait(180)
    assert rig.last.state == "hold"
    assert "successor" in rig.last.cause
    assert reversal_m(rig, 0) < 1e-4


def test_a_hold_resumes_by_itself_with_a_good_chunk_and_stops_after_two_seconds() -> None:
    rig = moving_rig()
    rig.wait(180)
    assert rig.step(chunk=rig.chunk()).state == "policy"
    rig.wait(150)
    assert rig.last.state == "hold"
    rig.wait(201)
    assert rig.last.state == "stopped"


def test_stop_comes_to_rest_within_200_ms_from_full_speed_and_never_reverses() -> None:
    rig = moving_rig()
    start = len(rig.set_points)
    rig.ask(CommandName.STOP)
    assert rig.last.state == "stopped"
    assert ticks_to_rest(rig) * TICK_S <= 0.2
    rig.wait(50)
    assert reversal_m(rig, start) < 5e-4


@pytest.mark.fault("F34", bound="lease void after 150 ms")
@pytest.mark.fault("F65", bound="lease void after 150 ms")
def test_a_silent_policy_loses_its_lease_within_200_ms() -> None:
    rig = moving_rig()
    ticks = 0
    while rig.step(heartbeat=False).state == "policy":
        ticks += 1
    assert rig.last.state == "stopped"
    assert "no sign of the policy" in rig.last.cause
    assert ticks * TICK_S == pytest.approx(0.15, abs=0.02)
    ticks_to_rest(rig)


@pytest.mark.fault("F42", bound="another epoch keeps nothing alive")
def test_chunks_of_another_lease_do_not_keep_this_one_alive() -> None:
    # As on the twin, where refused chunks alone never stop the arm.
    admission = AdmissionConfig(max_rejected_share=1.0)
    rig = moving_rig(config=replace(MotionConfig(), admission=admission))
    ticks = 0
    foreign = rig.last.lease_epoch - 1
    while rig.step(chunk=rig.chunk(lease_epoch=foreign), heartbeat=False).state == "policy":
        ticks += 1
    assert rig.last.state == "stopped"
    assert "no sign of the policy" in rig.last.cause
    assert ticks * TICK_S == pytest.approx(0.15, abs=0.02)


def test_the_time_of_a_policy_ends() -> None:
    rig = Rig()
    rig.start_policy(max_duration_s=0.5)
    rig.step(chunk=rig.chunk())
    rig.wait(50)
    assert rig.last.state == "ready"
    assert rig.last.lease_holder == ""


def test_a_policy_that_never_sends_a_chunk_is_stopped() -> None:
    config = MotionConfig(watchdogs=WatchdogConfig(first_chunk_s=1.0))
    rig = Rig(config=config)
    rig.start_policy()
    rig.wait(105)
    assert rig.last.state == "stopped"


@pytest.mark.parametrize(("mode", "state"), [("user_stopped", "user_stop"), ("guiding", "guiding")])
def test_a_human_hand_ends_control_and_is_followed_by_idle(mode: str, state: str) -> None:
    rig = moving_rig()
    rig.mode = mode
    assert rig.step().state == state
    assert not rig.last.wants_control
    rig.mode = ""
    assert rig.step().state == "idle"


def test_a_reflex_is_a_fault_at_once_and_only_a_verified_recovery_leaves_it() -> None:
    rig = moving_rig()
    rig.mode, rig.errors = "reflex", ("cartesian_reflex",)
    assert rig.step().state == "fault"
    assert "cartesian_reflex" in rig.last.cause
    assert not rig.last.wants_control
    rig.velocities = np.zeros(7)
    assert rig.ask(CommandName.RECOVER).wants_recovery
    rig.step(recovered=True)
    assert rig.last.state == "fault"
    rig.mode, rig.errors = "", ()
    rig.wait(2)
    assert rig.last.state == "ready"
    (reply,) = rig.last.replies
    assert reply.success


def test_a_reflex_that_is_named_late_is_named_all_the_same() -> None:
    rig = moving_rig()
    rig.in_control = False
    assert "left control" in rig.step().cause
    rig.mode, rig.errors = "reflex", ("cartesian_reflex",)
    assert "cartesian_reflex" in rig.step().cause
    assert rig.last.state == "fault"


def test_a_refused_recovery_stays_a_fault_and_is_not_repeated() -> None:
    rig = moving_rig()
    rig.errors = ("joint_reflex",)
    rig.step()
    rig.ask(CommandName.RECOVER)
    (reply,) = rig.step(recovered=False).replies
    assert not reply.success
    assert "joint_reflex" in reply.message
    rig.wait(50)
    assert rig.last.state == "fault"
    assert not any(outputs.wants_recovery for outputs in rig.outputs[-50:])


def test_a_lost_link_is_a_fault() -> None:
    rig = moving_rig()
    outputs = rig.step(linked=False, arm_fault="robot time stands still")
    assert outputs.state == "fault"
    assert outputs.cause == "robot time stands still"
    assert outputs.set_point is None


def test_losing_control_is_a_fault() -> None:
    rig = moving_rig()
    rig.in_control = False
    assert rig.step().state == "fault"


def test_too_many_lost_control_commands_stop_the_arm() -> None:
    rig = moving_rig()
    rig.success_rate = 0.8
    rig.wait(9)
    assert rig.last.state == "policy"
    rig.wait(4)
    assert rig.last.state == "stopped"


def test_a_hand_on_the_arm_holds_it() -> None:
    rig = moving_rig()
    rig.torques = np.array([0.0, 8.0, 0.0, -7.0, 0.0, 0.0, 0.0])
    rig.wait(8)
    assert rig.last.state == "hold"
    assert rig.step(chunk=rig.chunk()).decision.rule == "hand"  # type: ignore[union-attr]


@pytest.mark.fault("F46", bound="more than 8 changes of direction of a joint in 1 s: hold")
def test_an_arm_that_shakes_is_held() -> None:
    rig = Rig()
    rig.start_policy()
    rig.wait(5)
    states = []
    for tick in range(200):
        side = 0.01 if tick // 10 % 2 else -0.01
        chunk = rig.chunk(straight((0.0, side, 0.0), steps=8), age_s=0.0)
        states.append(rig.step(chunk=chunk if tick % 10 == 0 else None).state)
        if states[-1] == "hold":
            break
    assert states[-1] == "hold"
    assert "changed direction" in rig.last.cause


def test_an_emergency_stop_brakes_hard_and_is_latched() -> None:
    rig = moving_rig()
    outputs = rig.ask(CommandName.ESTOP)
    assert outputs.state == "estop"
    assert outputs.hard_stop
    assert not outputs.wants_control
    for name in (CommandName.ARM, CommandName.RESUME, CommandName.HOME, CommandName.RECOVER):
        assert not rig.ask(name).replies[0].success
    assert rig.ask(CommandName.RESET_ESTOP).state == "idle"


def test_shutdown_brakes_then_lets_go() -> None:
    rig = moving_rig()
    outputs = rig.ask(CommandName.SHUTDOWN)
    assert outputs.wants_control
    ticks = 0
    while rig.step().wants_control:
        ticks += 1
    assert ticks * TICK_S < 0.3
    # The last set-point before the arm is released; the driver's own stop does the rest.
    assert np.abs(rig.velocities).max() < 0.02
    assert rig.last.state == "shutdown"


def test_a_stopped_arm_ignores_chunks_of_the_old_lease() -> None:
    rig = moving_rig()
    epoch = rig.last.lease_epoch
    rig.ask(CommandName.STOP)
    ticks_to_rest(rig)
    rig.wait(20)
    start = rig.positions
    rig.step(chunk=rig.chunk(lease_epoch=epoch))
    rig.ask(CommandName.RESUME)
    rig.step(chunk=rig.chunk(lease_epoch=epoch))
    rig.wait(20)
    np.testing.assert_allclose(rig.positions, start, atol=1e-9)


def test_the_gripper_follows_the_row_that_is_carried_out() -> None:
    rig = Rig()
    rig.start_policy()
    rig.wait(10)
    values = straight((0.0, 0.004, 0.0), steps=12)
    values[6:, 6] = 0.0
    rig.step(chunk=rig.chunk(values))
    assert rig.last.gripper_width_m == pytest.approx(0.08)
    widths = []
    for _ in range(90):
        widths.append(rig.step().gripper_width_m)
    assert widths[20] == pytest.approx(0.08)
    assert widths[-1] == 0.0


def test_missed_ticks_are_made_up_for_so_that_the_motion_keeps_its_pace() -> None:
    config = MotionConfig(watchdogs=WatchdogConfig(late_s=0.5))
    steady, hasty = moving_rig(config=config), moving_rig(config=config)
    steady.wait(9)
    hasty.robot_time_s += 8 * TICK_S
    hasty.step()
    np.testing.assert_allclose(hasty.positions, steady.positions, atol=1e-9)


@pytest.mark.fault("F31", bound="three late ticks: hold")
def test_a_late_tick_holds_a_moving_arm() -> None:
    rig = moving_rig()
    rig.robot_time_s += 3.5 * TICK_S
    assert rig.step().state == "hold"
    assert "late" in rig.last.cause


def test_the_speed_cap_can_only_be_tightened() -> None:
    with pytest.raises(ValueError, match="speed_m_s"):
        EnvelopeConfig(speed_m_s=0.7)


def test_the_core_is_deterministic() -> None:
    first, second = moving_rig(), moving_rig()
    np.testing.assert_array_equal(np.array(first.set_points), np.array(second.set_points))


def test_a_tighter_config_is_really_slower() -> None:
    config = replace(MotionConfig(), envelope=EnvelopeConfig(speed_m_s=0.1))
    rig = Rig(config=config)
    rig.start_policy()
    rig.step(chunk=rig.chunk(straight((0.0, 0.012, 0.0), steps=30)))
    rig.wait(60)
    assert tcp_speeds(rig).max() <= 0.1
