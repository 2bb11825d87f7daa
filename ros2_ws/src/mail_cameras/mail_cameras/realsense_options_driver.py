"""Sets exposure, gain, white balance and the sync cable of a RealSense device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyrealsense2 as rs

from mail_cameras.config import CameraConfig, HardwareSync
from mail_policy.core.devices import CameraError

# A colour sensor counts exposure in steps of 100 us, a depth sensor in us (librealsense issues
# 8243, 6384). The colour of a D405 comes from its depth sensor.
_COLOR_EXPOSURE_STEP_US = 100.0
# librealsense: option inter_cam_sync_mode.
_SYNC_MODES = {
    HardwareSync.NONE: 0.0,
    HardwareSync.MASTER: 1.0,
    HardwareSync.SLAVE: 2.0,
    HardwareSync.FULL_SLAVE: 3.0,
}


@dataclass(frozen=True, slots=True)
class _Setting:
    """One option that the configuration asks for.

    Attributes:
        key: In the camera file.
        option: The SDK's name of it.
        value: In the unit of the camera file.
        step: The device's unit, in that of the camera file.
    """

    key: str
    option: Any
    value: float
    step: float = 1.0


def apply_options(config: CameraConfig, sensors: Sequence[Any]) -> None:
    """Set what the configuration fixes; everything else becomes automatic again.

    A device keeps options while it has power: what an earlier run fixed must be undone.

    Args:
        config: The camera.
        sensors: All sensors of its device, not streaming yet.

    Raises:
        CameraError: The device lacks an option, or refuses a value.
    """
    for sensor in sensors:
        _set_if_supported(sensor, rs.option.global_time_enabled, 1.0)
    color = _sensor_with(rs.stream.color, sensors)
    depth = _sensor_with(rs.stream.depth, sensors)
    if color is not None:
        is_fixed = config.exposure_us is not None or config.gain is not None
        _set_if_supported(color, rs.option.enable_auto_exposure, 0.0 if is_fixed else 1.0)
        is_fixed = config.white_balance_k is not None
        _set_if_supported(color, rs.option.enable_auto_white_balance, 0.0 if is_fixed else 1.0)
    is_depth = color is not None and color.is_depth_sensor()
    for setting in _color_settings(config, 1.0 if is_depth else _COLOR_EXPOSURE_STEP_US):
        _set(config, color, setting)
    mode = _SYNC_MODES[config.hardware_sync]
    if config.hardware_sync is not HardwareSync.NONE:
        _set(config, depth, _Setting("hardware_sync", rs.option.inter_cam_sync_mode, mode))
    elif depth is not None:
        _set_if_supported(depth, rs.option.inter_cam_sync_mode, mode)


def _color_settings(config: CameraConfig, exposure_step_us: float) -> list[_Setting]:
    settings = []
    if config.exposure_us is not None:
        exposure_us, option = config.exposure_us, rs.option.exposure
        settings.append(_Setting("exposure_us", option, exposure_us, exposure_step_us))
    if config.gain is not None:
        settings.append(_Setting("gain", rs.option.gain, config.gain))
    if config.white_balance_k is not None:
        temperature_k, option = config.white_balance_k, rs.option.white_balance
        settings.append(_Setting("white_balance_k", option, temperature_k))
    return settings


def _sensor_with(stream: Any, sensors: Sequence[Any]) -> Any | None:
    for sensor in sensors:
        if any(profile.stream_type() == stream for profile in sensor.get_stream_profiles()):
            return sensor
    return None


def _set_if_supported(sensor: Any, option: Any, value: float) -> None:
    if sensor.supports(option):
        sensor.set_option(option, value)


def _set(config: CameraConfig, sensor: Any | None, setting: _Setting) -> None:
    if sensor is None or not sensor.supports(setting.option):
        raise CameraError(
            f"camera {config.name!r}: this model has no {setting.option.name}, which "
            f"{setting.key} needs; remove {setting.key} from the camera file, or use a model that "
            f"has it (`rs-enumerate-devices -o` lists options)"
        )
    try:
        sensor.set_option(setting.option, float(round(setting.value / setting.step)))
    except RuntimeError as error:
        limits = sensor.get_option_range(setting.option)
        raise CameraError(
            f"camera {config.name!r} refuses {setting.key} ({error}); give a value from "
            f"{setting.step * limits.min:g} to {setting.step * limits.max:g}"
        ) from error
