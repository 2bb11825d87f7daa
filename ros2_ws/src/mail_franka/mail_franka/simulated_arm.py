"""An arm and a hand that obey at once, for tests without a robot."""

import threading
from collections.abc import Callable
from typing import Self

import numpy as np

from mail_policy.core.devices import HAND_WIDTH_M, ArmError, DeviceError, GraspGoal, MoveGoal
from mail_policy.core.frames import Array
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_policy.core.types import NUM_JOINTS, ArmReading, GripperReading, JointSetPoint

# Nothing waits longer for slow fingers [s].
_WAY_S = 20.0


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
        self._width_m = HAND_WIDTH_M
        self._is_grasped = False
        self._stopped = threading.Event()
        # Seen and set by tests.
        self.commands: list[str] = []
        self.num_openings = 0
        self.goals: list[MoveGoal | GraspGoal] = []
        self.under_way = threading.Event()
        self.object_width_m = object_width_m
        self.max_width_m = HAND_WIDTH_M
        self.is_linked = True
        self.is_slow = False
        self.obeys_stop = True

    def __enter__(self) -> Self:
        """Connect. Raises DeviceError while the link is cut."""
        self.num_openings += 1
        self._require_link()
        return self

    def __exit__(self, *error: object) -> None:
        """Close nothing."""

    def read(self) -> GripperReading:
        """Return the state. Raises DeviceError while the link is cut."""
        self._require_link()
        return GripperReading(self._clock_s(), self._width_m, self.max_width_m, self._is_grasped)

    def move(self, goal: MoveGoal) -> bool:
        """Jump to a width; a slow hand gets there never, only a stop ends its way."""
        if not self._go("move", goal):
            return False
        self._width_m, self._is_grasped = goal.width_m, False
        return True

    def grasp(self, goal: GraspGoal) -> bool:
        """Close onto the object, if there is one."""
        if not self._go("grasp", goal):
            return False
        self._width_m = max(goal.width_m, self.object_width_m)
        fits_m = self.object_width_m - goal.width_m
        self._is_grasped = (
            self.object_width_m > 0.0 and -goal.epsilon_inner_m <= fits_m <= goal.epsilon_outer_m
        )
        return self._is_grasped

    def homing(self) -> bool:
        """Learn the largest width."""
        if not self._go("homing"):
            return False
        self._width_m = self.max_width_m = HAND_WIDTH_M
        return True

    def stop(self) -> None:
        """End the way of slow fingers."""
        self.commands.append("stop")
        self._require_link()
        if self.obeys_stop:
            self._stopped.set()

    def drop(self) -> None:
        """Lose the object, as when somebody pulls it out."""
        self._width_m, self._is_grasped = 0.0, False

    def _go(self, name: str, *goal: MoveGoal | GraspGoal) -> bool:
        self._require_link()
        self._stopped.clear()
        self.goals += goal
        self.commands.append(name)
        self.under_way.set()
        return not (self.is_slow and self._stopped.wait(_WAY_S))

    def _require_link(self) -> None:
        if not self.is_linked:
            raise DeviceError("the simulated link to the hand is cut")
