"""What the rest of the system may ask of the hardware. Drivers implement these protocols.

Every device is a context manager: entering opens it, leaving brings it to rest and closes it,
also when leaving because of an exception.
"""

from dataclasses import dataclass
from typing import Protocol, Self

from mail_policy.core.types import ArmReading, CameraFrame, GripperReading, JointSetPoint

# Manual of the Franka Hand: stroke 80 mm, 50 mm/s per finger, continuous force 70 N.
HAND_WIDTH_M = 0.08
HAND_SPEED_M_S = 0.1
HAND_FORCE_N = 70.0


class DeviceError(RuntimeError):
    """A device refused, vanished or stopped by itself. The text names the remedy."""


class ArmError(DeviceError):
    """The arm refused a command or stopped by itself."""


class CameraError(DeviceError):
    """A camera cannot be opened or has gone."""


class Camera(Protocol):
    """A colour camera."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def read(self, timeout_s: float) -> CameraFrame | None:
        """Wait for a frame newer than the last one returned; None if none came in time."""
        ...


class Arm(Protocol):
    """An arm that can be watched at any time and commanded while it is in control."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def read(self) -> ArmReading:
        """Return the newest state. Raises ArmError if the link is lost."""
        ...

    def take_control(self) -> None:
        """Start to hold the current set-point; `follow` is allowed from now on."""
        ...

    def follow(self, set_point: JointSetPoint) -> None:
        """Stream one set-point. Raises ArmError if the arm is not in control."""
        ...

    def release_control(self) -> None:
        """Come to rest and give control back. Harmless when not in control."""
        ...

    def recover(self) -> bool:
        """Ask the robot once to leave its error state; True if it did."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class MoveGoal:
    """Where the fingers shall go without expecting an object.

    Attributes:
        width_m: Distance between the fingers [m].
        speed_m_s: At which it changes [m/s].
    """

    width_m: float
    speed_m_s: float

    def __post_init__(self) -> None:
        """Refuse what no hand can do, and what is not a number."""
        _require_hand_can(self.width_m, self.speed_m_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class GraspGoal:
    """What the fingers shall close onto.

    Attributes:
        width_m: Expected width of the object [m]; 0 for any object.
        speed_m_s: At which the distance between the fingers changes [m/s].
        force_n: With which they hold [N].
        epsilon_inner_m: How much narrower the object may be [m].
        epsilon_outer_m: How much wider it may be [m].
    """

    width_m: float
    speed_m_s: float
    force_n: float
    epsilon_inner_m: float
    epsilon_outer_m: float

    def __post_init__(self) -> None:
        """Refuse what no hand can do, and what is not a number."""
        _require_hand_can(self.width_m, self.speed_m_s)
        if not 0.0 < self.force_n <= HAND_FORCE_N:
            raise ValueError(f"force must be in (0, {HAND_FORCE_N}] N, got {self.force_n}")
        for name in ("epsilon_inner_m", "epsilon_outer_m"):
            if not 0.0 <= getattr(self, name) <= HAND_WIDTH_M:
                raise ValueError(
                    f"{name} must be in [0, {HAND_WIDTH_M}] m, got {getattr(self, name)}"
                )


def _require_hand_can(width_m: float, speed_m_s: float) -> None:
    if not 0.0 <= width_m <= HAND_WIDTH_M:
        raise ValueError(f"width must be in [0, {HAND_WIDTH_M}] m, got {width_m}")
    if not 0.0 < speed_m_s <= HAND_SPEED_M_S:
        raise ValueError(f"speed must be in (0, {HAND_SPEED_M_S}] m/s, got {speed_m_s}")


class Gripper(Protocol):
    """A parallel gripper. Calls block; use them from the gripper's own threads.

    Reading, commanding and stopping may use one thread each.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def read(self) -> GripperReading:
        """Return the current width and grasp state."""
        ...

    def move(self, goal: MoveGoal) -> bool:
        """Move the fingers without expecting an object; True if they got there."""
        ...

    def grasp(self, goal: GraspGoal) -> bool:
        """Close onto an object; True if the fingers stopped on one of the expected width."""
        ...

    def homing(self) -> bool:
        """Close and open fully to learn the largest width; True if it is known now."""
        ...

    def stop(self) -> None:
        """Stop the fingers where they are; whoever waits for a command is answered."""
        ...
