"""What the monitor remembers, and for how long."""

import dataclasses

import numpy as np
import pytest

from mail_monitor.input_ages import InputAges
from mail_monitor.picture_gate import PictureGate
from mail_monitor.tcp_history import KEPT_S, TcpHistory
from mail_policy.core.action_schema import JOINT_POSITION
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_policy.core.robot_limits import RobotType, joint_limits
from tests.unit.monitor_values import HOME_M, arm, board, chunk, limits_watch


def test_a_chunk_begins_where_the_arm_was_commanded_when_its_picture_was_taken() -> None:
    seen = board()
    elsewhere = HOME_JOINT_POSITIONS + np.array([0.3, 0, 0, 0, 0, 0, 0])
    seen.set_arm(arm(10.00))
    seen.set_arm(arm(10.05, set_point=elsewhere))
    seen.set_chunk(chunk(10.02))
    predicted = seen.snapshot(now_s=10.1, steady_s=0.0).predicted
    steps_m = 0.01 * np.arange(5)[:, None] * [1.0, 0.0, 0.0]
    np.testing.assert_allclose(predicted.points_m, HOME_M + steps_m, atol=1e-12)
    np.testing.assert_allclose(predicted.times_s, 10.02 + 0.05 * np.arange(5))


def test_joint_rows_lead_to_where_their_kinematics_say() -> None:
    seen = board()
    seen.set_arm(arm())
    goal = HOME_JOINT_POSITIONS + 0.02
    rows = np.append(goal, 0.08)[None]
    seen.set_chunk(chunk(values=rows, schema=JOINT_POSITION.id_at(20.0)))
    predicted = seen.snapshot(now_s=10.0, steady_s=0.0).predicted
    np.testing.assert_allclose(predicted.points_m[-1], forward_kinematics(goal)[:3, 3])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"schema": "ee_delta:00000000"}, "other names, units, frame or rate"),
        ({"step_period_s": 0.0}, "step_period must be greater than 0"),
        ({"values": np.full((2, 7), np.nan)}, "must be finite"),
        ({"values": np.zeros((2, 8))}, "hold 7 numbers, got 8"),
    ],
)
def test_a_chunk_that_cannot_be_drawn_is_refused_and_the_former_one_stays(
    given: dict[str, object], message: str
) -> None:
    seen = board()
    seen.set_arm(arm())
    seen.set_chunk(chunk())
    with pytest.raises(ValueError, match=message):
        seen.set_chunk(dataclasses.replace(chunk(), **given))
    assert len(seen.snapshot(now_s=10.0, steady_s=0.0).predicted.points_m) == 5


def test_a_chunk_disappears_soon_after_its_end() -> None:
    seen = board()
    seen.set_arm(arm())
    seen.set_chunk(chunk())
    assert len(seen.snapshot(now_s=10.6, steady_s=0.0).predicted.points_m) == 5
    assert len(seen.snapshot(now_s=10.8, steady_s=0.0).predicted.points_m) == 0


def test_the_path_holds_the_last_seconds_only_and_no_standing_still() -> None:
    history = TcpHistory()
    for i in range(200):
        history.add(arm(0.1 * i, tcp_position_m=np.array([0.002 * i, 0.0, 0.0])))
    history.add(arm(20.0, tcp_position_m=np.array([0.398, 0.0, 0.0])))
    path_m = history.executed_m()
    assert path_m[-1, 0] == pytest.approx(0.398)
    assert len(path_m) == pytest.approx(10 * KEPT_S, abs=1)


def test_a_twin_that_begins_anew_begins_a_new_path() -> None:
    history = TcpHistory()
    history.add(arm(50.0, tcp_position_m=np.zeros(3)))
    history.add(arm(1.0))
    np.testing.assert_allclose(history.executed_m(), [HOME_M])


def test_silence_makes_an_input_old_although_the_stacks_clock_stands_still() -> None:
    ages = InputAges(["arm", "chunk"])
    ages.note("arm", lag_s=0.2, steady_s=100.0)
    assert ages.at(103.0) == {"arm": pytest.approx(3.2), "chunk": None}


def test_nobody_vouches_for_motion_when_the_supervisor_is_silent() -> None:
    seen = board()
    assert "has said nothing yet" in seen.snapshot(now_s=0.0, steady_s=0.0).may_move
    seen.set_may_move("yes")
    seen.note("diagnostics", lag_s=0.0, steady_s=10.0)
    assert seen.snapshot(now_s=0.0, steady_s=11.0).may_move == "yes"
    assert "silent for 5 s" in seen.snapshot(now_s=0.0, steady_s=15.0).may_move


def test_a_posture_in_the_middle_is_at_no_limit() -> None:
    assert limits_watch().hit(HOME_JOINT_POSITIONS) == ()


def test_limits_of_joints_and_workspace_are_named() -> None:
    limits = joint_limits(RobotType.FR3)
    at_joint = HOME_JOINT_POSITIONS.copy()
    # The working limit lies position_margin_rad before the robot's own.
    at_joint[6] = limits.upper[6] - 0.055
    assert "joint 7" in limits_watch().hit(at_joint)
    turned_left = HOME_JOINT_POSITIONS + np.array([1.35, 0.6, 0, 0.6, 0, 0, 0])
    assert "TCP in y" in limits_watch().hit(turned_left)


def test_pictures_pass_at_the_rate_that_was_asked_for() -> None:
    gate = PictureGate(5.0)
    passed = sum(gate.lets_through("wrist", i / 30.0) for i in range(300))
    assert 40 <= passed <= 50
    assert gate.lets_through("agentview", 0.0)
