"""What the rest of the system may ask of the hardware. Drivers implement these protocols.

Every device is a context manager: entering opens it, leaving brings it to rest and closes it,
also when leaving because of an exception.
"""

from typing import Protocol, Self

from mail_policy.core.types import ArmReading, CameraFrame, GripperReading, JointSetPoint


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


class Gripper(Protocol):
    """A parallel gripper. Calls block; use them from the gripper's own thread."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def read(self) -> GripperReading:
        """Return the current width and grasp state."""
        ...

    def move(self, width_m: float, speed_m_s: float) -> bool:
        """Move the fingers to a width without expecting an object; True if it got there."""
        ...

    def grasp(self, force_n: float, speed_m_s: float) -> bool:
        """Close onto whatever is there; True if the fingers stopped on an object."""
        ...

    def stop(self) -> None:
        """Stop the fingers where they are."""
        ...
