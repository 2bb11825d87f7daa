"""The SpaceMouse: real HID reports through the driver; only the handle of hidapi is replaced."""

import logging
from collections.abc import Iterator

import numpy as np
import pytest

from mail_teleop.device import TeleopError
from mail_teleop.readings import AXES, DeviceReading, GripperAction, OperatorKey
from mail_teleop.spacemouse_driver import SpaceMouse
from mail_teleop.spacemouse_reports import SpaceMouseConfig
from tests.ros.pipe_devices import HidHandle, both, buttons, rotation, translation
from tests.unit.test_teleop_contract import Clock


class Desk:
    """A SpaceMouse, and a clock that the test moves."""

    def __init__(self, **settings: object) -> None:
        self.handle, self.clock = HidHandle(), Clock()
        config = SpaceMouseConfig(**settings)  # type: ignore[arg-type]
        self.mouse = SpaceMouse(config, self.handle.listed, self.handle.open, self.clock)

    def reports(self, *reports: bytes) -> DeviceReading:
        self.handle.report(*reports)
        reading = self.mouse.read(0.01)
        assert reading is not None
        return reading

    def after(self, duration_s: float) -> DeviceReading | None:
        self.clock.pass_time(duration_s)
        return self.mouse.read(0.0)


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    with desk.mouse:
        yield desk


# Counts of x (right), y (towards the person), z (down); rotations about them.
SIX_WAYS = [
    ((0, -350, 0, 0, 0, 0), "x", 1.0),
    ((-350, 0, 0, 0, 0, 0), "y", 1.0),
    ((0, 0, -350, 0, 0, 0), "z", 1.0),
    ((0, 0, 0, 0, -175, 0), "roll", 0.5),
    ((0, 0, 0, 350, 0, 0), "pitch", -1.0),
    ((0, 0, 0, 0, 0, -350), "yaw", 1.0),
]


@pytest.mark.parametrize(("counts", "axis", "push"), SIX_WAYS)
@pytest.mark.parametrize("is_combined", [False, True], ids=["reports 1 and 2", "report 1"])
def test_the_cap_pushes_and_turns(
    desk: Desk, counts: tuple[int, ...], axis: str, push: float, is_combined: bool
) -> None:
    apart = (translation(*counts[:3]), rotation(*counts[3:]))
    reading = desk.reports(*((both(*counts),) if is_combined else apart))
    expected = np.zeros(6)
    expected[AXES.index(axis)] = push
    np.testing.assert_allclose(reading.motion, expected, atol=1e-12)


def test_letting_go_of_the_cap_is_a_push_of_nothing(desk: Desk) -> None:
    desk.reports(translation(100, 100, 100), rotation(100, 100, 100))
    reading = desk.reports(translation(0, 0, 0), rotation(0, 0, 0))
    assert reading.motion is not None
    assert not reading.motion.any()


def test_the_left_button_is_the_switch_and_the_right_one_the_gripper(desk: Desk) -> None:
    assert desk.reports(buttons(0b01)).dead_man
    reading = desk.reports(buttons(0b11))
    assert reading.dead_man
    assert reading.gripper is GripperAction.TOGGLE
    # Held, it asks no second time; a quick double press is not lost.
    assert desk.reports(buttons(0b11)).gripper is None
    assert desk.reports(buttons(0b01), buttons(0b11), buttons(0b01)).gripper is not None
    assert not desk.reports(buttons(0)).dead_man


def test_more_buttons_ask_for_episodes() -> None:
    desk = Desk(keys={"12": OperatorKey.SAVE})
    with desk.mouse:
        assert desk.reports(buttons(1 << 12)).keys == (OperatorKey.SAVE,)


def test_other_reports_and_torn_ones_change_nothing(desk: Desk) -> None:
    before = desk.reports(translation(0, -350, 0), buttons(1))
    reading = desk.reports(b"\x17\x64\x00", b"\x01\x00", b"\x02", b"\x1c\x00\x00")
    assert reading.dead_man
    np.testing.assert_array_equal(reading.motion, before.motion)


@pytest.mark.fault("F44", bound="a pushed cap that is silent for 100 ms is not trusted")
def test_a_pushed_cap_that_falls_silent_is_unknown(desk: Desk) -> None:
    desk.reports(buttons(1), translation(0, -350, 0))
    assert desk.after(0.09) is not None
    assert desk.after(0.02) is None
    assert desk.reports(translation(0, 0, 0)).dead_man


@pytest.mark.fault("F44", bound="a switch held in silence for 5 s is not trusted")
def test_a_held_switch_without_news_is_unknown(desk: Desk) -> None:
    desk.reports(buttons(1))
    assert desk.after(4.9) is not None
    assert desk.after(0.2) is None
    desk.reports(buttons(0))
    assert desk.after(3600.0) is not None


def test_the_interface_of_the_cap_is_chosen_not_the_first_one(desk: Desk) -> None:
    assert desk.handle.is_open


def test_no_permission_is_answered_with_the_rule_not_with_root(desk: Desk) -> None:
    desk.mouse.__exit__()
    desk.handle.is_plugged_in = False
    with pytest.raises(TeleopError, match=r"(?s)hidraw2.*no root.*idVendor.*256f.*uaccess"):
        desk.mouse.__enter__()


def test_no_device_is_answered_with_what_was_seen() -> None:
    handle = HidHandle()
    wrong = handle.listed()[:2]
    mouse = SpaceMouse(SpaceMouseConfig(), lambda: wrong, handle.open)
    with pytest.raises(TeleopError, match=r"no SpaceMouse found.*SpaceMouse Wireless \(256f\)"):
        mouse.__enter__()


def test_a_device_that_sends_nothing_is_explained_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        desk.after(4.0)
        assert not caplog.records
        desk.after(2.0)
        desk.after(2.0)
    assert len(caplog.records) == 1
    assert "Push its cap" in caplog.text
