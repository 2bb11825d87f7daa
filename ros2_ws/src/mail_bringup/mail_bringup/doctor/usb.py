"""Where RealSense cameras sit on the USB bus, as the kernel sees it."""

import re
from dataclasses import dataclass
from pathlib import Path

from mail_bringup.doctor.machine import Machine

# In the name that every camera of the family gives itself.
_FAMILY = "RealSense"
_PCI = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]")
_RULES = tuple(
    f"{place}/udev/rules.d/*realsense*" for place in ("etc", "lib", "usr/lib", "usr/local/lib")
)


@dataclass(frozen=True, kw_only=True, slots=True)
class UsbCamera:
    """One camera on the bus.

    Attributes:
        serial: Of its chip; not the one that is printed on the camera.
        speed_mbit: 5000 and more on USB 3, 480 on USB 2.
        controller: Which USB controller of the machine it hangs on.
    """

    serial: str
    speed_mbit: int
    controller: str


def find_cameras(machine: Machine) -> tuple[UsbCamera, ...]:
    """Return the RealSense cameras on the bus."""
    return tuple(
        UsbCamera(
            serial=machine.text(folder / "serial"),
            speed_mbit=int(float(machine.text(folder / "speed") or 0)),
            controller=_controller(folder),
        )
        for folder in machine.paths("sys/bus/usb/devices/*")
        if _FAMILY in machine.text(folder / "product")
    )


def has_rules(machine: Machine) -> bool:
    """Whether udev lets users open RealSense cameras."""
    return any(machine.paths(pattern) for pattern in _RULES)


def _controller(folder: Path) -> str:
    """Return the innermost PCI device above a USB device; "" if there is none."""
    found = _PCI.findall(str(folder.resolve()))
    return found[-1] if found else ""
