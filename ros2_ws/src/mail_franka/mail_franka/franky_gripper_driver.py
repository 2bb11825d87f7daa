"""The Franka Hand behind franky. Its commands block; only `stop` interrupts them."""

from collections.abc import Callable
from typing import Any, Self

import franky

from mail_franka.franky_driver import connect, explain
from mail_policy.core.devices import ArmError, DeviceError, GraspGoal, MoveGoal
from mail_policy.core.types import GripperReading

_FAULTS = (franky.Exception, RuntimeError)
# A hand that closed on nothing says that it grasped; the width tells the truth [m].
_NOTHING_M = 0.005


class FrankyGripper:
    """The hand.

    Reading, commanding and stopping may use one thread each.

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

    def move(self, goal: MoveGoal) -> bool:
        """Move the fingers without expecting an object; True if they got there."""
        return self._command(lambda gripper: gripper.move(goal.width_m, goal.speed_m_s))

    def grasp(self, goal: GraspGoal) -> bool:
        """Close onto an object; True if the fingers stopped on one of the expected width."""
        done = self._command(
            lambda gripper: gripper.grasp(
                goal.width_m,
                goal.speed_m_s,
                goal.force_n,
                epsilon_inner=goal.epsilon_inner_m,
                epsilon_outer=goal.epsilon_outer_m,
            )
        )
        return done and (goal.width_m > 0.0 or self.read().width_m > _NOTHING_M)

    def homing(self) -> bool:
        """Close and open fully to learn the largest width; True if it is known now."""
        return self._command(lambda gripper: gripper.homing())

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
