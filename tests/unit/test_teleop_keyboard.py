"""The keyboard, through a real pseudo terminal: bytes typed at one end, driver at the other."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_teleop.device import TeleopError
from mail_teleop.keyboard_driver import Keyboard
from mail_teleop.keyboard_keys import KeyboardConfig, KeyDecoder, help_text, meaning
from mail_teleop.readings import AXES, DeviceReading, GripperAction, OperatorKey
from tests.ros.pty_terminal import PtyTerminal
from tests.unit.test_teleop_contract import Clock

ROOT = Path(__file__).parents[2]
HOLD_S = 0.15


class Desk:
    """A terminal, the driver, and a clock that the test moves."""

    def __init__(self, terminal: PtyTerminal) -> None:
        self.terminal, self.clock = terminal, Clock()
        config = KeyboardConfig(hold_s=HOLD_S)
        self.keyboard = Keyboard(terminal.path, config, moves=True, clock=self.clock)

    def types(self, text: str | bytes) -> DeviceReading:
        self.terminal.type(text)
        return self.keyboard.read(1.0)

    def after(self, duration_s: float) -> DeviceReading:
        self.clock.pass_time(duration_s)
        return self.keyboard.read(0.0)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with PtyTerminal() as terminal:
        desk = Desk(terminal)
        with desk.keyboard:
            yield desk


def pushes(reading: DeviceReading) -> dict[str, float]:
    assert reading.motion is not None
    return {axis: push for axis, push in zip(AXES, reading.motion, strict=True) if push}


@pytest.mark.parametrize(
    ("key", "push"),
    [
        ("w", {"x": 1.0}),
        ("s", {"x": -1.0}),
        ("a", {"y": 1.0}),
        ("d", {"y": -1.0}),
        ("q", {"z": 1.0}),
        ("e", {"z": -1.0}),
        ("o", {"roll": 1.0}),
        ("i", {"pitch": -1.0}),
        ("J", {"yaw": 1.0}),
    ],
)
def test_a_key_moves_while_it_is_held(desk: Desk, key: str, push: dict[str, float]) -> None:
    reading = desk.types(key)
    assert reading.dead_man
    assert pushes(reading) == push
    # A held key repeats every 30 ms.
    for _ in range(10):
        desk.clock.pass_time(0.03)
        reading = desk.types(key)
        assert reading.dead_man
        assert pushes(reading) == push


def test_a_tap_is_a_nudge(desk: Desk) -> None:
    assert desk.types("w").dead_man
    assert desk.after(HOLD_S - 0.01).dead_man
    reading = desk.after(0.02)
    assert not reading.dead_man
    assert pushes(reading) == {}


@pytest.mark.fault("F44", bound="a released key is noticed 0.15 s after its last repeat")
def test_a_release_is_noticed_soon_after_the_last_repeat(desk: Desk) -> None:
    for _ in range(20):
        desk.types("w")
        desk.clock.pass_time(0.03)
    assert desk.after(HOLD_S - 0.04).dead_man
    assert not desk.after(0.02).dead_man


def test_a_read_does_not_sleep_past_the_release_of_a_key() -> None:
    with PtyTerminal() as terminal:
        config = KeyboardConfig(hold_s=HOLD_S)
        with Keyboard(terminal.path, config, moves=True) as keyboard:
            terminal.type("w")
            assert keyboard.read(1.0).dead_man
            # Would only come back after a minute if it waited for a key.
            assert not keyboard.read(60.0).dead_man


def test_the_newest_key_wins(desk: Desk) -> None:
    desk.types("w")
    assert pushes(desk.types("a")) == {"y": 1.0}


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        (" ", OperatorKey.ESTOP),
        ("\x1b[C", OperatorKey.SAVE),
        ("\x1bOC", OperatorKey.SAVE),
        ("\n", OperatorKey.SAVE),
        ("\x1b[D", OperatorKey.RERECORD),
        ("\x7f", OperatorKey.DISCARD),
        ("r", OperatorKey.START),
        ("y", OperatorKey.SUCCESS),
        ("n", OperatorKey.FAILURE),
        ("p", OperatorKey.RESUME),
        ("+", OperatorKey.FASTER),
        ("-", OperatorKey.SLOWER),
    ],
)
def test_keys_ask_for_episodes_and_stops_without_moving(
    desk: Desk, typed: str, key: OperatorKey
) -> None:
    reading = desk.types(typed)
    assert reading.keys == (key,)
    assert not reading.dead_man


def test_a_lone_escape_stops_and_a_torn_cursor_key_does_not(desk: Desk) -> None:
    assert desk.types("\x1b").keys == ()
    assert desk.after(0.0).keys == (OperatorKey.STOP,)
    assert desk.types("\x1b").keys == ()
    assert desk.types("[D").keys == (OperatorKey.RERECORD,)


def test_the_emergency_stop_also_lets_go(desk: Desk) -> None:
    reading = desk.types("w ")
    assert reading.keys == (OperatorKey.ESTOP,)
    assert not reading.dead_man


def test_the_gripper_keys_hold_the_switch_without_motion(desk: Desk) -> None:
    reading = desk.types("g")
    assert reading.gripper is GripperAction.TOGGLE
    assert reading.dead_man
    assert pushes(reading) == {}
    assert desk.types(",.").gripper is GripperAction.OPEN


def test_changing_the_speed_goes_on_moving(desk: Desk) -> None:
    desk.types("w")
    assert pushes(desk.types("+")) == {"x": 1.0}


def test_unknown_keys_and_letters_beyond_ascii_do_nothing(desk: Desk) -> None:
    reading = desk.types("zö\x1b[15~\x1b[1;5Fx")
    assert reading.keys == ()
    assert not reading.dead_man


def test_keys_alone_never_move(desk: Desk) -> None:
    with Keyboard(desk.terminal.path, KeyboardConfig(), moves=False) as keys:
        desk.terminal.type("wr")
        reading = keys.read(1.0)
    assert reading.motion is None
    assert reading.keys == (OperatorKey.START,)


def test_the_help_names_every_key_and_comes_again(desk: Desk) -> None:
    assert "emergency stop" in desk.terminal.screen(0.2)
    desk.types("h")
    assert "emergency stop" in desk.terminal.screen(0.2)


def test_no_key_has_two_meanings() -> None:
    for code in range(0x20, 0x7F):
        what = meaning(chr(code))
        assert not (what.is_held and what.operator)
        assert not (what.motion.any() and what.gripper)
        if what.is_held or what.operator:
            name = "SPACE" if code == 0x20 else chr(code)
            assert name.lower() in help_text(moves=True).lower() or name in "=_"


def test_what_was_typed_before_does_not_count(desk: Desk) -> None:
    desk.keyboard.__exit__()
    desk.terminal.type("www\n")
    desk.terminal.wait_until_a_line_is_there()
    with desk.keyboard:
        assert not desk.after(0.0).dead_man


# The terminal's settings.


def test_keys_come_at_once_and_unseen_and_ctrl_c_still_ends_the_program(desk: Desk) -> None:
    assert not desk.terminal.is_line_by_line
    assert desk.terminal.has_signals
    desk.terminal.screen(0.1)
    desk.types("w")
    assert desk.terminal.screen(0.05) == ""
    desk.keyboard.__exit__()
    assert desk.terminal.is_line_by_line


_PROGRAM = """
import signal, sys, time
from mail_policy.core.interruption import heed_stop_signals
from mail_teleop.keyboard_driver import Keyboard
from mail_teleop.keyboard_keys import KeyboardConfig
requested = heed_stop_signals(signal.SIGTERM)
keyboard = Keyboard(sys.argv[1], KeyboardConfig(), moves=True).__enter__()
print("open", flush=True)
if sys.argv[2] == "crash":
    raise RuntimeError("crash")
requested.wait(60)
if sys.argv[2] == "leave":
    keyboard.__exit__()
"""


@pytest.mark.parametrize("end", ["leave", "crash", "forget"])
def test_the_terminal_is_given_back_however_the_program_ends(end: str) -> None:
    with PtyTerminal() as terminal:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, terminal.path, end],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "ros2_ws/src/mail_teleop")},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # As our runner does: no terminal of its own.
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        if end != "crash":
            assert not terminal.is_line_by_line
            process.send_signal(signal.SIGTERM)
        process.wait(20.0)
        process.stdout.close()
        assert terminal.is_line_by_line


def test_a_path_that_is_no_terminal_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(TeleopError, match="parameter terminal"):
        Keyboard(str(tmp_path / "none"), KeyboardConfig(), moves=True).__enter__()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(TeleopError, match="not a terminal"):
        Keyboard(str(file), KeyboardConfig(), moves=True).__enter__()


# The decoder.


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_any_bytes_in_any_pieces_give_the_same_keys(data: bytes, cuts: list[int]) -> None:
    whole, pieces = KeyDecoder(), KeyDecoder()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    keys = [key for start, end in pairwise(places) for key in pieces.feed(data[start:end])]
    assert keys + pieces.flush() == whole.feed(data) + whole.flush()
    assert not pieces.is_waiting
