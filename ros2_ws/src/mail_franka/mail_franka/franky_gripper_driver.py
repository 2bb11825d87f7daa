"""The Franka Hand behind franky. Its commands block; only `stop` interrupts them."""

from collections.abc import Callable
from typing import Any, Self

import franky

from mail_franka.franky_driver import connect, explain
from mail_policy.core.devices import ArmError, DeviceError
from mail_policy.core.types import GripperReading

_FAULTS = (franky.Exception, RuntimeError)
# A hand that closed on nothing says that it grasped; the width tells the truth [m].
_NOTHING_M = 0.005
_EPSILON_M = 0.08


class FrankyGripper:
    """The hand.

    Reading and commanding may use one thread each.

    Args:
        address: IP address or name of the robot.
        connect_timeout_s: Longest wait for a connection [s].
        clock_s: Stamps readings [s].
    """

    def __init__(
        self, address: str, connect_timeout_s: float, clock_s: Callable[[], float]
    ) -> None:
        self._address = address
        self._connect_timeout_s = connect_timeout_s
        self._clock_s = clock_s
        self._gripper: Any = None

    def __enter__(self) -> Self:
        """Connect. Raises DeviceError with the remedy."""
        try:
            self._gripper = connect(
                lambda: franky.Gripper(self._address), self._address, self._connect_timeout_s
            )
        except ArmError as error:
            raise DeviceError(f"gripper: {error}") from error
        return self

    def __exit__(self, *error: object) -> None:
        """Disconnect; the fingers stay where they are."""
        self._gripper = None

    def read(self) -> GripperReading:
        """Return the current width and grasp state."""
        try:
            state = self._open().state
        except _FAULTS as error:
            raise DeviceError(f"gripper: {explain(error, self._address)}") from error
        return GripperReading(
            read_at_s=self._clock_s(),
            width_m=float(state.width),
            max_width_m=float(state.max_width),
            is_grasped=bool(state.is_grasped),
        )

    def move(self, width_m: float, speed_m_s: float) -> bool:
        """Move the fingers to a width without expecting an object; True if they got there."""
        return self._command(lambda gripper: gripper.move(width_m, speed_m_s))

    def grasp(self, force_n: float, speed_m_s: float) -> bool:
        """Close onto whatever is there; True if the fingers stopped on an object."""
        done = self._command(
            lambda gripper: gripper.grasp(0.0, speed_m_s, force_n, epsilon_outer=_EPSILON_M)
        )
        return done and self.read().width_m > _NOTHING_M

    def stop(self) -> None:
        """Stop the fingers where they are."""
        self._command(lambda gripper: gripper.stop())

    def _command(self, call: Callable[[Any], Any]) -> bool:
        """Run a command. A hand that could not is an answer, a lost link is an error."""
        try:
            return bool(call(self._open()))
        except franky.CommandException:
            return False
        except _FAULTS as error:
            raise DeviceError(f"gripper: {explain(error, self._address)}") from error

    def _open(self) -> Any:
        if self._gripper is None:
            raise DeviceError(f"not connected to the gripper of {self._address}")
        return self._gripper
