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
_RETRY_S = 1.0
_STOP_LIMIT_S = 5.0


class CameraWorker:
    """Owns one open camera and, between `start` and `stop`, the thread that reads it."""

    def __init__(
        self,
        make_camera: Callable[[], CalibratedCamera],
        on_frame: Callable[[CameraFrame], None],
        on_problem: Callable[[str], None],
    ) -> None:
        """Describe the work.

        Args:
            make_camera: Makes a closed camera; called again after a loss.
            on_frame: Gets every new picture, in the worker's thread.
            on_problem: Gets a text for the operator when the camera is lost or cannot be opened.
        """
        self._make_camera, self._on_frame, self._on_problem = make_camera, on_frame, on_problem
        self._camera: CalibratedCamera | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def open(self) -> CameraIntrinsics:
        """Open the camera and return its optics. Raises CameraError if it is not there."""
        self._camera = self._make_camera().__enter__()
        return self._camera.intrinsics

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
        if self._camera is not None:
            self._camera.__exit__(None, None, None)
            self._camera = None

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
                return
            frame = self._camera.read(_READ_LIMIT_S)
        except CameraError as error:
            self._lose(error)
            self._stop.wait(_RETRY_S)
            return
        if frame is not None and not self._stop.is_set():
            self._on_frame(frame)

    def _lose(self, error: CameraError) -> None:
        self._on_problem(str(error))
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.__exit__(None, None, None)
