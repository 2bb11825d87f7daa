"""Input devices whose bytes come from a pipe, where the kernel offers no virtual ones.

Gamepads: real `struct input_event` bytes, decoded by evdev's own C code; only the questions to the
kernel (what is held now, which axes are there) are answered here. SpaceMouse: real HID reports,
handed out as hidapi does.
"""

import os
import queue
import struct
import time
from collections.abc import Sequence
from typing import Any

from evdev import AbsInfo, DeviceInfo, ecodes
from evdev.eventio import EventIO

_EVENT = struct.Struct("llHHi")


class PipeInput(EventIO):
    """An event device of the kernel, as `evdev.InputDevice` shows it.

    Args:
        keys: Codes of its buttons.
        axes: Lowest and highest value of each axis.
        bus: How it is connected.
    """

    name = "pipe pad"

    def __init__(
        self,
        keys: Sequence[int],
        axes: dict[int, tuple[int, int]] | None = None,
        bus: int = ecodes.BUS_USB,
    ) -> None:
        self._keys, self._axes = list(keys), axes or {}
        self.info = DeviceInfo(bus, 0x045E, 0x028E, 0x0110)
        self.held: set[int] = set()
        self.values = {code: (low + high) // 2 for code, (low, high) in self._axes.items()}
        self.is_plugged_in = True
        self.is_grabbed = False
        self.fd = self._writer = -1

    def open(self, path: str) -> "PipeInput":
        """Stand in for `open_input`."""
        if not self.is_plugged_in:
            from mail_teleop.device import TeleopError

            raise TeleopError(f"cannot open {path}: no such device; is it plugged in?")
        self.fd, self._writer = os.pipe2(os.O_NONBLOCK)
        return self

    def send(self, *events: tuple[int, int, int]) -> None:
        """Send events of type, code and value, and the report's end."""
        sec, nanosec = divmod(time.time_ns(), 1_000_000_000)
        for kind, code, value in (*events, (ecodes.EV_SYN, ecodes.SYN_REPORT, 0)):
            if kind == ecodes.EV_KEY:
                (self.held.add if value else self.held.discard)(code)
            if kind == ecodes.EV_ABS and code in self.values:
                self.values[code] = value
            os.write(self._writer, _EVENT.pack(sec, nanosec // 1000, kind, code, value))

    def press(self, code: int) -> None:
        self.send((ecodes.EV_KEY, code, 1))

    def release(self, code: int) -> None:
        self.send((ecodes.EV_KEY, code, 0))

    def move(self, code: int, value: int) -> None:
        self.send((ecodes.EV_ABS, code, value))

    def unplug(self) -> None:
        self.is_plugged_in = False
        os.close(self._writer)
        self._writer = -1

    # What the kernel answers.

    def capabilities(self) -> dict[int, Any]:
        axes = [(code, self.absinfo(code)) for code in self._axes]
        return {ecodes.EV_KEY: self._keys, ecodes.EV_ABS: axes}

    def absinfo(self, code: int) -> AbsInfo:
        low, high = self._axes[code]
        return AbsInfo(self.values[code], low, high, 0, 0, 0)

    def active_keys(self) -> list[int]:
        return sorted(self.held)

    def grab(self) -> None:
        self.is_grabbed = True

    def close(self) -> None:
        for descriptor in (self.fd, self._writer):
            if descriptor >= 0:
                os.close(descriptor)
        self.fd = self._writer = -1


class HidHandle:
    """The handle of hidapi: `read` gives one report, or nothing within its time."""

    def __init__(self) -> None:
        self._reports: queue.Queue[bytes] = queue.Queue()
        self.is_plugged_in = True
        self.is_open = False

    def listed(self) -> list[dict[str, Any]]:
        """What hidapi lists: two interfaces, of which only the second is the cap."""
        mouse = {
            "vendor_id": 0x256F,
            "product_id": 0xC62E,
            "product_string": "SpaceMouse Wireless",
            "usage_page": 1,
        }
        entries = [mouse | {"path": b"/dev/hidraw1", "usage": 6}]
        entries.append(mouse | {"path": b"/dev/hidraw2", "usage": 8})
        other = {"vendor_id": 0x1234, "product_string": "other", "usage_page": 1, "usage": 8}
        return [other | {"path": b"/dev/hidraw0", "product_id": 1}, *entries]

    def open(self, path: bytes) -> "HidHandle":
        if not self.is_plugged_in or path != b"/dev/hidraw2":
            raise OSError("open failed")
        self.is_open = True
        return self

    def report(self, *data: bytes) -> None:
        for report in data:
            self._reports.put(report)

    def unplug(self) -> None:
        self.is_plugged_in = False

    def read(self, max_length: int, timeout_ms: int) -> list[int]:
        if not self.is_plugged_in:
            raise OSError("read error")
        try:
            return list(self._reports.get(block=timeout_ms > 0, timeout=timeout_ms / 1000))
        except queue.Empty:
            return []

    def close(self) -> None:
        self.is_open = False


def translation(x: int, y: int, z: int) -> bytes:
    return struct.pack("<B3h", 1, x, y, z)


def rotation(x: int, y: int, z: int) -> bytes:
    return struct.pack("<B3h", 2, x, y, z)


def both(*counts: int) -> bytes:
    return struct.pack("<B6h", 1, *counts)


def buttons(mask: int) -> bytes:
    return struct.pack("<BH", 3, mask)
