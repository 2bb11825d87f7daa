"""The thread of one device: reads it, and opens it again when it was lost."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from mail_policy.core.devices import DeviceError

_LOGGER = logging.getLogger(__name__)
_STOP_LIMIT_S = 5.0

ReadingT = TypeVar("ReadingT")
ReadingT_co = TypeVar("ReadingT_co", covariant=True)


class Readable(Protocol[ReadingT_co]):
    """A device that is read, used as a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def read(self, timeout_s: float) -> ReadingT_co | None:
        """Wait for news; None if there are none. Raises DeviceError if the device has gone."""
        ...


DeviceT = TypeVar("DeviceT")


@dataclass(frozen=True, kw_only=True, slots=True)
class DevicePace:
    """How patiently a device is read.

    Attributes:
        read_limit_s: Longest wait for news [s].
        first_retry_s: Pause before a lost device is opened again [s].
        last_retry_s: Pauses double up to this one, so that a device that stays away does not keep
            its bus busy [s].
    """

    read_limit_s: float
    first_retry_s: float
    last_retry_s: float = 2.0


class DeviceThread(Generic[ReadingT]):
    """Owns one device and, between `start` and `stop`, the thread that reads it.

    Args:
        make: Opens the device: it returns one that has been entered. Called again after a loss.
        on_reading: Gets what was read, None for no news, in the thread; may raise DeviceError to
            have the device opened again.
        on_problem: Gets a text for the operator when the device is lost or cannot be opened.
        pace: How patiently it is read.
    """

    def __init__(
        self,
        make: Callable[[], Readable[ReadingT]],
        on_reading: Callable[[ReadingT | None], None],
        on_problem: Callable[[str], None],
        pace: DevicePace,
    ) -> None:
        self._make, self._on_reading, self._on_problem = make, on_reading, on_problem
        self._pace = pace
        self._device: Readable[ReadingT] | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._retry_s = pace.first_retry_s

    def open(self) -> None:
        """Open the device. Raises DeviceError if it is not there."""
        self._device = self._make()

    def start(self) -> None:
        """Begin to read; what came before is forgotten."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="device", daemon=True)
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
        self._close_device()

    def _run(self) -> None:
        try:
            self._forget_the_past()
            while not self._stop.is_set():
                self._read_or_reopen()
        except Exception as error:  # The top of this thread.
            _LOGGER.exception("the thread of a device failed")
            self._on_problem(f"the thread of a device failed: {error}")

    def _forget_the_past(self) -> None:
        try:
            if self._device is not None:
                self._device.read(0.0)
        except DeviceError as error:
            self._lose(error)

    def _read_or_reopen(self) -> None:
        try:
            if self._device is None:
                self.open()
                return
            reading = self._device.read(self._pace.read_limit_s)
            if reading is not None:
                self._retry_s = self._pace.first_retry_s
            if not self._stop.is_set():
                self._on_reading(reading)
        except DeviceError as error:
            self._lose(error)

    def _lose(self, error: DeviceError) -> None:
        self._on_problem(str(error))
        self._close_device()
        self._stop.wait(self._retry_s)
        self._retry_s = min(2.0 * self._retry_s, self._pace.last_retry_s)

    def _close_device(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            device.__exit__(None, None, None)
