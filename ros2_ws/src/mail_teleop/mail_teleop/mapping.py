"""What a reading of a device means for the arm. Pure: time and the arm's state are arguments."""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from mail_policy.core.devices import HAND_WIDTH_M
from mail_policy.core.frames import Array
from mail_policy.core.motion.config import TeleopConfig as ArmTeleopConfig
from mail_policy.core.types import TeleopCommand
from mail_teleop.gripper_wish import GripperWish
from mail_teleop.leader_path import LeaderPath
from mail_teleop.readings import AXES, DeviceReading, OperatorKey

# The arm takes commands beyond its limits for glitches. Some room for rounding.
_USED_SHARE = 0.95
_ARM = ArmTeleopConfig()

# A device that is pushed beyond its full way by more than this share is broken, not pushed hard.
_LARGEST_MOTION = 1.25
_STILL = np.zeros(6)


class Frame(StrEnum):
    """In which frame a push of the device moves the tool."""

    BASE = "base"
    TOOL = "tool"


@dataclass(frozen=True, kw_only=True, slots=True)
class MappingConfig:
    """What the readings of a device mean.

    Attributes:
        frame: Frame of the pushes; a leader arm has none.
        axes: Which axis of the device drives x, y, z, roll, pitch and yaw of the frame, with a
            minus sign to reverse it.
        deadband: Pushes up to this share of the full way count as none.
        max_speed_m_s: Of the tool at full push and the highest speed step [m/s].
        max_turn_rad_s: Likewise [rad/s].
        speed_steps: Shares of full speed between which the person steps. For a leader arm, shares
            of its motion that the arm makes.
        first_step: Which of them counts at the start, from 0.
        max_step_rad: A leader arm that jumps by more between two readings is a glitch [rad].
        max_glitches: So many in a row open the clutch; it closes by a new press of the switch.
        silence_s: A held switch opens when the state of the device is unknown for so long [s].
        trigger_travel_m: How far a trigger is moved before it counts, after the switch was
            pressed [m]; so the fingers never move only because the person took over.
    """

    frame: Frame = Frame.BASE
    axes: tuple[str, ...] = AXES
    deadband: float = 0.05
    max_speed_m_s: float = 0.2
    max_turn_rad_s: float = 0.8
    speed_steps: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0)
    first_step: int = 2
    max_step_rad: float = 0.1
    max_glitches: int = 3
    silence_s: float = 0.06
    trigger_travel_m: float = 0.01

    def __post_init__(self) -> None:
        """Refuse what the arm would reject, and axes that do not exist."""
        if sorted(axis.lstrip("-") for axis in self.axes) != sorted(AXES):
            raise ValueError(f"axes must name {', '.join(AXES)} once each, got {self.axes}")
        if not 0.0 <= self.deadband < 1.0:
            raise ValueError(f"deadband must be in [0, 1), got {self.deadband}")
        if not self.speed_steps or not all(0.0 < step <= 1.0 for step in self.speed_steps):
            raise ValueError(f"speed_steps must be in (0, 1], got {self.speed_steps}")
        if list(self.speed_steps) != sorted(self.speed_steps):
            raise ValueError(f"speed_steps must ascend, got {self.speed_steps}")
        if not 0 <= self.first_step < len(self.speed_steps):
            raise ValueError(f"first_step must be a place in speed_steps, got {self.first_step}")
        for name, largest in (
            ("max_speed_m_s", _USED_SHARE * _ARM.max_speed_m_s),
            ("max_turn_rad_s", _USED_SHARE * _ARM.max_turn_rad_s),
            ("max_step_rad", _USED_SHARE * _ARM.max_joint_step_rad),
            ("max_glitches", math.inf),
            ("silence_s", _ARM.lost_s),
            ("trigger_travel_m", HAND_WIDTH_M),
        ):
            if not 0.0 < getattr(self, name) <= largest:
                raise ValueError(
                    f"{name} must be in (0, {largest:.4g}], got {getattr(self, name)}; "
                    "the arm would refuse more"
                )


@dataclass(frozen=True, slots=True, eq=False)
class ArmView:
    """What is known of the arm while a person moves it.

    Attributes:
        rotation_tcp_to_base: Of the tool, shape (3, 3); None if unknown or old.
        gripper_width_m: Distance between the fingers [m]; None if unknown.
    """

    rotation_tcp_to_base: Array | None = None
    gripper_width_m: float | None = None


class CommandMaker:
    """Turns readings into commands, and watches over the switch and the sense of the readings.

    A switch counts only after it was seen open in a sound reading, at the start and after every
    loss, glitch or stop.

    Args:
        source: Name of the device.
        config: What its readings mean.
    """

    def __init__(self, source: str, config: MappingConfig) -> None:
        self._source, self._config = source, config
        self._axes = _axis_matrix(config.axes)
        self._step = config.first_step
        self._sequence = 0
        self._leader = LeaderPath(config.max_step_rad)
        self._gripper = GripperWish(config.trigger_travel_m)
        self._was_open = self._is_held = False
        self._glitches_in_a_row = 0
        self.glitches = 0
        self.problem = ""

    @property
    def is_held(self) -> bool:
        """Whether the newest command says that the switch is held."""
        return self._is_held

    @property
    def speed_share(self) -> float:
        """The chosen share of full speed."""
        return self._config.speed_steps[self._step]

    def make(self, reading: DeviceReading, stamp_s: float, arm: ArmView) -> TeleopCommand | None:
        """Return what a reading asks of the arm; None if it asks nothing or makes no sense.

        Args:
            reading: The state of the device.
            stamp_s: When it was read, on the clock of the observations [s].
            arm: What is known of the arm.
        """
        self._change_speed(reading.keys)
        if reading.motion is None and reading.joint_positions is None:
            return None
        fault = self._fault(reading, arm)
        if not reading.dead_man:
            # Letting go counts whatever else is wrong; only a sound reading proves that it can.
            self._was_open |= not fault
            self.problem = fault
            return self._let_go(stamp_s)
        if {OperatorKey.ESTOP, OperatorKey.STOP} & set(reading.keys):
            return self.lose(stamp_s, "stopped by the person; release the dead-man switch")
        if not self._was_open:
            self.problem = self.problem or "release the dead-man switch first"
            return self._let_go(stamp_s)
        if fault:
            return self._reject(fault, stamp_s)
        return self._hold(reading, stamp_s, arm)

    def lose(self, stamp_s: float, problem: str) -> TeleopCommand:
        """Open the clutch until the person releases the switch and presses it again."""
        self._was_open = False
        self.problem = problem
        return self._let_go(stamp_s)

    def _change_speed(self, keys: tuple[OperatorKey, ...]) -> None:
        change = keys.count(OperatorKey.FASTER) - keys.count(OperatorKey.SLOWER)
        self._step = min(max(self._step + change, 0), len(self._config.speed_steps) - 1)

    def _fault(self, reading: DeviceReading, arm: ArmView) -> str:
        """Return what is wrong with a reading, "" if nothing."""
        trigger_m = reading.trigger_width_m
        if trigger_m is not None and not np.isfinite(trigger_m):
            return "the trigger is not a number"
        if reading.joint_positions is not None:
            return self._leader.fault(reading.joint_positions, is_followed=self._is_held)
        motion = reading.motion
        if motion is None or motion.shape != (6,) or not np.isfinite(motion).all():
            return "the motion is not six finite numbers"
        if np.abs(motion).max() > _LARGEST_MOTION:
            return f"pushed to {np.abs(motion).max():.2f} of the full way"
        if self._config.frame is Frame.TOOL and arm.rotation_tcp_to_base is None:
            return "the pose of the tool is not known; is the arm's node running?"
        return ""

    def _reject(self, fault: str, stamp_s: float) -> TeleopCommand | None:
        self.glitches += 1
        self._glitches_in_a_row += 1
        self.problem = f"ignored a reading: {fault}"
        if self._glitches_in_a_row < self._config.max_glitches:
            return None
        return self.lose(stamp_s, f"{fault}; release the dead-man switch")

    def _let_go(self, stamp_s: float) -> TeleopCommand:
        self._is_held, self._glitches_in_a_row = False, 0
        return self._command(stamp_s, dead_man=False, twist=_STILL)

    def _hold(self, reading: DeviceReading, stamp_s: float, arm: ArmView) -> TeleopCommand:
        if not self._is_held:
            self._gripper.begin(reading.trigger_width_m)
            if reading.joint_positions is not None:
                self._leader.begin(reading.joint_positions)
        self._is_held, self._glitches_in_a_row, self.problem = True, 0, ""
        width_m = self._gripper.update(reading, arm.gripper_width_m)
        if reading.joint_positions is not None:
            path = self._leader.advance(reading.joint_positions, self.speed_share)
            return self._command(stamp_s, joint_positions=path, gripper_width_m=width_m)
        assert reading.motion is not None
        twist = self._twist(reading.motion, arm.rotation_tcp_to_base)
        return self._command(stamp_s, twist=twist, gripper_width_m=width_m)

    def _twist(self, motion: Array, rotation_tcp_to_base: Array | None) -> Array:
        """Return the velocity of the tool in the base frame [m/s, rad/s], shape (6,)."""
        config = self._config
        pushed = self._axes @ _without_deadband(motion, config.deadband)
        linear = config.max_speed_m_s * _within_unit_ball(pushed[:3])
        angular = config.max_turn_rad_s * _within_unit_ball(pushed[3:])
        if config.frame is Frame.TOOL:
            assert rotation_tcp_to_base is not None
            linear, angular = rotation_tcp_to_base @ linear, rotation_tcp_to_base @ angular
        return self.speed_share * np.concatenate([linear, angular])

    def _command(
        self,
        stamp_s: float,
        *,
        dead_man: bool = True,
        twist: Array | None = None,
        joint_positions: Array | None = None,
        gripper_width_m: float | None = None,
    ) -> TeleopCommand:
        self._sequence += 1
        return TeleopCommand(
            source=self._source,
            sequence=self._sequence,
            sent_at_s=stamp_s,
            dead_man=dead_man,
            twist=twist,
            joint_positions=joint_positions,
            gripper_width_m=gripper_width_m,
        )


def _axis_matrix(axes: tuple[str, ...]) -> Array:
    """Return the matrix that sorts the axes of a device into x, y, z, roll, pitch, yaw."""
    matrix = np.zeros((6, 6))
    for row, axis in enumerate(axes):
        matrix[row, AXES.index(axis.lstrip("-"))] = -1.0 if axis.startswith("-") else 1.0
    return matrix


def _without_deadband(motion: Array, deadband: float) -> Array:
    """Return pushes that rise from 0 at the edge of the deadband to 1."""
    beyond = np.clip((np.abs(motion) - deadband) / (1.0 - deadband), 0.0, 1.0)
    return np.sign(motion) * beyond


def _within_unit_ball(vector: Array) -> Array:
    return vector / max(1.0, float(np.linalg.norm(vector)))
