"""Lists the RealSense cameras on the bus without opening a stream.

As a program it prints them as JSON: whoever only wants to look starts it, so that a hanging or
crashing SDK takes nothing else along.
"""

import dataclasses
import json
import sys
from typing import Any

import pyrealsense2 as rs

from mail_cameras.found_camera import FoundCamera
from mail_cameras.realsense_context_driver import sdk_context


def list_cameras(context: Any) -> list[FoundCamera]:
    """Return the cameras that an SDK context sees."""
    return [_describe(device) for device in context.query_devices()]


def _describe(device: Any) -> FoundCamera:
    option = rs.option.global_time_enabled
    return FoundCamera(
        serial=_info(device, rs.camera_info.serial_number),
        chip_serial=_info(device, rs.camera_info.asic_serial_number),
        model=_info(device, rs.camera_info.name),
        firmware=_info(device, rs.camera_info.firmware_version),
        wanted_firmware=_info(device, rs.camera_info.recommended_firmware_version),
        has_global_time=any(sensor.supports(option) for sensor in device.query_sensors()),
    )


def _info(device: Any, key: Any) -> str:
    return str(device.get_info(key)) if device.supports(key) else ""


if __name__ == "__main__":
    found = [dataclasses.asdict(camera) for camera in list_cameras(sdk_context())]
    sys.stdout.write(json.dumps(found))
