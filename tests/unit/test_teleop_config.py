"""Configuration, the choice of drivers, and the thread that reads a device."""

import builtins
from pathlib import Path
from typing import Any

import pytest

from mail_policy.core.config import ConfigError, build_config, load_config
from mail_teleop.config import DeviceKind, SwitchKind, TeleopConfig
from mail_teleop.device import TeleopError
from mail_teleop.drivers import make_device, make_pedal

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
