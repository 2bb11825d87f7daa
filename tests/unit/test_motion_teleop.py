"""A person moves the arm: pre-emption, dead-man switch, glitches, and no return of the policy."""

from dataclasses import replace

import numpy as np
import pytest

from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_policy.core.motion.config import MotionConfig
from mail_policy.core.motion.values import CommandName
from mail_policy.core.types import TeleopCommand
from tests.unit.motion_rig import TICK_S, Rig, straight, tcp_speeds


class Person:
    """Holds a device."""

    def __init__(self, rig: Rig, source: str = "spacemouse") -> None:
        self.rig = rig
        self.source = source
        self.sequence = 0

    def command(self, dead_man: bool = True, age_s: float = 0.0, **changes: object):
        self.sequence += 1
        fields: dict[str, object] = {
            "source": self.source,
            "sequence": self.sequence,
            "sent_at_s": self.rig.now_s + TICK_S - age_s,
            "dead_man": dead_man,
            "twist": np.array([0.0, -0.1, 0.0, 0.0, 0.0, 0.0]),
            "joint_positions": None,
            "gripper_width_m": None,
        }
        return TeleopCommand(**(fields | changes))  # type: ignore[arg-type]

    def touches(self) -> None:
        self.rig.step(teleop=self.command(dead_man=False))

    def moves(self, ticks: int, **changes: object) -> None:
        for _ in range(ticks):
            self.rig.step(teleop=self.command(**changes))


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.arm()
    return rig


def policy_rig() -> Rig:
    rig = Rig()
    rig.start_policy()
    rig.wait(5)
    rig.step(chunk=rig.chunk(straight((0.0, 0.008, 0.0), steps=40)))
    rig.wait(40)
    assert rig.last.state == "policy"
    return rig


def test_the_arm_follows_a_twist_and_holds_when_the_switch_is_let_go(rig: Rig) -> None:
    person = Person(rig)
    start = forward_kinematics(rig.positions)[:3, 3]
    person.touches()
    person.moves(100)
    assert rig.last.state == "teleop"
    assert rig.last.lease_holder == "teleop"
    moved = forward_kinematics(rig.positions)[:3, 3] - start
    np.testing.assert_allclose(moved, [0.0, -0.1, 0.0], atol=0.01)
    person.touches()
    assert rig.last.state == "hold"
    rig.wait(40)
    assert np.abs(rig.velocities).max() < 1e-3
    rig.wait(200)
    assert rig.last.state == "ready"
    assert rig.last.lease_holder == ""


def test_turning_keeps_the_position(rig: Rig) -> None:
    person = Person(rig)
    start = forward_kinematics(rig.positions)
    person.touches()
    person.moves(50, twist=np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.4]))
    rig.wait(1)
    now = forward_kinematics(rig.positions)
    np.testing.assert_allclose(now[:3, 3], start[:3, 3], atol=2e-3)
    assert np.arccos(0.5 * (np.trace(now[:3, :3] @ start[:3, :3].T) - 1.0)) > 0.15


def test_a_switch_that_was_never_open_moves_nothing(rig: Rig) -> None:
    start = rig.positions
    Person(rig).moves(50)
    assert rig.last.state == "ready"
    np.testing.assert_array_equal(rig.positions, start)


def test_a_stale_or_broken_release_does_not_prove_that_the_switch_opens(rig: Rig) -> None:
    person = Person(rig)
    rig.step(teleop=person.command(dead_man=False, age_s=5.0))
    rig.step(teleop=person.command(dead_man=False, twist=np.full(6, np.nan)))
    person.moves(20)
    assert rig.last.state == "ready"


def test_a_switch_that_stays_closed_over_a_stop_moves_nothing(rig: Rig) -> None:
    person = Person(rig)
    person.touches()
    person.moves(30)
    rig.step(teleop=person.command())
    rig.ask(CommandName.STOP)
    person.moves(40)
    start = rig.positions
    rig.ask(CommandName.RESUME)
    person.moves(60)
    assert rig.last.state == "ready"
    np.testing.assert_allclose(rig.positions, start, atol=1e-6)
    person.touches()
    person.moves(5)
    assert rig.last.state == "teleop"


def test_a_stopped_arm_does_not_obey_a_person() -> None:
    rig = policy_rig()
    rig.ask(CommandName.STOP)
    rig.wait(40)
    person = Person(rig)
    person.touches()
    person.moves(20)
    assert rig.last.state == "stopped"


def test_a_person_takes_a_running_policy_over_within_two_ticks() -> None:
    rig = policy_rig()
    person = Person(rig)
    person.touches()
    assert rig.last.state == "policy"
    epoch, before = rig.last.lease_epoch, len(rig.set_points)
    person.moves(1)
    assert rig.last.state == "teleop"
    assert rig.last.lease_epoch > epoch
    person.moves(60)
    way = [forward_kinematics(q)[1, 3] for q in rig.set_points[before:]]
    # The policy moved along +y, the person wants -y; there is no jump in between.
    assert np.argmax(way) < 25
    assert way[-1] < way[0]
    assert np.abs(np.diff(np.array(rig.set_points), 2, axis=0)).max() < 0.002


@pytest.mark.fault("F43", bound="from that tick on; back on resume only")
def test_chunks_are_refused_from_that_tick_on_and_the_policy_comes_back_on_resume_only() -> None:
    rig = policy_rig()
    person, epoch = Person(rig), rig.last.lease_epoch
    person.touches()
    chunk = rig.chunk(lease_epoch=epoch)
    decision = rig.step(teleop=person.command(), chunk=chunk).decision
    assert decision is not None
    assert decision.rule == "lease"
    person.moves(20)
    person.touches()
    for _ in range(300):
        rig.step(chunk=rig.chunk(lease_epoch=epoch))
        assert rig.last.state in ("hold", "ready")
    start = rig.positions
    (reply,) = rig.ask(CommandName.RESUME).replies
    assert reply.success, reply.message
    assert rig.last.state == "policy"
    assert reply.lease_epoch == rig.last.lease_epoch > epoch
    # A chunk made before the override stays refused.
    assert not rig.step(chunk=rig.chunk(lease_epoch=epoch)).decision.accepted  # type: ignore[union-attr]
    rig.wait(20)
    np.testing.assert_allclose(rig.positions, start, atol=1e-4)
    assert rig.step(chunk=rig.chunk()).decision.accepted  # type: ignore[union-attr]


def test_resume_without_an_interrupted_policy_is_refused(rig: Rig) -> None:
    (reply,) = rig.ask(CommandName.RESUME).replies
    assert not reply.success
    assert "nothing to resume" in reply.message


def test_a_stop_ends_the_interruption() -> None:
    rig = policy_rig()
    person = Person(rig)
    person.touches()
    person.moves(5)
    rig.ask(CommandName.STOP)
    rig.wait(50)
    rig.ask(CommandName.RESUME)
    assert rig.last.state == "ready"
    assert not rig.ask(CommandName.RESUME).replies[0].success


@pytest.mark.fault("F44", bound="100 ms")
def test_a_silent_device_holds_the_arm_after_100_ms(rig: Rig) -> None:
    person = Person(rig)
    person.touches()
    person.moves(40)
    ticks = 0
    while rig.step().state == "teleop":
        ticks += 1
    assert ticks * TICK_S == pytest.approx(0.1, abs=0.015)
    assert rig.last.state == "hold"
    assert "silent" in rig.last.cause
    # The device comes back with a closed switch: it must be seen open first.
    person.moves(10)
    assert rig.last.state == "hold"


@pytest.mark.fault("F45", bound="refused; three in a row hold")
@pytest.mark.parametrize(
    "changes",
    [
        {"twist": np.array([0.6, 0.0, 0.0, 0.0, 0.0, 0.0])},
        {"twist": np.full(6, np.nan)},
        {"twist": np.zeros(5)},
        {"twist": None},
        {"twist": None, "joint_positions": np.zeros(6)},
        {"twist": None, "joint_positions": np.full(7, np.inf)},
        {"gripper_width_m": float("nan")},
        {"age_s": 0.5},
        {"age_s": -0.5},
        {"source": "another"},
        {"sequence": 1},
    ],
)
def test_a_glitch_is_ignored_and_the_third_in_a_row_holds_the_arm(
    rig: Rig, changes: dict[str, object]
) -> None:
    person = Person(rig)
    person.touches()
    person.moves(30)
    person.moves(2, **changes)
    assert rig.last.state == "teleop"
    person.moves(1)
    assert rig.last.state == "teleop"
    person.moves(3, **changes)
    assert rig.last.state == "hold"
    assert tcp_speeds(rig).max() <= 0.25


def test_letting_go_counts_even_in_a_broken_command(rig: Rig) -> None:
    person = Person(rig)
    person.touches()
    person.moves(20)
    rig.step(teleop=person.command(dead_man=False, twist=np.full(6, np.nan)))
    assert rig.last.state == "hold"


def test_a_leader_arm_moves_the_arm_by_its_changes_only(rig: Rig) -> None:
    person = Person(rig, "gello")
    leader = HOME_JOINT_POSITIONS + 0.4
    person_command = {"twist": None, "joint_positions": leader}
    rig.step(teleop=person.command(dead_man=False, **person_command))
    start = rig.positions
    person.moves(20, **person_command)
    np.testing.assert_allclose(rig.positions, start, atol=1e-6)
    for tick in range(60):
        moved = leader + np.array([0.003 * tick, 0, 0, 0, 0, 0, 0])
        person.moves(1, twist=None, joint_positions=moved)
    person.moves(40, twist=None, joint_positions=moved)
    np.testing.assert_allclose(rig.positions[0] - start[0], 0.177, atol=2e-3)
    np.testing.assert_allclose(rig.positions[1:], start[1:], atol=1e-3)


@pytest.mark.fault("F45", bound="refused")
def test_a_leader_arm_that_jumps_is_a_glitch(rig: Rig) -> None:
    person = Person(rig, "gello")
    leader = HOME_JOINT_POSITIONS.copy()
    rig.step(teleop=person.command(dead_man=False, twist=None, joint_positions=leader))
    person.moves(10, twist=None, joint_positions=leader)
    start = rig.positions
    person.moves(1, twist=None, joint_positions=leader + 0.3)
    person.moves(10, twist=None, joint_positions=leader)
    np.testing.assert_allclose(rig.positions, start, atol=1e-6)


def test_the_gripper_follows_the_person(rig: Rig) -> None:
    person = Person(rig)
    person.touches()
    person.moves(3, gripper_width_m=0.0)
    assert rig.last.gripper_width_m == 0.0
    person.moves(3, gripper_width_m=None)
    assert rig.last.gripper_width_m == 0.0


def test_a_person_stops_homing() -> None:
    start = HOME_JOINT_POSITIONS + np.array([0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    rig = Rig(start=start)
    rig.arm()
    rig.ask(CommandName.HOME)
    rig.wait(60)
    person = Person(rig)
    person.touches()
    person.moves(1)
    assert rig.last.state == "teleop"


def test_against_a_face_of_the_workspace_the_arm_stays_inside_and_comes_back_at_once() -> None:
    rig = Rig(config=replace(MotionConfig()))
    rig.arm()
    person = Person(rig)
    person.touches()
    person.moves(600, twist=np.array([0.0, -0.2, 0.0, 0.0, 0.0, 0.0]))
    lowest = forward_kinematics(rig.positions)[1, 3]
    assert lowest > -0.605
    # Joint 4 is slow there: the whole speed comes back further inside only.
    person.moves(100, twist=np.array([0.0, 0.2, 0.0, 0.0, 0.0, 0.0]))
    assert forward_kinematics(rig.positions)[1, 3] > lowest + 0.02


def test_the_emergency_stop_goes_before_a_person(rig: Rig) -> None:
    person = Person(rig)
    person.touches()
    person.moves(20)
    outputs = rig.step(teleop=person.command(), estop_beat=False)
    assert outputs.state == "estop"
    assert outputs.hard_stop
