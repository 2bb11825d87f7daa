"""A gamepad: sticks push the tool, a shoulder button is the dead-man switch."""

import time
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from evdev import ecodes

from mail_teleop.config import GamepadConfig
from mail_teleop.device import TeleopError
from mail_teleop.evdev_driver import (
    OpenInput,
    code_of,
    find_gamepad,
    open_input,
    wait_for_events,
)
from mail_teleop.readings import AXES, DeviceReading, GripperAction, OperatorKey

# One step of a cross is a press.
_CROSS_SIDES = {"-": -1, "+": 1}


class Gamepad:
    """Reads a gamepad through the kernel's input events.

    Args:
        config: Which button and which axis means what.
        open_input: Opens an event device by its path; tests give their own.
        clock: Steady time [s].
    """

    def __init__(
        self,
        config: GamepadConfig,
        open_input: OpenInput = open_input,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._open_input, self._clock = config, open_input, clock
        self._device: Any = None
        self._switch = code_of(config.switch)
        self._axes = {code_of(name): axis for name, axis in config.axes.items()}
        self._gripper = {_press_of(name): action for name, action in config.gripper.items()}
        self._keys = {_press_of(name): key for name, key in config.keys.items()}

    def __enter__(self) -> Self:
        self._device = self._open_input(self._config.path or find_gamepad())
        try:
            self._ranges = self._read_ranges()
            self._learn_state()
        except OSError as error:
            self.__exit__()
            raise TeleopError(f"the gamepad was unplugged ({error})") from error
        except TeleopError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        device, self._device = self._device, None
        if device is not None:
            device.close()

    def read(self, timeout_s: float) -> DeviceReading:
        """Wait for events no longer than so [s], and return what is pushed and was pressed."""
        if self._device is None:
            raise TeleopError("the gamepad is not open")
        gripper: GripperAction | None = None
        keys: list[OperatorKey] = []
        events = wait_for_events(self._device, timeout_s)
        if events:
            self._heard_at_s = self._clock()
        for event in events:
            if event.type == ecodes.EV_SYN and event.code == ecodes.SYN_DROPPED:
                # The kernel threw events away: what it knows now is the truth.
                self._learn_state()
                break
            self._take(event)
            press = (event.type, event.code, event.value)
            gripper = self._gripper.get(press, gripper)
            if press in self._keys:
                keys.append(self._keys[press])
        self._require_link()
        motion = np.zeros(len(AXES))
        for code, axis in self._axes.items():
            sign = -1.0 if axis.startswith("-") else 1.0
            motion[AXES.index(axis.lstrip("-"))] += sign * self._share(code)
        return DeviceReading(
            dead_man=self._is_held, motion=motion, gripper=gripper, keys=tuple(keys)
        )

    def _take(self, event: Any) -> None:
        if event.type == ecodes.EV_KEY and event.code == self._switch:
            self._is_held = event.value != 0
        elif event.type == ecodes.EV_ABS and event.code in self._axes:
            self._values[event.code] = event.value

    def _learn_state(self) -> None:
        """Ask the kernel what is held and pushed now: events tell changes only."""
        try:
            self._is_held = self._switch in self._device.active_keys()
            self._values = {code: self._device.absinfo(code).value for code in self._axes}
        except OSError as error:
            raise TeleopError(f"{self._device.name} was unplugged ({error})") from error
        self._heard_at_s = self._clock()

    def _read_ranges(self) -> dict[int, tuple[float, float]]:
        known = {code for code, _ in self._device.capabilities().get(ecodes.EV_ABS, [])}
        missing = [ecodes.ABS[code] for code in self._axes if code not in known]
        if missing:
            raise TeleopError(
                f"{self._device.name} has no {', '.join(map(str, missing))}; it has "
                f"{', '.join(str(ecodes.ABS[code]) for code in sorted(known)) or 'no axes'}: "
                "change gamepad.axes"
            )
        infos = {code: self._device.absinfo(code) for code in self._axes}
        return {code: (float(info.min), float(info.max)) for code, info in infos.items()}

    def _share(self, code: int) -> float:
        """Return how far an axis is pushed, -1 to 1."""
        lowest, highest = self._ranges[code]
        half = 0.5 * (highest - lowest)
        return float((self._values[code] - lowest - half) / half)

    def _require_link(self) -> None:
        is_wireless = self._device.info.bustype == ecodes.BUS_BLUETOOTH
        silent_s = self._clock() - self._heard_at_s
        if is_wireless and self._is_held and silent_s > self._config.wireless_silence_s:
            raise TeleopError(
                f"{self._device.name} said nothing for {silent_s:.1f} s while its switch was held; "
                "out of range or out of power? A cable avoids this"
            )


def _press_of(name: str) -> tuple[int, int, int]:
    """Return type, code and value of the event that a name stands for.

    Of a key that is held the kernel sends more, with another value: one press is one wish.
    """
    if name[-1] in _CROSS_SIDES:
        return ecodes.EV_ABS, code_of(name[:-1]), _CROSS_SIDES[name[-1]]
    return ecodes.EV_KEY, code_of(name), 1
