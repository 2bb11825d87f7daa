"""Configuration, the choice of drivers, and the thread that reads a device."""

import builtins
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from mail_policy.core.config import ConfigError, build_config, load_config
from mail_teleop import worker as worker_module
from mail_teleop.config import DeviceKind, SwitchKind, TeleopConfig
from mail_teleop.device import TeleopDevice, TeleopError
from mail_teleop.drivers import make_device, make_pedal
from mail_teleop.readings import DeviceReading
from mail_teleop.worker import DeviceWorker

FOLDER = Path(__file__).parents[2] / "launch" / "config"
FILES = sorted(FOLDER.glob("teleop_*.yaml"))
LIMIT_S = 10.0


def config(**values: Any) -> TeleopConfig:
    return build_config(TeleopConfig, values, where="test")


# Files.


def test_there_is_a_file_for_every_device() -> None:
    assert {load_config(TeleopConfig, file).device for file in FILES} == set(DeviceKind)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file_makes_its_device(file: Path) -> None:
    config = load_config(TeleopConfig, file)
    assert file.stem == f"teleop_{config.device.value}"
    device = make_device(config, terminal="/dev/null")
    with pytest.raises(TeleopError, match="not open"):
        device.read(0.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"device": "joystick"}, "joystick"),
        ({"device": "gello"}, "needs the section gello"),
        ({"device": "leader_arm"}, "needs the section leader_arm"),
        ({"device": "gello", "gello": {"port": "x"}}, "needs a dead-man switch"),
        ({"device": "gamepad", "switch": "pedal"}, "pedal.path"),
        ({"device": "keyboard", "switch": "keyboard"}, "leave switch at 'own'"),
        ({"device": "gamepad", "gamepad": {"switch": ""}}, "switch must name a button"),
        ({"device": "gamepad", "gamepad": {"switch": "BTN_EAST"}}, "cannot mean something else"),
        ({"device": "gamepad", "gamepad": {"axes": {"ABS_X": "up"}}}, "ABS_X must be one of"),
        ({"device": "gamepad", "gamepad": {"keys": {"BTN_EAST": "stopp"}}}, "stopp"),
        ({"device": "spacemouse", "spacemouse": {"gripper_button": 0}}, "must be different"),
        ({"device": "spacemouse", "spacemouse": {"keys": {"left": "save"}}}, "number of a button"),
        ({"device": "keyboard", "keyboard": {"hold_s": 1.0}}, "hold_s"),
        ({"device": "leader_arm", "leader_arm": {"address": ""}}, "address"),
        (
            {"device": "gello", "gello": {"port": "x", "joint_signs": [1, 1, 1, 1, 1, 1, 0]}},
            "1 or -1",
        ),
        ({"device": "gello", "gello": {"port": "x", "joint_ids": [1, 2]}}, "7 entries"),
        ({"device": "gello", "gello": {"port": "x", "trigger_id": 3}}, "different"),
        ({"device": "gello", "gello": {"port": "x", "trigger_closed_rad": 0.0}}, "differ by"),
    ],
)
def test_wrong_settings_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**values)


def test_a_terminal_stands_beside_every_device_that_needs_one() -> None:
    assert not config(device="keyboard").needs_terminal
    assert not config(device="gamepad").needs_terminal
    assert config(device="gamepad", terminal_keys=True).needs_terminal
    assert config(device="gamepad", switch="keyboard").needs_terminal


# Drivers.


@pytest.mark.parametrize(
    ("values", "module", "package"),
    [
        ({"device": "gamepad"}, "evdev", "evdev-binary"),
        ({"device": "spacemouse"}, "hidraw", "hidapi"),
        (
            {"device": "gello", "switch": "keyboard", "gello": {"port": "x"}},
            "dynamixel_sdk",
            "dynamixel-sdk",
        ),
        ({"device": "leader_arm", "leader_arm": {"address": "x"}}, "franky", "franky-control"),
    ],
)
def test_a_missing_library_is_answered_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], module: str, package: str
) -> None:
    hide(monkeypatch, module)
    with pytest.raises(TeleopError, match=f"pip install {package}"):
        make_device(config(**values), terminal="")


def test_a_missing_library_of_the_pedal_is_answered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "evdev")
    with_pedal = config(device="spacemouse", switch="pedal", pedal={"path": "x"})
    assert with_pedal.switch is SwitchKind.PEDAL
    with pytest.raises(TeleopError, match="pip install evdev-binary"):
        make_pedal(with_pedal)


def hide(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Let imports of a module, and of our drivers that were imported before, fail or run anew."""
    for name in ("gamepad", "spacemouse", "gello", "leader_arm", "pedal", "evdev"):
        monkeypatch.delitem(__import__("sys").modules, f"mail_teleop.{name}_driver", raising=False)
    found = builtins.__import__

    def look(name: str, *arguments: Any, **more: Any) -> Any:
        if name.split(".")[0] == module:
            raise ImportError(f"No module named {module!r}")
        return found(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", look)


# The worker.


class ScriptedDevice:
    """Answers what a list says, then as the last entry; an exception is raised."""

    def __init__(self, answers: list[DeviceReading | Exception | None]) -> None:
        self._answers = answers
        self.is_open = False

    def __enter__(self) -> Self:
        self.is_open = True
        return self

    def __exit__(self, *error: object) -> None:
        self.is_open = False

    def read(self, timeout_s: float) -> DeviceReading | None:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Bench:
    """A worker and what it told."""

    def __init__(self, makes: list[Callable[[], TeleopDevice]]) -> None:
        self.readings: list[DeviceReading | None] = []
        self.losses: list[str] = []
        self.news = threading.Condition()
        self.worker = DeviceWorker(lambda: makes.pop(0)(), self._on_reading, self._on_loss)

    def _on_reading(self, reading: DeviceReading | None) -> None:
        with self.news:
            self.readings.append(reading)
            self.news.notify()

    def _on_loss(self, problem: str) -> None:
        with self.news:
            self.losses.append(problem)
            self.news.notify()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.news:
            assert self.news.wait_for(condition, LIMIT_S)


def refuse() -> TeleopDevice:
    raise TeleopError("not there")


def test_a_lost_device_is_closed_and_opened_again_with_growing_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    at_rest = DeviceReading()
    first = ScriptedDevice([at_rest, at_rest, None, TeleopError("unplugged")])
    second = ScriptedDevice([at_rest])
    bench = Bench([lambda: first, *[refuse] * 6, lambda: second])
    monkeypatch.setattr(bench.worker._stop, "wait", lambda pause_s: pauses.append(pause_s) or False)
    bench.worker.open()
    bench.worker.start()
    bench.wait_for(lambda: len(bench.readings) >= 4)
    bench.worker.close()
    assert bench.losses == ["unplugged", *["not there"] * 6]
    assert bench.readings[:3] == [at_rest, None, at_rest]
    assert pauses == sorted(pauses)
    assert pauses[-1] == worker_module._LONGEST_RETRY_S == 2.0
    assert not first.is_open
    assert not second.is_open


def test_what_was_pressed_before_the_start_is_forgotten() -> None:
    pressed, at_rest = DeviceReading(dead_man=True), DeviceReading()
    device = ScriptedDevice([pressed, at_rest])
    bench = Bench([lambda: device])
    bench.worker.open()
    bench.worker.start()
    bench.wait_for(lambda: bool(bench.readings))
    bench.worker.stop()
    assert device.is_open
    bench.worker.close()
    assert pressed not in bench.readings


def test_a_bug_in_a_driver_is_told_not_hidden(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench([lambda: ScriptedDevice([DeviceReading(), ZeroDivisionError("bug")])])
    bench.worker.open()
    bench.worker.start()
    bench.wait_for(lambda: bool(bench.losses))
    bench.worker.close()
    assert "bug" in bench.losses[0]
    assert "ZeroDivisionError" in caplog.text


def test_a_missing_device_is_refused_when_it_is_opened() -> None:
    with pytest.raises(TeleopError, match="not there"):
        Bench([refuse]).worker.open()
