"""Gamepad and pedal: real input events, through uinput where the kernel has it, else a pipe."""

import os
from collections.abc import Iterator
from pathlib import Path

import evdev
import numpy as np
import pytest
from evdev import AbsInfo, ecodes

from mail_teleop.config import GamepadConfig, PedalConfig
from mail_teleop.device import TeleopError
from mail_teleop.evdev_driver import open_input
from mail_teleop.gamepad_driver import Gamepad
from mail_teleop.pedal_driver import Pedal
from mail_teleop.readings import AXES, DeviceReading, GripperAction, OperatorKey
from tests.ros.pipe_devices import PipeInput
from tests.unit.test_teleop_contract import Clock, read_often, read_until

# An Xbox pad; its right stick is finer here, so that a mixed-up range shows.
RANGES = {
    ecodes.ABS_X: (-32768, 32767),
    ecodes.ABS_Y: (-32768, 32767),
    ecodes.ABS_RX: (0, 255),
    ecodes.ABS_RY: (0, 255),
    ecodes.ABS_HAT0X: (-1, 1),
    ecodes.ABS_HAT0Y: (-1, 1),
}
BUTTONS = [
    ecodes.BTN_SOUTH,
    ecodes.BTN_EAST,
    ecodes.BTN_NORTH,
    ecodes.BTN_WEST,
    ecodes.BTN_TL,
    ecodes.BTN_TR,
    ecodes.BTN_SELECT,
    ecodes.BTN_START,
]
PATH = "/dev/input/event5"


@pytest.fixture
def pad() -> PipeInput:
    return PipeInput(BUTTONS, RANGES)


@pytest.fixture
def gamepad(pad: PipeInput) -> Iterator[Gamepad]:
    with Gamepad(GamepadConfig(path=PATH), pad.open) as gamepad:
        yield gamepad


def push(reading: DeviceReading, axis: str) -> float:
    assert reading.motion is not None
    return float(reading.motion[AXES.index(axis)])


@pytest.mark.parametrize(
    ("code", "value", "axis", "expected"),
    [
        (ecodes.ABS_Y, -32768, "x", 1.0),
        (ecodes.ABS_Y, 32767, "x", -1.0),
        (ecodes.ABS_X, -32768, "y", 1.0),
        (ecodes.ABS_RY, 0, "z", 1.0),
        (ecodes.ABS_RX, 255, "yaw", -1.0),
    ],
)
def test_sticks_push(
    pad: PipeInput, gamepad: Gamepad, code: int, value: int, axis: str, expected: float
) -> None:
    pad.move(code, value)
    reading = gamepad.read(1.0)
    assert push(reading, axis) == pytest.approx(expected)
    others = [push(reading, other) for other in AXES if other != axis]
    assert np.abs(others).max() < 0.01
    # A stick that is held still sends nothing more; it is pushed all the same.
    assert push(gamepad.read(0.0), axis) == pytest.approx(expected)


def test_one_press_is_one_wish(pad: PipeInput, gamepad: Gamepad) -> None:
    pad.press(ecodes.BTN_SOUTH)
    assert gamepad.read(1.0).gripper is GripperAction.TOGGLE
    pad.send((ecodes.EV_KEY, ecodes.BTN_SOUTH, 2))
    assert gamepad.read(1.0).gripper is None
    pad.release(ecodes.BTN_SOUTH)
    assert gamepad.read(1.0).gripper is None


def test_buttons_and_the_cross_ask_for_episodes_and_stops(pad: PipeInput, gamepad: Gamepad) -> None:
    for code in (ecodes.BTN_START, ecodes.BTN_NORTH, ecodes.BTN_EAST):
        pad.press(code)
    assert gamepad.read(1.0).keys == (
        OperatorKey.START,
        OperatorKey.SUCCESS,
        OperatorKey.ESTOP,
    )
    for code, value, key in (
        (ecodes.ABS_HAT0X, 1, OperatorKey.SAVE),
        (ecodes.ABS_HAT0X, -1, OperatorKey.RERECORD),
        (ecodes.ABS_HAT0Y, -1, OperatorKey.FASTER),
        (ecodes.ABS_HAT0Y, 1, OperatorKey.SLOWER),
    ):
        pad.move(code, value)
        assert gamepad.read(1.0).keys == (key,)
        pad.move(code, 0)
        assert gamepad.read(1.0).keys == ()


def test_what_is_held_at_the_start_is_known(pad: PipeInput) -> None:
    pad.held.add(ecodes.BTN_TL)
    pad.values[ecodes.ABS_Y] = -32768
    with Gamepad(GamepadConfig(path=PATH), pad.open) as gamepad:
        reading = gamepad.read(0.0)
    assert reading.dead_man
    assert push(reading, "x") == pytest.approx(1.0)


@pytest.mark.fault("F44", bound="a release that the kernel threw away is found at once")
def test_a_release_that_the_kernel_dropped_is_found(pad: PipeInput, gamepad: Gamepad) -> None:
    pad.press(ecodes.BTN_TL)
    read_until(gamepad, lambda reading: reading.dead_man)
    pad.held.clear()
    pad.send((ecodes.EV_SYN, ecodes.SYN_DROPPED, 0))
    assert not gamepad.read(1.0).dead_man


@pytest.mark.fault("F44", bound="a wireless pad that is silent for 1 s with its switch held")
@pytest.mark.parametrize(
    ("bus", "is_lost"), [(ecodes.BUS_BLUETOOTH, True), (ecodes.BUS_USB, False)]
)
def test_a_wireless_pad_out_of_range_is_lost(bus: int, is_lost: bool) -> None:
    pad, clock = PipeInput(BUTTONS, RANGES, bus), Clock()
    with Gamepad(GamepadConfig(path=PATH), pad.open, clock) as gamepad:
        clock.pass_time(60.0)
        assert not gamepad.read(0.0).dead_man
        pad.press(ecodes.BTN_TL)
        assert gamepad.read(1.0).dead_man
        clock.pass_time(0.9)
        assert gamepad.read(0.0).dead_man
        clock.pass_time(0.2)
        if is_lost:
            with pytest.raises(TeleopError, match="out of range"):
                gamepad.read(0.0)
        else:
            assert gamepad.read(0.0).dead_man


def test_a_pad_without_the_configured_axes_is_refused_with_those_it_has() -> None:
    pad = PipeInput(BUTTONS, {ecodes.ABS_X: (0, 1), ecodes.ABS_Y: (0, 1)})
    with pytest.raises(TeleopError, match=r"ABS_R[XY].*it has ABS_X, ABS_Y"):
        Gamepad(GamepadConfig(path=PATH), pad.open).__enter__()
    assert pad.fd == -1


def test_an_unknown_code_is_refused_by_name(pad: PipeInput) -> None:
    with pytest.raises(TeleopError, match="BTN_BIG"):
        Gamepad(GamepadConfig(path=PATH, switch="BTN_BIG"), pad.open)


def test_a_missing_device_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(TeleopError, match="plugged in"):
        open_input(str(tmp_path / "event9"))


def test_a_pedal_is_taken_away_from_everybody_else() -> None:
    pad = PipeInput([ecodes.KEY_B, ecodes.KEY_A])
    with Pedal(PedalConfig(path=PATH), pad.open) as pedal:
        assert pad.is_grabbed
        pad.press(ecodes.KEY_A)
        assert not pedal.read(1.0).dead_man
        pad.press(ecodes.KEY_B)
        assert pedal.read(1.0).dead_man


# Where the kernel offers virtual devices, the whole path: kernel, event device, driver.

needs_uinput = pytest.mark.skipif(
    not os.access("/dev/uinput", os.W_OK), reason="/dev/uinput is not there or not writable"
)


@pytest.fixture
def virtual_pad() -> Iterator[evdev.UInput]:
    axes = [(code, AbsInfo(0, low, high, 0, 0, 0)) for code, (low, high) in RANGES.items()]
    with evdev.UInput({ecodes.EV_KEY: BUTTONS, ecodes.EV_ABS: axes}, name="test pad") as pad:
        yield pad


@needs_uinput
def test_a_virtual_gamepad_of_the_kernel(virtual_pad: evdev.UInput) -> None:
    with Gamepad(GamepadConfig(path=virtual_pad.device.path)) as gamepad:
        assert not gamepad.read(0.0).dead_man
        virtual_pad.write(ecodes.EV_KEY, ecodes.BTN_TL, 1)
        virtual_pad.write(ecodes.EV_ABS, ecodes.ABS_Y, -32768)
        virtual_pad.syn()
        reading = read_until(gamepad, lambda reading: reading.dead_man)
        assert push(reading, "x") == pytest.approx(1.0)
        virtual_pad.write(ecodes.EV_KEY, ecodes.BTN_TL, 0)
        virtual_pad.syn()
        read_until(gamepad, lambda reading: not reading.dead_man)
        virtual_pad.close()
        with pytest.raises(TeleopError, match="unplugged"):
            read_often(gamepad)
