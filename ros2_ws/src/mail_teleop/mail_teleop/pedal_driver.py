"""A foot pedal as the dead-man switch, for devices that have none."""

from typing import Any, Self

from evdev import ecodes

from mail_teleop.config import PedalConfig
from mail_teleop.device import TeleopError
from mail_teleop.evdev_driver import OpenInput, code_of, open_input, wait_for_events
from mail_teleop.readings import DeviceReading


class Pedal:
    """Reads one key of an input device and keeps it from everybody else.

    Args:
        config: Which device and key.
        open_input: Opens an event device by its path; tests give their own.
    """

    def __init__(self, config: PedalConfig, open_input: OpenInput = open_input) -> None:
        self._config, self._open_input = config, open_input
        self._key = code_of(config.key)
        self._device: Any = None

    def __enter__(self) -> Self:
        self._device = self._open_input(self._config.path)
        try:
            # Otherwise it would type letters into whatever window has the focus.
            self._device.grab()
            self._learn_state()
        except OSError as error:
            self.__exit__()
            raise TeleopError(f"{self._config.path} is used by another program") from error
        return self

    def __exit__(self, *error: object) -> None:
        device, self._device = self._device, None
        if device is not None:
            device.close()

    def read(self, timeout_s: float) -> DeviceReading:
        """Wait for events no longer than so [s], and return whether the pedal is down."""
        if self._device is None:
            raise TeleopError("the pedal is not open")
        for event in wait_for_events(self._device, timeout_s):
            if event.type == ecodes.EV_SYN and event.code == ecodes.SYN_DROPPED:
                self._learn_state()
                break
            if event.type == ecodes.EV_KEY and event.code == self._key:
                self._is_held = event.value != 0
        return DeviceReading(dead_man=self._is_held)

    def _learn_state(self) -> None:
        self._is_held = self._key in self._device.active_keys()
