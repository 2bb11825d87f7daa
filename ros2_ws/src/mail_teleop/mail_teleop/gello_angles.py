"""From the ticks of a GELLO's motors to joint positions and the trigger. Pure."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from mail_policy.core.devices import HAND_WIDTH_M
from mail_policy.core.frames import Array
from mail_policy.core.robot_limits import FER_JOINT_LIMITS
from mail_policy.core.types import NUM_JOINTS

# Control table of XL330 and XL430, "Present Position": one turn is 4096 ticks.
TICKS_PER_TURN = 4096
_TURN_RAD = 2.0 * np.pi
_MIDDLE_RAD = 0.5 * (FER_JOINT_LIMITS.lower + FER_JOINT_LIMITS.upper)


class TriggerUse(StrEnum):
    """What the trigger of a leader does."""

    GRIPPER = "gripper"
    SWITCH = "switch"


@dataclass(frozen=True, kw_only=True, slots=True)
class GelloConfig:
    """A GELLO: a small leader arm of Dynamixel motors.

    Joint position i is ``joint_signs[i] * motor angle - joint_offsets_rad[i]``, counted from the
    turn that lies nearest to the middle of the robot's joint.

    Attributes:
        port: Serial port, for example /dev/serial/by-id/usb-FTDI_...
        baud_rate: As set in the motors.
        joint_ids: Numbers of the seven motors, from the base to the wrist.
        joint_signs: 1, or -1 where the motor is mounted the other way round.
        joint_offsets_rad: See above [rad].
        trigger_id: Number of the trigger's motor; None without one.
        trigger_open_rad: Angle of the released trigger [rad].
        trigger_closed_rad: Angle of the squeezed trigger [rad].
        trigger_use: Moves the fingers, or is the dead-man switch (squeezed beyond the middle).
        answer_s: How long to wait for the motors beyond the time on the wire [s].
        lost_s: Motors that do not answer for so long have gone [s].
    """

    port: str
    baud_rate: int = 57600
    joint_ids: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    joint_signs: tuple[int, ...] = (1, 1, 1, 1, 1, 1, 1)
    joint_offsets_rad: tuple[float, ...] = (0.0,) * NUM_JOINTS
    trigger_id: int | None = 8
    trigger_open_rad: float = 0.0
    trigger_closed_rad: float = 0.7
    trigger_use: TriggerUse = TriggerUse.GRIPPER
    answer_s: float = 0.008
    lost_s: float = 0.5

    def __post_init__(self) -> None:
        """Refuse wrong numbers of joints, and a trigger without travel."""
        for name in ("joint_ids", "joint_signs", "joint_offsets_rad"):
            if len(getattr(self, name)) != NUM_JOINTS:
                raise ValueError(
                    f"{name} must have {NUM_JOINTS} entries, got {getattr(self, name)}"
                )
        ids = [*self.joint_ids, *([] if self.trigger_id is None else [self.trigger_id])]
        if len(set(ids)) != len(ids) or not all(0 <= i <= 252 for i in ids):
            raise ValueError(f"motor numbers must be different and from 0 to 252, got {ids}")
        if any(sign not in (1, -1) for sign in self.joint_signs):
            raise ValueError(f"joint_signs must be 1 or -1, got {self.joint_signs}")
        if self.trigger_use is TriggerUse.SWITCH and self.trigger_id is None:
            raise ValueError("a trigger that is the switch needs trigger_id")
        if not abs(self.trigger_closed_rad - self.trigger_open_rad) > 0.05:
            raise ValueError("trigger_open_rad and trigger_closed_rad must differ by 0.05 rad")
        for name in ("answer_s", "lost_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be greater than 0, got {getattr(self, name)}")


class GelloAngles:
    """Signs, offsets, and the turn that a motor is in.

    A motor forgets its turn without power, and wraps between 0 and one turn in some modes. The
    first position is taken in the turn nearest to the middle of the robot's joint, every later one
    in the turn nearest to the position before.

    Args:
        config: Signs, offsets and the ends of the trigger.
    """

    def __init__(self, config: GelloConfig) -> None:
        self._signs = np.array(config.joint_signs, dtype=np.float64)
        self._offsets_rad = np.array(config.joint_offsets_rad)
        self._open_rad = config.trigger_open_rad
        self._travel_rad = config.trigger_closed_rad - config.trigger_open_rad
        self._last_rad: Array = _MIDDLE_RAD

    def joint_positions(self, ticks: list[int]) -> Array:
        """Return joint positions [rad], shape (7,)."""
        angles_rad = np.array(ticks, dtype=np.float64) * (_TURN_RAD / TICKS_PER_TURN)
        positions = self._signs * angles_rad - self._offsets_rad
        turns = np.round((self._last_rad - positions) / _TURN_RAD)
        self._last_rad = positions + _TURN_RAD * turns
        return self._last_rad.copy()

    def squeezed_share(self, ticks: int) -> float:
        """Return how far the trigger is squeezed, 0 to 1."""
        angle_rad = ticks * (_TURN_RAD / TICKS_PER_TURN)
        # A trigger travels less than a turn: the nearest turn is the right one.
        middle_rad = self._open_rad + 0.5 * self._travel_rad
        angle_rad += _TURN_RAD * round((middle_rad - angle_rad) / _TURN_RAD)
        return float(np.clip((angle_rad - self._open_rad) / self._travel_rad, 0.0, 1.0))

    def trigger_width_m(self, ticks: int) -> float:
        """Return the distance between the fingers that the trigger asks for [m]."""
        return (1.0 - self.squeezed_share(ticks)) * HAND_WIDTH_M
