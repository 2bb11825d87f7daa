"""One camera as the node sees it: its driver's thread, its health, its last problem. No ROS."""

import time
from collections.abc import Callable

from mail_cameras.calibrated_camera import CalibratedCamera
from mail_cameras.clock_step import ClockStepDetector
from mail_cameras.config import CameraConfig, CameraIntrinsics, CameraKind
from mail_cameras.health import CameraHealth, Verdict
from mail_cameras.report import CameraReport, CameraView, report_on
from mail_policy.core.device_thread import DevicePace, DeviceThread
from mail_policy.core.devices import CameraError
from mail_policy.core.types import CameraFrame

# A device that is back is open well within 10 s (F1).
_PACE = DevicePace(read_limit_s=0.2, first_retry_s=0.25)
# So long a faulty camera may take to mend itself before it is opened again [s].
_REOPEN_AFTER_S = 2.0
# Calibrations of one camera agree far better; other lenses and other sizes differ by more.
_FOCAL_TOLERANCE = 0.05
_NOT_CALIBRATED = CameraIntrinsics(focal_x_px=0.0, focal_y_px=0.0, centre_x_px=0.0, centre_y_px=0.0)


class CameraStation:
    """Reads a camera in its own thread and hands on the pictures that may be used."""

    def __init__(
        self,
        config: CameraConfig,
        make_camera: Callable[[], CalibratedCamera],
        on_frame: Callable[[CameraFrame], None],
        on_problem: Callable[[str], None],
        now: Callable[[], float],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describe the camera.

        Args:
            config: The camera.
            make_camera: Makes a closed camera.
            on_frame: Gets every usable picture, in the camera's thread.
            on_problem: Gets a text for the operator, in the camera's thread.
            now: Clock of the observations [s].
            steady: A clock that nobody can set [s]; all waiting is measured on it (F10, F11).
        """
        self.config = config
        self.intrinsics = config.intrinsics or _NOT_CALIBRATED
        self._on_usable_frame, self._warn = on_frame, on_problem
        self._steady = steady
        # Only a device is stamped by the computer's clock; simulated time may do as it likes.
        is_device = config.driver is CameraKind.REALSENSE
        self._clock_steps = ClockStepDetector(now, steady) if is_device else None
        self._make_camera = make_camera
        self._thread = DeviceThread(self._open_camera, self._on_frame, self._on_problem, _PACE)
        self._health = CameraHealth(config)
        self._counts_before = self._health.counts
        self._has_delivered = False
        self._problem = ""
        self._usable_at_s = steady()

    def open(self) -> None:
        """Open the camera. Raises CameraError if it is not there or not the configured one."""
        self._thread.open()

    def start(self) -> None:
        """Begin to deliver pictures and to count anew; a missing camera is waited for."""
        self._health = CameraHealth(self.config)
        self._counts_before = self._health.counts
        self._has_delivered = False
        self._problem = ""
        self._usable_at_s = self._steady()
        self._thread.start()

    def stop(self) -> None:
        """Stop to deliver pictures."""
        self._thread.stop()

    def close(self) -> None:
        """Stop, and close the camera."""
        self._thread.close()

    def report(self) -> CameraReport:
        """Judge the time since the last report."""
        counts, before = self._health.counts, self._counts_before
        self._counts_before = counts
        return report_on(
            CameraView(
                counts=counts,
                counts_before=before,
                silent_for_s=self._steady() - self._usable_at_s,
                rate_hz=self._health.rate_hz,
                is_slow=self._health.is_slow,
                problem=self._problem,
            )
        )

    def _open_camera(self) -> CalibratedCamera:
        camera = self._make_camera().__enter__()
        try:
            self._on_open(camera.intrinsics)
        except CameraError:
            camera.__exit__(None, None, None)
            raise
        return camera

    def _on_open(self, intrinsics: CameraIntrinsics) -> None:
        calibrated = self.config.intrinsics
        if calibrated is not None:
            _require_same_optics(self.config.name, calibrated, intrinsics)
        self.intrinsics = calibrated or intrinsics
        self._usable_at_s = self._steady()
        if self._has_delivered:
            self._health.note_reopening()

    def _on_frame(self, frame: CameraFrame | None) -> None:
        if frame is None:
            return
        self._has_delivered = True
        step_s = self._clock_steps.look() if self._clock_steps else 0.0
        if step_s:
            # The SDK follows the computer's clock only slowly: until then, stamps would be wrong.
            raise CameraError(
                f"the clock of this computer was set by {step_s:+.3f} s; camera "
                f"{self.config.name!r} is opened again so that its stamps follow"
            )
        verdict = self._health.judge(frame)
        if verdict is Verdict.USABLE:
            self._problem = ""
            self._usable_at_s = self._steady()
            self._on_usable_frame(frame)
            return
        unusable_s = self._steady() - self._usable_at_s
        self._on_problem(
            f"camera {self.config.name!r}: dropped a picture, it {verdict.value}; the last usable "
            f"one came {unusable_s:.1f} s ago"
        )
        if verdict.reopening_may_help and unusable_s > _REOPEN_AFTER_S:
            raise CameraError(f"camera {self.config.name!r} is opened again: it {verdict.value}")

    def _on_problem(self, problem: str) -> None:
        self._problem = problem
        self._warn(problem)


def _require_same_optics(name: str, calibrated: CameraIntrinsics, found: CameraIntrinsics) -> None:
    for key in ("focal_x_px", "focal_y_px"):
        expected, got = getattr(calibrated, key), getattr(found, key)
        if abs(got - expected) > _FOCAL_TOLERANCE * expected:
            raise CameraError(
                f"camera {name!r}: the calibration in the camera file has {key} {expected:.1f}, "
                f"the device says {got:.1f}; it belongs to another camera or to another size: "
                f"check the serials, or calibrate again"
            )
