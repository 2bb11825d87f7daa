"""Chooses the driver of a camera; vendor libraries are imported only where they are used."""

import time
from collections.abc import Callable

from mail_cameras.calibrated_camera import CalibratedCamera
from mail_cameras.config import CameraConfig, CameraKind
from mail_cameras.simulated_camera import SimulatedCamera
from mail_cameras.stamp_clock import DeviceClock
from mail_cameras.start_gate import StartGate
from mail_cameras.twin_driver import TwinCamera
from mail_policy.core.devices import CameraError


def make_camera(
    config: CameraConfig, run_id: str, now: Callable[[], float], gate: StartGate
) -> CalibratedCamera:
    """Return a closed camera.

    Args:
        config: The camera.
        run_id: Name of the run, under which a twin offers its pictures.
        now: Clock of the observations [s].
        gate: Keeps devices from starting at the same time.

    Raises:
        CameraError: The vendor's library is not installed.
    """
    match config.driver:
        case CameraKind.TWIN:
            return TwinCamera(config, run_id, now)
        case CameraKind.SIMULATED:
            return SimulatedCamera(config, now, time.sleep)
        case CameraKind.REALSENSE | CameraKind.PLAYBACK:
            return _make_realsense(config, now, gate)


def _make_realsense(
    config: CameraConfig, now: Callable[[], float], gate: StartGate
) -> CalibratedCamera:
    try:
        from mail_cameras.realsense_driver import RealSenseCamera
        from mail_cameras.realsense_live_driver import LivePipeline
        from mail_cameras.realsense_playback_driver import PlaybackSource
    except ImportError as error:
        raise CameraError(
            f"camera {config.name!r} needs the library of RealSense ({error}); "
            f"install it with: pip install pyrealsense2==2.59.1.11053"
        ) from error
    if config.driver is CameraKind.PLAYBACK:
        recording = PlaybackSource(config, now, time.sleep)
        return RealSenseCamera(config, now, recording, recording)
    clock = DeviceClock(config.name, config.transport_latency_s)
    return RealSenseCamera(config, now, LivePipeline(config, gate.wait_turn), clock)
