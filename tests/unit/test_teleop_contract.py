"""Every device keeps these promises. tests/ros/test_teleop_leader_arm.py runs them once more."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pytest
from evdev import ecodes

from mail_teleop.config import GamepadConfig, PedalConfig
from mail_teleop.device import TeleopDevice, TeleopError
from mail_teleop.gamepad_driver import Gamepad
from mail_teleop.gello_angles import GelloConfig, TriggerUse
from mail_teleop.gello_driver import Gello
from mail_teleop.keyboard_driver import Keyboard
from mail_teleop.keyboard_keys import KeyboardConfig
from mail_teleop.pedal_driver import Pedal
from mail_teleop.readings import DeviceReading
from mail_teleop.spacemouse_driver import SpaceMouse
from mail_teleop.spacemouse_reports import SpaceMouseConfig
from tests.ros.pipe_devices import HidHandle, PipeInput, buttons
from tests.ros.pty_dynamixel import PtyDynamixel
from tests.ros.pty_terminal import PtyTerminal

READS = 100


@dataclass
class Bench:
    """A device, and a person's hands at it."""

    device: TeleopDevice
    hold: Callable[[], object]
    release: Callable[[], object]
    unplug: Callable[[], object]


class Clock:
    """Steady time that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def pass_time(self, duration_s: float) -> None:
        self.now_s += duration_s


def terminal_bench(stack: ExitStack, *, moves: bool) -> Bench:
    terminal, clock = stack.enter_context(PtyTerminal()), Clock()
    keyboard = Keyboard(terminal.path, KeyboardConfig(), moves=moves, clock=clock)
    return Bench(
        keyboard,
        hold=lambda: terminal.type("c"),
        release=lambda: clock.pass_time(0.16),
        unplug=terminal.hang_up,
    )


def gamepad_bench(stack: ExitStack) -> Bench:
    pad = PipeInput(
        [ecodes.BTN_GAMEPAD, ecodes.BTN_TL],
        dict.fromkeys((ecodes.ABS_X, ecodes.ABS_Y, ecodes.ABS_RX, ecodes.ABS_RY), (-100, 100)),
    )
    return Bench(
        Gamepad(GamepadConfig(path="/dev/input/event5"), pad.open),
        hold=lambda: pad.press(ecodes.BTN_TL),
        release=lambda: pad.release(ecodes.BTN_TL),
        unplug=pad.unplug,
    )


def pedal_bench(stack: ExitStack) -> Bench:
    pedal = PipeInput([ecodes.KEY_B])
    return Bench(
        Pedal(PedalConfig(path="/dev/input/event6"), pedal.open),
        hold=lambda: pedal.press(ecodes.KEY_B),
        release=lambda: pedal.release(ecodes.KEY_B),
        unplug=pedal.unplug,
    )


def spacemouse_bench(stack: ExitStack) -> Bench:
    handle = HidHandle()
    return Bench(
        SpaceMouse(SpaceMouseConfig(), handle.listed, handle.open),
        hold=lambda: handle.report(buttons(1)),
        release=lambda: handle.report(buttons(0)),
        unplug=handle.unplug,
    )


def gello_bench(stack: ExitStack) -> Bench:
    bus = stack.enter_context(PtyDynamixel([1, 2, 3, 4, 5, 6, 7, 8]))
    bus.ticks[8] = 0

    def squeeze(ticks: int) -> None:
        bus.ticks[8] = ticks

    config = GelloConfig(port=bus.path, trigger_use=TriggerUse.SWITCH, answer_s=0.2)
    return Bench(
        Gello(config), hold=lambda: squeeze(450), release=lambda: squeeze(0), unplug=bus.unplug
    )


MAKERS = {
    "keyboard": lambda stack: terminal_bench(stack, moves=True),
    "keys": lambda stack: terminal_bench(stack, moves=False),
    "gamepad": gamepad_bench,
    "pedal": pedal_bench,
    "spacemouse": spacemouse_bench,
    "gello": gello_bench,
}


@pytest.fixture(params=list(MAKERS))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield MAKERS[request.param](stack)


def read_until(device: TeleopDevice, condition: Callable[[DeviceReading], bool]) -> DeviceReading:
    for _ in range(READS):
        reading = device.read(0.02)
        if reading is not None and condition(reading):
            return reading
    raise AssertionError("no such reading")


def read_often(device: TeleopDevice) -> None:
    for _ in range(READS):
        device.read(0.02)


def test_a_closed_device_refuses_to_be_read(bench: Bench) -> None:
    with pytest.raises(TeleopError, match="not open"):
        bench.device.read(0.0)


def test_a_device_at_rest_says_so(bench: Bench) -> None:
    with bench.device:
        reading = read_until(bench.device, lambda reading: True)
    assert not reading.dead_man
    assert reading.gripper is None
    assert reading.keys == ()
    assert reading.motion is None or reading.joint_positions is None
    if reading.motion is not None:
        assert reading.motion.tolist() == [0.0] * 6
    if reading.joint_positions is not None:
        assert reading.joint_positions.shape == (7,)
        assert np.isfinite(reading.joint_positions).all()


def test_the_switch_is_seen_held_for_as_long_as_it_is(bench: Bench) -> None:
    with bench.device:
        read_until(bench.device, lambda reading: not reading.dead_man)
        for _ in range(2):
            bench.hold()
            read_until(bench.device, lambda reading: reading.dead_man)
            bench.release()
            read_until(bench.device, lambda reading: not reading.dead_man)


def test_an_unplugged_device_is_told_not_taken_for_one_at_rest(bench: Bench) -> None:
    with bench.device:
        bench.hold()
        read_until(bench.device, lambda reading: reading.dead_man)
        bench.unplug()
        with pytest.raises(TeleopError):
            read_often(bench.device)
    with pytest.raises(TeleopError):
        bench.device.__enter__()


def test_a_device_closes_also_when_its_user_fails_and_can_be_opened_again(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError), bench.device:
        _ = 1 / 0
    with pytest.raises(TeleopError, match="not open"):
        bench.device.read(0.0)
    with bench.device:
        read_until(bench.device, lambda reading: True)


def test_a_reading_is_a_copy(bench: Bench) -> None:
    with bench.device:
        bench.hold()
        first = read_until(bench.device, lambda reading: reading.dead_man)
        for values in (first.motion, first.joint_positions):
            if values is not None:
                values[:] = 99.0
        second = read_until(bench.device, lambda reading: True)
    for values in (second.motion, second.joint_positions):
        assert values is None or np.abs(values).max() < 10.0
