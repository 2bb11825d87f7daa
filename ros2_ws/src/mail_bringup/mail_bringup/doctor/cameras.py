"""Are the cameras of the camera file there, on USB 3, and may we open them?"""

import json
import sys
from collections import Counter
from dataclasses import dataclass

from mail_bringup.doctor.finding import Finding, failure, ok, warning
from mail_bringup.doctor.machine import Machine, output_of
from mail_bringup.doctor.usb import UsbCamera, find_cameras, has_rules
from mail_cameras.config import CameraConfig, CameraKind
from mail_cameras.found_camera import FoundCamera
from mail_policy.core.config import build_config

_LISTING = (sys.executable, "-m", "mail_cameras.realsense_listing_driver")
_LISTING_LIMIT_S = 5.5
_USB_3_MBIT = 5000
_RULES_URL = (
    "https://raw.githubusercontent.com/IntelRealSense/librealsense/master/config/"
    "99-realsense-libusb.rules"
)
_RULES_REMEDY = (
    f"sudo wget -P /etc/udev/rules.d {_RULES_URL}; sudo udevadm control --reload-rules; "
    "sudo udevadm trigger; then unplug and plug in"
)


_SERIAL_REMEDY = "write the serial that is printed on it into the camera file"


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraFacts:
    """Cameras as the bus and the SDK see them.

    Attributes:
        on_bus: What the kernel sees.
        found: What the SDK can open; None if it did not answer.
        has_rules: Rules of udev for RealSense are installed.
    """

    on_bus: tuple[UsbCamera, ...]
    found: tuple[FoundCamera, ...] | None
    has_rules: bool


def gather(machine: Machine) -> CameraFacts:
    """Look at the bus, and ask the SDK in a process of its own."""
    answer = output_of(_LISTING, _LISTING_LIMIT_S)
    return CameraFacts(
        on_bus=find_cameras(machine),
        found=None if answer is None else parse_listing(answer),
        has_rules=has_rules(machine),
    )


def parse_listing(answer: str) -> tuple[FoundCamera, ...]:
    """Read what the listing program printed. Raises ValueError if it is something else."""
    return tuple(build_config(FoundCamera, item, "listing") for item in json.loads(answer))


def judge(facts: CameraFacts, wanted: tuple[CameraConfig, ...]) -> list[Finding]:
    """Judge the cameras that a camera file names; those of a twin need nothing."""
    cameras = [camera for camera in wanted if camera.driver is CameraKind.REALSENSE]
    if not cameras:
        return [ok("cameras", "the camera file names none on the USB bus")]
    if facts.found is None:
        return [
            failure(
                "cameras",
                "the RealSense SDK gave no answer",
                "a list of cameras",
                "pip install pyrealsense2==2.59.1.11053; if it is there, unplug and plug in",
            )
        ]
    findings = [
        finding for camera in cameras for finding in _judge_camera(camera, facts, facts.found)
    ]
    return [*findings, *_judge_bus(facts), _judge_rules(facts)]


def _judge_camera(
    camera: CameraConfig, facts: CameraFacts, found: tuple[FoundCamera, ...]
) -> list[Finding]:
    name = f"camera-{camera.name}"
    device = next((device for device in found if device.serial == camera.serial), None)
    if device is None:
        return [_missing(name, camera, facts, found)]
    findings = [*_judge_port(name, device, facts), *_judge_device(name, device)]
    return findings or [ok(name, f"{device.model}, serial {device.serial}")]


def _missing(
    name: str, camera: CameraConfig, facts: CameraFacts, found: tuple[FoundCamera, ...]
) -> Finding:
    wanted = f"serial {camera.serial}, as the camera file says"
    if len(facts.on_bus) > len(found):
        sees = f"{len(facts.on_bus)} RealSense on the bus, the SDK may open {len(found)}"
        return failure(name, sees, wanted, _RULES_REMEDY)
    if not found:
        remedy = f"plug it into a USB 3 port with its own cable; {_SERIAL_REMEDY}"
        return failure(name, "no RealSense on the bus", wanted, remedy)
    serials = ", ".join(device.serial for device in found)
    return failure(name, f"other cameras: {serials}", wanted, _SERIAL_REMEDY)


def _judge_port(name: str, device: FoundCamera, facts: CameraFacts) -> list[Finding]:
    ports = [port for port in facts.on_bus if port.serial == device.chip_serial]
    slow = [port for port in ports if port.speed_mbit < _USB_3_MBIT]
    if not slow:
        return []
    found = f"connected with {slow[0].speed_mbit} Mbit/s"
    remedy = "use a blue USB 3 port and the cable that came with the camera"
    return [failure(name, found, "USB 3, 5000 Mbit/s", remedy, is_waivable=True)]


def _judge_device(name: str, device: FoundCamera) -> list[Finding]:
    findings = []
    if device.wanted_firmware and device.firmware != device.wanted_firmware:
        findings.append(
            warning(
                name,
                f"firmware {device.firmware}",
                f"{device.wanted_firmware}, which this SDK recommends",
                "update it with rs-fw-update or realsense-viewer",
            )
        )
    if not device.has_global_time:
        findings.append(
            warning(
                name,
                "its stamps come from its own clock",
                "global time of the SDK",
                "measure its latency: mailctl calibrate latency, and set transport_latency_s",
            )
        )
    return findings


def _judge_bus(facts: CameraFacts) -> list[Finding]:
    counts = Counter(port.controller for port in facts.on_bus if port.controller)
    return [
        warning(
            "usb",
            f"{count} cameras share the USB controller {controller}",
            "one controller per camera",
            "use ports of another controller (lsusb -t shows them), or a USB card with several",
        )
        for controller, count in counts.items()
        if count > 1
    ]


def _judge_rules(facts: CameraFacts) -> Finding:
    if facts.has_rules:
        return ok("udev", "rules for RealSense are installed")
    wanted = "rules that let users open RealSense cameras"
    return warning("udev", "no rules for RealSense", wanted, _RULES_REMEDY)
