"""A keyboard behind a terminal: works over ssh, in a container and without a graphical desktop."""

import atexit
import contextlib
import os
import select
import termios
import time
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from mail_policy.core.frames import Array
from mail_teleop.device import TeleopError
from mail_teleop.keyboard_keys import HELP_KEY, KeyboardConfig, KeyDecoder, help_text, meaning
from mail_teleop.readings import AXES, DeviceReading, GripperAction, OperatorKey

# A cursor key whose bytes were torn apart on the way arrives within this time [s].
_SEQUENCE_S = 0.05
_LARGEST_READ = 1024
_LOCAL_FLAGS = 3
_CONTROL_CHARACTERS = 6


class Keyboard:
    """Reads the keys of a terminal; its settings are restored in every ordinary end.

    Args:
        path: Device of the terminal, for example /dev/pts/3; "" for the controlling terminal.
        config: Timing.
        moves: Whether keys move the arm, or only the switch and the other keys count.
        clock: Steady time [s].
    """

    def __init__(
        self,
        path: str,
        config: KeyboardConfig,
        *,
        moves: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path or "/dev/tty"
        self._config, self._moves, self._clock = config, moves, clock
        self._descriptor: int | None = None
        self._saved: list[Any] = []
        self._motion: Array = np.zeros(len(AXES))
        self._reset()

    def __enter__(self) -> Self:
        try:
            # It must not become our controlling terminal, or its signals would be ours.
            flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._path, flags)
        except OSError as error:
            raise TeleopError(
                f"cannot open the terminal {self._path} ({error.strerror}); start from a terminal, "
                "or set the parameter terminal to what `tty` prints there"
            ) from error
        try:
            self._saved = termios.tcgetattr(descriptor)
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, _without_lines(self._saved))
        except termios.error as error:
            os.close(descriptor)
            raise TeleopError(f"{self._path} is not a terminal: {error}") from error
        self._descriptor = descriptor
        self._reset()
        # Also an interpreter that ends by an exception gives the person the terminal back.
        atexit.register(self._restore)
        self._say(help_text(moves=self._moves))
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()
        atexit.unregister(self._restore)

    def read(self, timeout_s: float) -> DeviceReading:
        """Wait for keys no longer than so [s], and return which are held and were pressed."""
        if self._descriptor is None:
            raise TeleopError(f"the terminal {self._path} is not open")
        pressed = self._wait(self._descriptor, timeout_s)
        now_s = self._clock()
        gripper: GripperAction | None = None
        keys: list[OperatorKey] = []
        for key in pressed:
            if key.lower() == HELP_KEY:
                self._say(help_text(moves=self._moves))
            what = meaning(key)
            # Only a pure wish leaves the held key alone: whoever turns the speed up goes on.
            if what.is_held:
                self._motion, self._held_until_s = what.motion, now_s + self._config.hold_s
            if what.gripper:
                gripper = what.gripper
            if what.operator:
                keys.append(what.operator)
        if {OperatorKey.ESTOP, OperatorKey.STOP} & set(keys):
            self._held_until_s = float("-inf")
        is_held = now_s < self._held_until_s
        return DeviceReading(
            dead_man=is_held,
            motion=is_held * self._motion if self._moves else None,
            gripper=gripper,
            keys=tuple(keys),
        )

    def _reset(self) -> None:
        self._decoder = KeyDecoder()
        self._held_until_s = float("-inf")

    def _wait(self, descriptor: int, timeout_s: float) -> list[str]:
        if self._decoder.is_waiting:
            timeout_s = _SEQUENCE_S
        elif self._held_until_s > self._clock():
            # The release of a key is news too.
            timeout_s = min(timeout_s, self._held_until_s - self._clock())
        ready, _, _ = select.select([descriptor], [], [], timeout_s)
        if not ready:
            return self._decoder.flush()
        try:
            data = os.read(descriptor, _LARGEST_READ)
        except BlockingIOError:
            return []
        except OSError as error:
            raise TeleopError(f"the terminal {self._path} has gone ({error.strerror})") from error
        if not data:
            raise TeleopError(f"the terminal {self._path} has gone (hang-up)")
        return self._decoder.feed(data)

    def _say(self, text: str) -> None:
        # The terminal may have gone, or not take more now; help is not worth a failure.
        with contextlib.suppress(OSError):
            if self._descriptor is not None:
                os.write(self._descriptor, text.encode())

    def _restore(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, self._saved)
        os.close(descriptor)


def _without_lines(settings: list[Any]) -> list[Any]:
    """Return settings that hand on every character at once and unseen.

    Signals stay: Ctrl-C ends the program as ever.
    """
    changed = list(settings)
    changed[_LOCAL_FLAGS] &= ~(termios.ICANON | termios.ECHO)
    changed[_CONTROL_CHARACTERS] = list(settings[_CONTROL_CHARACTERS])
    changed[_CONTROL_CHARACTERS][termios.VMIN] = 1
    changed[_CONTROL_CHARACTERS][termios.VTIME] = 0
    return changed
