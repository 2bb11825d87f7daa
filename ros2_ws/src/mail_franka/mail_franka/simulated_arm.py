"""An arm and a hand that obey at once, for tests without a robot."""

from collections.abc import Callable
from typing import Self

import numpy as np

from mail_policy.core.devices import ArmError
from mail_policy.core.frames import Array
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_policy.core.types import NUM_JOINTS, ArmReading, GripperReading, JointSetPoint


class SimulatedArm:
    """Reaches every set-point immediately; its clock is the caller's.

    Args:
        clock_s: The robot's clock [s].
        start: Joint positions [rad], shape (7,).
    """

    def __init__(self, clock_s: Callable[[], float], start: Array = HOME_JOINT_POSITIONS) -> None:
        self._clock_s = clock_s
        self._positions = start.copy()
        self._velocities = np.zeros(NUM_JOINTS)
        self._in_control = False
        self._is_open = False
        # Set by tests.
        self.mode = ""
        self.errors: tuple[str, ...] = ()
        self.is_linked = True
        self.recovers = True

    def __enter__(self) -> Self:
        """Connect. Raises ArmError while the link is cut."""
        if not self.is_linked:
            raise ArmError("the simulated link is cut")
        self._is_open = True
        return self

    def __exit__(self, *error: object) -> None:
        """Come to rest and disconnect."""
        self.release_control()
        self._is_open = False

    def read(self) -> ArmReading:
        """Return the state. Raises ArmError while the link is cut."""
        if not (self.is_linked and self._is_open):
            raise ArmError("the simulated link is cut")
        return ArmReading(
            robot_time_s=self._clock_s(),
            joint_positions=self._positions.copy(),
            joint_velocities=self._velocities.copy(),
            commanded_joint_positions=self._positions.copy(),
            commanded_joint_velocities=self._velocities.copy(),
            external_torques=np.zeros(NUM_JOINTS),
            transform_tcp_to_base=forward_kinematics(self._positions),
            mode=self.mode or ("move" if self._in_control else "idle"),
            errors=self.errors,
            in_control=self._in_control,
            success_rate=1.0,
        )

    def take_control(self) -> None:
        """Start to obey. Raises ArmError while the robot reports errors."""
        if self.errors or not self._is_open:
            raise ArmError(f"the robot refused: errors {self.errors}")
        self._in_control = True

    def follow(self, set_point: JointSetPoint) -> None:
        """Jump to a set-point. Raises ArmError if the arm is not in control."""
        if not self._in_control:
            raise ArmError("the arm is not in control; take control first")
        self._positions = set_point.positions.copy()
        self._velocities = set_point.velocities.copy()

    def release_control(self) -> None:
        """Stop to obey."""
        self._in_control = False
        self._velocities = np.zeros(NUM_JOINTS)

    def recover(self) -> bool:
        """Leave the error state, unless told to refuse."""
        if self.recovers:
            self.mode, self.errors = "", ()
        return self.recovers


class SimulatedGripper:
    """Reaches every width immediately.

    Args:
        clock_s: Stamps readings [s].
        object_width_m: Width of what lies between the fingers [m]; 0 for nothing.
    """

    def __init__(self, clock_s: Callable[[], float], object_width_m: float = 0.0) -> None:
        self._clock_s = clock_s
        self._object_width_m = object_width_m
        self._width_m = 0.08
        self._is_grasped = False
        self.commands: list[str] = []

    def __enter__(self) -> Self:
        """Open nothing."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close nothing."""

    def read(self) -> GripperReading:
        """Return the state."""
        return GripperReading(self._clock_s(), self._width_m, 0.08, self._is_grasped)

    def move(self, width_m: float, speed_m_s: float) -> bool:
        """Jump to a width."""
        self.commands.append("move")
        self._width_m, self._is_grasped = width_m, False
        return True

    def grasp(self, force_n: float, speed_m_s: float) -> bool:
        """Close onto the object."""
        self.commands.append("grasp")
        self._width_m = self._object_width_m
        self._is_grasped = self._object_width_m > 0.0
        return self._is_grasped

    def stop(self) -> None:
        """Do nothing: the fingers never move slowly."""
        self.commands.append("stop")
