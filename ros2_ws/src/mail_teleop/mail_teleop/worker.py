"""The thread of one device: reads it, and opens it again when it was lost."""

import logging
import threading
from collections.abc import Callable

from mail_teleop.device import TeleopDevice, TeleopError
from mail_teleop.readings import DeviceReading

logger = logging.getLogger(__name__)

_READ_LIMIT_S = 0.02
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.1, 2.0
_STOP_LIMIT_S = 5.0


class DeviceWorker:
    """Owns one open device and, between `start` and `stop`, the thread that reads it."""

    def __init__(
        self,
        make_device: Callable[[], TeleopDevice],
        on_reading: Callable[[DeviceReading | None], None],
        on_loss: Callable[[str], None],
    ) -> None:
        """Describe the work.

        Args:
            make_device: Makes a closed device; called again after a loss.
            on_reading: Gets every reading, None for an unknown state, in the worker's thread.
            on_loss: Gets a text for the operator when the device is lost or cannot be opened.
        """
        self._make_device, self._on_reading, self._on_loss = make_device, on_reading, on_loss
        self._device: TeleopDevice | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._retry_s = _FIRST_RETRY_S

    def open(self) -> None:
        """Open the device. Raises TeleopError if it is not there."""
        self._device = self._make_device().__enter__()

    def start(self) -> None:
        """Begin to read; what was pressed before is forgotten."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="teleop device", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; the device stays open. Harmless when not started."""
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join(_STOP_LIMIT_S)
        self._thread = None

    def close(self) -> None:
        """Stop reading and close the device. Harmless when not open."""
        self.stop()
        device, self._device = self._device, None
        if device is not None:
            device.__exit__(None, None, None)

    def _run(self) -> None:
        try:
            self._forget_what_was_pressed()
            while not self._stop.is_set():
                self._read_or_reopen()
        except Exception as error:  # The top of this thread.
            logger.exception("the thread of the device failed")
            self._on_loss(f"the thread of the device failed: {error}")

    def _forget_what_was_pressed(self) -> None:
        try:
            if self._device is not None:
                self._device.read(0.0)
        except TeleopError as error:
            self._lose(error)

    def _read_or_reopen(self) -> None:
        try:
            if self._device is None:
                self.open()
                return
            reading = self._device.read(_READ_LIMIT_S)
        except TeleopError as error:
            self._lose(error)
            self._stop.wait(self._retry_s)
            self._retry_s = min(2.0 * self._retry_s, _LONGEST_RETRY_S)
            return
        if reading is not None:
            self._retry_s = _FIRST_RETRY_S
        if not self._stop.is_set():
            self._on_reading(reading)

    def _lose(self, error: TeleopError) -> None:
        self._on_loss(str(error))
        device, self._device = self._device, None
        if device is not None:
            device.__exit__(None, None, None)
