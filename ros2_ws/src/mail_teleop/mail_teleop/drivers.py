"""Chooses the drivers; the library of a device is imported only when the device is."""

from collections.abc import Iterator
from contextlib import contextmanager

from mail_teleop.config import DeviceKind, SwitchKind, TeleopConfig
from mail_teleop.device import TeleopDevice, TeleopError
from mail_teleop.keyboard_driver import Keyboard


def make_device(config: TeleopConfig, terminal: str) -> TeleopDevice:
    """Return the closed device that the person moves.

    Args:
        config: Which device, and its settings.
        terminal: Path of the terminal, "" for the controlling one.

    Raises:
        TeleopError: The library of the device is not installed.
    """
    match config.device:
        case DeviceKind.KEYBOARD:
            return Keyboard(terminal, config.keyboard, moves=True)
        case DeviceKind.KEYS:
            return make_terminal(config, terminal)
        case DeviceKind.GAMEPAD:
            with _needs("the gamepad", "evdev-binary"):
                from mail_teleop.gamepad_driver import Gamepad
            return Gamepad(config.gamepad)
        case DeviceKind.SPACEMOUSE:
            with _needs("the SpaceMouse", "hidapi"):
                from mail_teleop.spacemouse_driver import SpaceMouse
            return SpaceMouse(config.spacemouse)
        case DeviceKind.GELLO:
            with _needs("the GELLO", "dynamixel-sdk"):
                from mail_teleop.gello_driver import Gello
            assert config.gello is not None
            return Gello(config.gello)
        case DeviceKind.LEADER_ARM:
            with _needs("the leader arm", "franky-control"):
                from mail_teleop.leader_arm_driver import LeaderArm
            assert config.leader_arm is not None
            return LeaderArm(config.leader_arm)


def make_terminal(config: TeleopConfig, terminal: str) -> TeleopDevice:
    """Return the closed terminal beside the device: the keys that move nothing."""
    return Keyboard(terminal, config.keyboard, moves=False)


def make_pedal(config: TeleopConfig) -> TeleopDevice:
    """Return the closed foot pedal. Raises TeleopError if its library is not installed."""
    assert config.switch is SwitchKind.PEDAL
    with _needs("the pedal", "evdev-binary"):
        from mail_teleop.pedal_driver import Pedal
    return Pedal(config.pedal)


@contextmanager
def _needs(what: str, package: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise TeleopError(
            f"{what} needs a library that is not installed ({error}); install it with: "
            f"pip install {package}"
        ) from error
