"""The thread of one camera: reads pictures, and opens the camera again when it was lost."""

import logging
import threading
from collections.abc import Callable

from mail_cameras.calibrated_camera import CalibratedCamera
from mail_cameras.config import CameraIntrinsics
from mail_policy.core.devices import CameraError
from mail_policy.core.types import CameraFrame

logger = logging.getLogger(__name__)

_READ_LIMIT_S = 0.2
# Waits between attempts to open a lost camera double from the first to the last: a device that
# is back is open well within 10 s (F1), and one that stays away does not keep the bus busy.
_FIRST_RETRY_S = 0.25
_LAST_RETRY_S = 2.0
_STOP_LIMIT_S = 5.0


class CameraWorker:
    """Owns one camera and, between `start` and `stop`, the thread that reads it."""

    def __init__(
        self,
        make_camera: Callable[[], CalibratedCamera],
        on_open: Callable[[CameraIntrinsics], None],
        on_frame: Callable[[CameraFrame], None],
        on_problem: Callable[[str], None],
    ) -> None:
        """Describe the work.

        Args:
            make_camera: Makes a closed camera; called again after a loss.
            on_open: Gets the optics each time the camera was opened; may raise CameraError to
                refuse it.
            on_frame: Gets every new picture, in the worker's thread; may raise CameraError to
                have the camera opened again.
            on_problem: Gets a text for the operator when the camera is lost or cannot be opened.
        """
        self._make_camera, self._on_open = make_camera, on_open
        self._on_frame, self._on_problem = on_frame, on_problem
        self._camera: CalibratedCamera | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._retry_s = _FIRST_RETRY_S

    def open(self) -> None:
        """Open the camera. Raises CameraError if it is not there."""
        self._camera = self._make_camera().__enter__()
        try:
            self._on_open(self._camera.intrinsics)
        except CameraError:
            self._close_camera()
            raise

    def start(self) -> None:
        """Begin to read; pictures from before are forgotten."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; the camera stays open. Harmless when not started."""
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join(_STOP_LIMIT_S)
        self._thread = None

    def close(self) -> None:
        """Stop reading and close the camera. Harmless when not open."""
        self.stop()
        self._close_camera()

    def _run(self) -> None:
        try:
            self._forget_old_pictures()
            while not self._stop.is_set():
                self._read_or_reopen()
        except Exception as error:  # The top of this thread.
            logger.exception("the camera's thread failed")
            self._on_problem(f"the camera's thread failed: {error}")

    def _forget_old_pictures(self) -> None:
        try:
            if self._camera is not None:
                self._camera.read(0.0)
        except CameraError as error:
            self._lose(error)

    def _read_or_reopen(self) -> None:
        try:
            if self._camera is None:
                self.open()
            elif (frame := self._camera.read(_READ_LIMIT_S)) is not None:
                self._retry_s = _FIRST_RETRY_S
                if not self._stop.is_set():
                    self._on_frame(frame)
        except CameraError as error:
            self._lose(error)

    def _lose(self, error: CameraError) -> None:
        self._on_problem(str(error))
        self._close_camera()
        self._stop.wait(self._retry_s)
        self._retry_s = min(2.0 * self._retry_s, _LAST_RETRY_S)

    def _close_camera(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.__exit__(None, None, None)
