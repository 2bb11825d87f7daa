"""One controller per robot on this machine: the second one is refused before it connects."""

from typing import Self

from mail_policy.core.devices import ArmError
from mail_policy.core.name_lock import try_hold


class RobotClaim:
    """The right to control the robot at an address, held until this process ends at the latest.

    Args:
        address: IP address or name of the robot.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> Self:
        """Take it. Raises ArmError if another program has it."""
        lock = try_hold(f"arm/{self._address}")
        if lock is None:
            raise ArmError(
                f"another arm node on this machine controls {self._address}; end it first, see "
                "mailctl status"
            )
        self._lock = lock
        return self

    def __exit__(self, *error: object) -> None:
        """Give it back."""
        self._lock.close()
