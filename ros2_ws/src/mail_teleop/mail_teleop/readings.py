"""What a person does with a device, before it means anything to the arm."""

from dataclasses import dataclass
from enum import StrEnum

from mail_policy.core.frames import Array

AXES = ("x", "y", "z", "roll", "pitch", "yaw")


class OperatorKey(StrEnum):
    """What a person asks for besides motion."""

    START = "start"
    SAVE = "save"
    SUCCESS = "success"
    FAILURE = "failure"
    DISCARD = "discard"
    RERECORD = "rerecord"
    RESUME = "resume"
    STOP = "stop"
    ESTOP = "estop"
    FASTER = "faster"
    SLOWER = "slower"


class GripperAction(StrEnum):
    """What a key or button asks of the gripper."""

    TOGGLE = "toggle"
    OPEN = "open"
    CLOSE = "close"


# eq=False: comparing two arrays yields an array, so a generated == would raise.
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DeviceReading:
    """The state of a device now, and what was pressed since the reading before.

    At most one of `motion` and `joint_positions` is given; a device for keys alone gives none.

    Attributes:
        dead_man: The person holds the device's dead-man switch.
        motion: How far it is pushed, -1 to 1, in the order of AXES, shape (6,). Away from the
            person is x, to the left y, up z; rotations are about these axes.
        joint_positions: Of a leader arm [rad], shape (7,).
        gripper: The newest key or button for the gripper.
        trigger_width_m: Distance between the fingers that a trigger asks for [m].
        keys: What was pressed, in order.
    """

    dead_man: bool = False
    motion: Array | None = None
    joint_positions: Array | None = None
    gripper: GripperAction | None = None
    trigger_width_m: float | None = None
    keys: tuple[OperatorKey, ...] = ()
