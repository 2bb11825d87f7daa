"""One camera as the node sees it: its driver's thread, its health, its last problem. No ROS."""

from collections.abc import Callable

from mail_cameras.calibrated_camera import CalibratedCamera
from mail_cameras.config import CameraConfig, CameraIntrinsics
from mail_cameras.health import CameraCounts, CameraHealth, Verdict
from mail_cameras.worker import CameraWorker
from mail_policy.core.types import CameraFrame


class CameraStation:
    """Reads a camera in its own thread and hands on the pictures that may be used."""

    def __init__(
        self,
        config: CameraConfig,
        make_camera: Callable[[], CalibratedCamera],
        on_frame: Callable[[CameraFrame], None],
        on_problem: Callable[[str], None],
    ) -> None:
        """Describe the camera.

        Args:
            config: The camera.
            make_camera: Makes a closed camera.
            on_frame: Gets every usable picture, in the camera's thread.
            on_problem: Gets a text for the operator, in the camera's thread.
        """
        self.config = config
        self._on_usable_frame, self._report = on_frame, on_problem
        self._worker = CameraWorker(make_camera, self._on_frame, self._on_problem)
        self._health = CameraHealth(config.max_age_s, config.future_tolerance_s)
        self.problem = ""

    @property
    def counts(self) -> CameraCounts:
        """What happened to the pictures since the last start."""
        return self._health.counts

    def silent_for_s(self, now_s: float) -> float:
        """Return the time since the last usable picture [s]."""
        return self._health.silent_for_s(now_s)

    def open(self) -> CameraIntrinsics:
        """Open the camera; a calibration in the configuration wins over the device's own."""
        intrinsics = self._worker.open()
        return self.config.intrinsics or intrinsics

    def start(self) -> None:
        """Begin to deliver pictures and to count anew."""
        self._health = CameraHealth(self.config.max_age_s, self.config.future_tolerance_s)
        self._worker.start()

    def stop(self) -> None:
        """Stop to deliver pictures."""
        self._worker.stop()

    def close(self) -> None:
        """Stop, and close the camera."""
        self._worker.close()

    def _on_frame(self, frame: CameraFrame) -> None:
        self.problem = ""
        verdict = self._health.judge(frame)
        if verdict is Verdict.PUBLISH:
            self._on_usable_frame(frame)
        else:
            self._report(f"camera {self.config.name!r}: dropped a picture, its {verdict.value}")

    def _on_problem(self, problem: str) -> None:
        self.problem = problem
        self._report(problem)
