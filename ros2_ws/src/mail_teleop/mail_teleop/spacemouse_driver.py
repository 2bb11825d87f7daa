"""A 3Dconnexion SpaceMouse: the cap pushes the tool, the left button is the dead-man switch."""

import logging
import time
from collections.abc import Callable
from typing import Any, Self

# The module `hid` of the same package goes past the kernel: it needs root and knows no Bluetooth.
import hidraw as hid

from mail_teleop.device import TeleopError
from mail_teleop.readings import DeviceReading, GripperAction, OperatorKey
from mail_teleop.spacemouse_reports import SpaceMouseConfig, SpaceMouseState

logger = logging.getLogger(__name__)

_VENDORS = (0x256F, 0x046D)
_DESKTOP_PAGE, _MULTI_AXIS_CONTROLLER = 0x01, 0x08
_LARGEST_REPORT = 64
_MOST_REPORTS_AT_ONCE = 64
# A pushed cap reports at about 60 Hz or faster until it is at rest.
_PUSHED_SILENCE_S = 0.1
# At rest it says nothing. A wireless one that lost its link looks the same, and would not tell
# that the switch was let go meanwhile.
_HELD_SILENCE_S = 5.0
UDEV_RULE = (
    'KERNEL=="hidraw*", ATTRS{idVendor}=="256f", MODE="0660", TAG+="uaccess"\n'
    'KERNEL=="hidraw*", ATTRS{idVendor}=="046d", ATTRS{idProduct}=="c62*", MODE="0660", '
    'TAG+="uaccess"\n'
)
PERMISSION_REMEDY = (
    "it may not be read; no root is needed, only a rule. Write these lines to "
    f"/etc/udev/rules.d/70-spacemouse.rules:\n{UDEV_RULE}"
    "then run: sudo udevadm control --reload && sudo udevadm trigger, and plug it in again"
)
SELF_TEST = (
    "the SpaceMouse has sent nothing yet. Push its cap: if this stays, test it with "
    "`sudo cat {path} | xxd` (bytes must appear); a wireless one may be asleep or paired elsewhere"
)
OpenHid = Callable[[bytes], Any]
ListHid = Callable[[], list[dict[str, Any]]]


def open_hid(path: bytes) -> Any:
    """Open a HID device by its path. Raises OSError if it cannot."""
    device = hid.device()
    device.open_path(path)
    # Otherwise a read with no time to wait waits for ever.
    device.set_nonblocking(1)
    return device


class SpaceMouse:
    """Reads the HID reports of a SpaceMouse.

    Args:
        config: Buttons and scale.
        list_hid: Lists HID devices; tests give their own.
        open_hid: Opens one by its path; likewise.
        clock: Steady time [s].
    """

    def __init__(
        self,
        config: SpaceMouseConfig,
        list_hid: ListHid = hid.enumerate,
        open_hid: OpenHid = open_hid,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._list_hid, self._open_hid = config, list_hid, open_hid
        self._clock = clock
        self._device: Any = None
        self._keys = {int(number): key for number, key in config.keys.items()}

    def __enter__(self) -> Self:
        path = self._config.path.encode() or self._find()
        try:
            self._device = self._open_hid(path)
        except OSError as error:
            raise TeleopError(
                f"found a SpaceMouse at {path.decode()}, but {PERMISSION_REMEDY}"
            ) from error
        self._path = path.decode()
        self._state = SpaceMouseState(self._config.full_scale)
        self._heard_at_s: float | None = None
        self._opened_at_s, self._has_advised = self._clock(), False
        return self

    def __exit__(self, *error: object) -> None:
        device, self._device = self._device, None
        if device is not None:
            device.close()

    def read(self, timeout_s: float) -> DeviceReading | None:
        """Wait for reports no longer than so [s], and return the state of cap and buttons.

        Returns None while a pushed cap is silent, and when the switch is held in long silence:
        then the state is not known.
        """
        if self._device is None:
            raise TeleopError("the SpaceMouse is not open")
        before = self._state.buttons
        pressed = self._take_reports(timeout_s, before)
        if self._heard_at_s is None:
            self._advise()
        elif self._clock() - self._heard_at_s > self._longest_silence_s:
            return None
        has_gripper = bool(pressed >> self._config.gripper_button & 1)
        return DeviceReading(
            dead_man=self._is_held,
            motion=self._state.motion,
            gripper=GripperAction.TOGGLE if has_gripper else None,
            keys=self._keys_of(pressed),
        )

    @property
    def _is_held(self) -> bool:
        return bool(self._state.buttons >> self._config.switch_button & 1)

    @property
    def _longest_silence_s(self) -> float:
        if self._state.motion.any():
            return _PUSHED_SILENCE_S
        return _HELD_SILENCE_S if self._is_held else float("inf")

    def _take_reports(self, timeout_s: float, before: int) -> int:
        """Take all reports that are there; return the buttons that went down meanwhile."""
        pressed = 0
        timeout_ms = max(1, round(1000 * timeout_s))
        for _ in range(_MOST_REPORTS_AT_ONCE):
            try:
                report = bytes(self._device.read(_LARGEST_REPORT, timeout_ms))
            except OSError as error:
                raise TeleopError(f"the SpaceMouse was unplugged ({error})") from error
            if not report:
                break
            if self._state.take(report):
                self._heard_at_s = self._clock()
            pressed |= self._state.buttons & ~before
            before = self._state.buttons
            timeout_ms = 0
        return pressed

    def _keys_of(self, pressed: int) -> tuple[OperatorKey, ...]:
        return tuple(key for number, key in self._keys.items() if pressed >> number & 1)

    def _advise(self) -> None:
        if not self._has_advised and self._clock() - self._opened_at_s > 5.0:
            self._has_advised = True
            logger.warning(SELF_TEST.format(path=self._path))

    def _find(self) -> bytes:
        found = [info for info in self._list_hid() if info["vendor_id"] in _VENDORS]
        for info in found:
            # One device may offer several interfaces; the others report zeros or nothing.
            usage = (info["usage_page"], info["usage"])
            if usage == (_DESKTOP_PAGE, _MULTI_AXIS_CONTROLLER):
                return bytes(info["path"])
        others = ", ".join(f"{i['product_string']} ({i['vendor_id']:04x})" for i in found)
        raise TeleopError(
            f"no SpaceMouse found; other devices of its makers: {others or 'none'}. Plug it in; "
            "`lsusb` should show 256f: or 046d:c62. In a container pass /dev/hidraw* through. "
            f"If it is there, {PERMISSION_REMEDY}"
        )
