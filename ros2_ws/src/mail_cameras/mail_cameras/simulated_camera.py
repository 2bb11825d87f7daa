"""A camera without a world: a moving test picture at an exact rate. For tests and dry runs."""

from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mail_cameras.config import CameraConfig, CameraIntrinsics
from mail_policy.core.devices import CameraError
from mail_policy.core.types import CameraFrame


class SimulatedCamera:
    """Takes a picture at every whole multiple of its period on the clock that it is given."""

    def __init__(
        self, config: CameraConfig, now: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        """Describe the camera.

        Args:
            config: Size and rate of the pictures.
            now: Clock of the observations [s].
            sleep: Waits so many seconds of that clock.
        """
        self._config, self._now, self._sleep = config, now, sleep
        self._last_sequence: int | None = None
        self._is_open = False

    def __enter__(self) -> Self:
        self._is_open = True
        self._last_sequence = self._newest_sequence() - 1
        return self

    def __exit__(self, *error: object) -> None:
        self._is_open = False

    @property
    def intrinsics(self) -> CameraIntrinsics:
        """A plausible pinhole of 60 degrees."""
        focal_px = 0.5 * self._config.image_width / np.tan(np.pi / 6)
        return CameraIntrinsics(
            focal_x_px=focal_px,
            focal_y_px=focal_px,
            centre_x_px=(self._config.image_width - 1) / 2,
            centre_y_px=(self._config.image_height - 1) / 2,
        )

    def read(self, timeout_s: float) -> CameraFrame | None:
        """Wait for a picture newer than the last one returned; None if none came in time."""
        if not self._is_open or self._last_sequence is None:
            raise CameraError(f"camera {self._config.name!r} is not open")
        if self._newest_sequence() <= self._last_sequence:
            due_s = (self._last_sequence + 1) / self._config.rate_hz
            wait_s = due_s - self._now()
            self._sleep(max(0.0, min(wait_s, timeout_s)))
            if self._newest_sequence() <= self._last_sequence:
                return None
        self._last_sequence = self._newest_sequence()
        captured_at_s = self._last_sequence / self._config.rate_hz
        image = self._draw(self._last_sequence)
        return CameraFrame(image, captured_at_s, self._now(), self._last_sequence)

    def _newest_sequence(self) -> int:
        # The nudge keeps whole multiples exact: 0.3 * 10 is 2.999... in floating point.
        return int(self._now() * self._config.rate_hz + 1e-6)

    def _draw(self, sequence: int) -> NDArray[np.uint8]:
        rows = np.arange(self._config.image_height)[:, None]
        columns = np.arange(self._config.image_width)[None, :]
        layers = [rows + columns + sequence, rows - sequence + 0 * columns, columns + 0 * rows]
        return (np.stack(layers, axis=-1) % 256).astype(np.uint8)
