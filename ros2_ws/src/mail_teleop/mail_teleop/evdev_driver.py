"""Opens input devices of the Linux kernel, and reads their events. For gamepads and pedals."""

import select
from collections.abc import Callable
from typing import Any

import evdev
from evdev import ecodes

from mail_teleop.device import TeleopError

OpenInput = Callable[[str], Any]
PERMISSION_REMEDY = "run: sudo usermod -aG input $USER, then log in again"


def open_input(path: str) -> Any:
    """Open an event device. Raises TeleopError with the remedy."""
    try:
        return evdev.InputDevice(path)
    except PermissionError as error:
        raise TeleopError(f"no permission to read {path}; {PERMISSION_REMEDY}") from error
    except OSError as error:
        raise TeleopError(f"cannot open {path}: {error.strerror}; is it plugged in?") from error


def find_gamepad() -> str:
    """Return the event device of the first gamepad. Raises TeleopError if there is none."""
    seen = []
    for path in evdev.list_devices():
        with open_input(path) as device:
            buttons = device.capabilities().get(ecodes.EV_KEY, [])
            if ecodes.BTN_GAMEPAD in buttons:
                return str(path)
            seen.append(device.name)
    raise TeleopError(
        f"no gamepad found; readable input devices: {', '.join(seen) or 'none'}. Plug it in; if "
        f"it is, {PERMISSION_REMEDY}"
    )


def code_of(name: str) -> int:
    """Return the number of a code such as BTN_TL or ABS_X. Raises TeleopError if unknown."""
    number = ecodes.ecodes.get(name)
    if not isinstance(number, int):
        raise TeleopError(f"{name!r} is no code of an input device; `evtest` shows their names")
    return number


def wait_for_events(device: Any, timeout_s: float) -> list[Any]:
    """Return the events that came within so long [s]. Raises TeleopError if it has gone."""
    try:
        ready, _, _ = select.select([device.fd], [], [], timeout_s)
        if not ready:
            return []
        events = list(device.read())
    except BlockingIOError:
        return []
    except (OSError, ValueError) as error:
        raise TeleopError(f"{device.name} was unplugged ({error})") from error
    if not events:
        raise TeleopError(f"{device.name} was unplugged")
    return events
