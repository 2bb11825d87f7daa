"""What the rest of this package may ask of a device by which a person moves the arm."""

from typing import Protocol, Self

from mail_policy.core.device_thread import DevicePace
from mail_policy.core.devices import DeviceError
from mail_teleop.readings import DeviceReading

PACE = DevicePace(read_limit_s=0.02, first_retry_s=0.1)


class TeleopError(DeviceError):
    """A device cannot be opened, or has gone."""


class TeleopDevice(Protocol):
    """A device in a person's hand.

    Entering opens it, leaving closes it. All calls belong to one thread.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def read(self, timeout_s: float) -> DeviceReading | None:
        """Wait for news no longer than so [s], and return the state of the device.

        Returns None if the state is not known now, for example because an answer was lost. Raises
        TeleopError if the device has gone or is not open.
        """
        ...
