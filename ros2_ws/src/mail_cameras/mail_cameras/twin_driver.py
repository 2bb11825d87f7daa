"""Reads the pictures that the simulated twin offers in shared memory."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from mail_cameras.config import CameraConfig, CameraIntrinsics
from mail_policy.core.devices import CameraError
from mail_policy.core.frame_share import FrameShareError, NoOfferError, SharedFrames
from mail_policy.core.types import CameraFrame

# Between two looks at the number of the newest picture; costs less than 1 % of a core.
_POLL_S = 0.002
_POLLS_PER_CHECK = 50
_RETRY_S = 0.2


class TwinCamera:
    """A camera of the twin; the counterpart of a real one for everything downstream."""

    def __init__(
        self,
        config: CameraConfig,
        run_id: str,
        now: Callable[[], float],
        start_limit_s: float = 10.0,
    ) -> None:
        """Describe the camera.

        Args:
            config: Name and size that the pictures must have.
            run_id: Name under which the twin offers its pictures.
            now: Clock of the observations [s].
            start_limit_s: How long opening waits for a twin that is still starting [s].
        """
        self._config, self._run_id, self._now = config, run_id, now
        self._start_limit_s = start_limit_s
        self._last_sequence = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._frames = self._open(stack)
            self._require_size()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def intrinsics(self) -> CameraIntrinsics:
        """The pinhole of the rendered picture; the middle of the first pixel is (0, 0)."""
        camera = self._frames.camera
        return CameraIntrinsics(
            focal_x_px=camera.focal_length_px,
            focal_y_px=camera.focal_length_px,
            centre_x_px=(camera.layout.image_width - 1) / 2,
            centre_y_px=(camera.layout.image_height - 1) / 2,
        )

    def read(self, timeout_s: float) -> CameraFrame | None:
        """Wait for a picture newer than the last one returned; None if none came in time."""
        deadline_s = time.monotonic() + timeout_s
        polls = 0
        while True:
            if self._frames.ring.newest_sequence > self._last_sequence:
                frame = self._frames.ring.read_newest()
                if frame is not None:
                    self._last_sequence = frame.sequence
                    return CameraFrame(
                        frame.image, frame.captured_at_s, self._now(), frame.sequence
                    )
            if polls % _POLLS_PER_CHECK == 0 and self._frames.has_ended:
                raise CameraError(
                    f"camera {self._config.name!r}: the twin has ended; start it again"
                )
            polls += 1
            if time.monotonic() >= deadline_s:
                return None
            time.sleep(_POLL_S)

    def _open(self, stack: ExitStack) -> SharedFrames:
        deadline_s = time.monotonic() + self._start_limit_s
        while True:
            try:
                return stack.enter_context(SharedFrames(self._run_id, self._config.name))
            except FrameShareError as error:
                may_come = isinstance(error, NoOfferError) and time.monotonic() < deadline_s
                if not may_come:
                    raise CameraError(f"camera {self._config.name!r}: {error}") from error
            time.sleep(_RETRY_S)

    def _require_size(self) -> None:
        layout, config = self._frames.camera.layout, self._config
        if (layout.image_width, layout.image_height) != (config.image_width, config.image_height):
            raise CameraError(
                f"camera {config.name!r}: expected {config.image_width}x{config.image_height} "
                f"pixels, the twin renders {layout.image_width}x{layout.image_height}; "
                f"change the camera file or the twin's settings"
            )
