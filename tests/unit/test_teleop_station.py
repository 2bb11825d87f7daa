"""The pace of commands, silence and loss, and a switch on a second device. Time is an argument."""

from typing import Any

import numpy as np
import pytest

from mail_policy.core.types import TeleopCommand
from mail_teleop.mapping import Frame, MappingConfig
from mail_teleop.readings import DeviceReading, GripperAction, OperatorKey
from mail_teleop.station import HELD_PERIOD_S, OPEN_PERIOD_S, TeleopStation

AWAY = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])


class Desk:
    """A station, and what it sent and asked."""

    def __init__(self, *, has_switch_elsewhere: bool = False, **settings: Any) -> None:
        self.sent: list[TeleopCommand] = []
        self.asked: list[OperatorKey] = []
        self.station = TeleopStation(
            "test",
            MappingConfig(**settings),
            self.sent.append,
            self.asked.append,
            has_switch_elsewhere=has_switch_elsewhere,
        )
        self.now_s = 10.0
        self.station.begin(self.now_s)

    def reads(self, held: bool, after_s: float = 0.01, **fields: Any) -> None:
        self.now_s += after_s
        reading = DeviceReading(**({"dead_man": held, "motion": AWAY} | fields))
        self.station.on_reading(reading, self.now_s, 1000.0 + self.now_s)

    def helper(self, held: bool, after_s: float = 0.01, **fields: Any) -> None:
        self.now_s += after_s
        self.station.on_helper(
            DeviceReading(dead_man=held, **fields), self.now_s, 1000.0 + self.now_s, is_switch=True
        )

    def is_silent(self, after_s: float) -> None:
        self.now_s += after_s
        self.station.on_silence(self.now_s, 1000.0 + self.now_s)

    def presses(self) -> None:
        self.reads(False)
        self.reads(True)
        assert self.sent[-1].dead_man


def test_commands_come_at_50_hz_while_the_switch_is_held_and_at_10_hz_otherwise() -> None:
    desk = Desk()
    # As a SpaceMouse reports.
    for _ in range(250):
        desk.reads(False, after_s=0.008)
    assert len(desk.sent) == pytest.approx(2.0 / OPEN_PERIOD_S, abs=1)
    desk.sent.clear()
    for _ in range(250):
        desk.reads(True, after_s=0.008)
    assert len(desk.sent) == pytest.approx(2.0 / HELD_PERIOD_S, abs=2)
    sequences = [command.sequence for command in desk.sent]
    assert sequences == sorted(set(sequences))


def test_a_command_carries_the_time_at_which_the_person_moved() -> None:
    desk = Desk()
    desk.presses()
    assert desk.sent[-1].sent_at_s == 1000.0 + desk.now_s


@pytest.mark.fault("F44", bound="a press and a release are sent with the reading that shows them")
def test_a_press_and_a_release_are_sent_at_once() -> None:
    desk = Desk()
    desk.presses()
    desk.reads(True, after_s=0.001)
    assert len(desk.sent) == 2
    desk.reads(False, after_s=0.001)
    assert len(desk.sent) == 3
    assert not desk.sent[-1].dead_man
    desk.reads(True, after_s=0.001)
    assert desk.sent[-1].dead_man


@pytest.mark.fault("F44", bound="a held device whose state is unknown for 60 ms is let go")
def test_silence_opens_the_clutch_once_and_a_new_press_closes_it() -> None:
    desk = Desk(silence_s=0.06)
    desk.presses()
    desk.is_silent(0.05)
    assert desk.sent[-1].dead_man
    desk.is_silent(0.02)
    desk.is_silent(0.02)
    assert [command.dead_man for command in desk.sent] == [False, True, False]
    desk.reads(True)
    assert not desk.sent[-1].dead_man
    assert "nothing heard" in desk.station.status(desk.now_s).problem
    desk.presses()


@pytest.mark.fault("F44", bound="a lost device lets go at once; then nothing is sent")
def test_a_lost_device_lets_go_and_must_be_released_when_it_is_back() -> None:
    desk = Desk()
    desk.presses()
    desk.station.on_loss("unplugged", desk.now_s, 0.0)
    assert not desk.sent[-1].dead_man
    count = len(desk.sent)
    desk.station.on_loss("cannot open", desk.now_s + 1.0, 0.0)
    assert len(desk.sent) == count
    assert desk.station.status(desk.now_s).problem == "cannot open"
    # It was held all the time.
    for _ in range(20):
        desk.reads(True)
        assert not desk.sent[-1].dead_man
    desk.presses()
    assert desk.station.status(desk.now_s).problem == ""


def test_a_new_start_forgets_the_old_one() -> None:
    desk = Desk()
    desk.presses()
    desk.station.begin(desk.now_s)
    desk.reads(True)
    assert not desk.sent[-1].dead_man


def test_keys_are_handed_on_once_and_the_speed_stays_here() -> None:
    desk = Desk()
    desk.reads(False, keys=(OperatorKey.START, OperatorKey.FASTER))
    desk.reads(False)
    assert desk.asked == [OperatorKey.START]
    assert desk.station.status(desk.now_s).speed_share == 1.0


# A second device.


def test_a_switch_on_a_second_device_counts_and_the_own_one_does_not() -> None:
    desk = Desk(has_switch_elsewhere=True)
    desk.helper(False)
    desk.reads(True)
    desk.helper(True)
    desk.reads(False)
    assert [command.dead_man for command in desk.sent] == [False, True]


@pytest.mark.fault("F44", bound="a release on a second device is sent at once")
def test_a_release_on_a_second_device_does_not_wait_for_the_first() -> None:
    desk = Desk(has_switch_elsewhere=True)
    desk.reads(False)
    desk.helper(True)
    desk.reads(False)
    assert desk.sent[-1].dead_man
    desk.helper(False, after_s=0.001)
    assert not desk.sent[-1].dead_man


@pytest.mark.fault("F44", bound="a second device that is silent for 100 ms holds no switch")
def test_a_second_device_that_falls_silent_holds_no_switch() -> None:
    desk = Desk(has_switch_elsewhere=True)
    desk.reads(False)
    desk.helper(True)
    for _ in range(10):
        desk.reads(False, after_s=0.0099)
    assert desk.sent[-1].dead_man
    desk.reads(False, after_s=0.0099)
    assert not desk.sent[-1].dead_man


def test_speed_and_gripper_keys_of_a_second_device_count() -> None:
    desk = Desk(speed_steps=(0.1, 1.0), first_step=0)
    desk.presses()
    desk.helper(False, gripper=GripperAction.CLOSE, keys=(OperatorKey.FASTER,))
    desk.reads(True, after_s=0.02)
    assert desk.sent[-1].gripper_width_m == 0.0
    assert desk.station.status(desk.now_s).speed_share == 1.0


def test_a_stop_on_a_second_device_lets_go_even_while_the_first_is_lost() -> None:
    desk = Desk()
    desk.presses()
    desk.helper(False, keys=(OperatorKey.ESTOP,))
    assert not desk.sent[-1].dead_man
    desk.reads(True)
    assert not desk.sent[-1].dead_man
    desk.station.on_loss("unplugged", desk.now_s, 0.0)
    desk.helper(False, keys=(OperatorKey.ESTOP,))
    assert desk.asked == [OperatorKey.ESTOP, OperatorKey.ESTOP]


# The arm's side.


def test_an_old_pose_of_the_tool_is_not_used() -> None:
    desk = Desk(frame=Frame.TOOL)
    desk.station.see_tool(np.eye(3), desk.now_s)
    desk.presses()
    desk.reads(True, after_s=0.25)
    assert desk.sent[-1].dead_man
    for _ in range(3):
        desk.reads(True, after_s=0.1)
    assert not desk.sent[-1].dead_man


def test_a_toggle_knows_what_the_fingers_do() -> None:
    desk = Desk()
    desk.station.see_gripper(0.01)
    desk.presses()
    desk.reads(True, after_s=0.02, gripper=GripperAction.TOGGLE)
    assert desk.sent[-1].gripper_width_m == 0.08
