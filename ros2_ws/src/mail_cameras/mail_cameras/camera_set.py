"""All cameras of a robot together: opened, started and closed as one. No ROS."""

from collections.abc import Callable
from functools import partial

from mail_cameras.calibrated_camera import CalibratedCamera
from mail_cameras.config import CameraConfig, CameraKind, CamerasConfig
from mail_cameras.start_gate import StartGate
from mail_cameras.station import CameraStation
from mail_policy.core.devices import CameraError
from mail_policy.core.types import CameraFrame

MakeCamera = Callable[[CameraConfig, StartGate], CalibratedCamera]


class CameraSet:
    """The stations of all cameras."""

    def __init__(
        self,
        config: CamerasConfig,
        make_camera: MakeCamera,
        on_frame: Callable[[CameraStation, CameraFrame], None],
        on_problem: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        """Describe the cameras.

        Args:
            config: The cameras.
            make_camera: Makes a closed camera.
            on_frame: Gets every usable picture, in the thread of its camera.
            on_problem: Gets a text for the operator.
            now: Clock of the observations [s].
        """
        gate = StartGate(config.start_spacing_s)
        self._on_frame, self._on_problem = on_frame, on_problem
        self.stations = tuple(
            self._make_station(camera, partial(make_camera, camera, gate), now)
            for camera in config.cameras
        )

    def open(self, *, require_all: bool) -> None:
        """Open all cameras in order.

        Args:
            require_all: Refuse if any is missing; otherwise missing ones are waited for.

        Raises:
            CameraError: Names all cameras that are missing, and why.
        """
        problems = []
        for station in self.stations:
            try:
                station.open()
            except CameraError as error:
                problems.append(str(error))
        if problems and require_all:
            self.close()
            raise CameraError("; ".join(problems))
        for problem in problems:
            self._on_problem(f"starts without it, and opens it as soon as it is there: {problem}")

    def start(self) -> None:
        """Begin to deliver pictures."""
        for station in self.stations:
            station.start()

    def stop(self) -> None:
        """Stop to deliver pictures; the cameras stay open. Harmless when not started."""
        for station in self.stations:
            station.stop()

    def close(self) -> None:
        """Close all cameras. Harmless when not open."""
        for station in self.stations:
            station.close()

    def _make_station(
        self,
        config: CameraConfig,
        make_camera: Callable[[], CalibratedCamera],
        now: Callable[[], float],
    ) -> CameraStation:
        def hand_on(frame: CameraFrame) -> None:
            self._on_frame(station, frame)

        station = CameraStation(config, make_camera, hand_on, self._on_problem, now)
        return station


def require_real_time(config: CamerasConfig, is_simulated_time: bool) -> None:
    """Refuse devices under a simulated clock, which may stop (row F11 of the fault table)."""
    devices = [c.name for c in config.cameras if c.driver is CameraKind.REALSENSE]
    if devices and is_simulated_time:
        raise CameraError(
            f"use_sim_time is set, but {', '.join(devices)} are real cameras, whose stamps are on "
            f"the computer's clock; unset it, or use the cameras of the twin"
        )
