"""One controller per robot on this machine: the second one is refused before it connects."""

import socket
from typing import Self

from mail_policy.core.devices import ArmError


class RobotClaim:
    """The right to control the robot at an address, held until this process ends at the latest.

    The kernel takes it back however the process ends, so no stale lock can stay behind.

    Args:
        address: IP address or name of the robot.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> Self:
        """Take it. Raises ArmError if another program has it."""
        self._lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._lock.bind(f"\0mail/arm/{self._address}")
        except OSError as error:
            self._lock.close()
            raise ArmError(
                f"another arm node on this machine controls {self._address}; end it first, see "
                "mailctl status"
            ) from error
        return self

    def __exit__(self, *error: object) -> None:
        """Give it back."""
        self._lock.close()
