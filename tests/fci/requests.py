"""What a test may ask of the robot. Field names are those of the JSON lines on the socket.

The strict loader of configurations refuses unknown and missing fields, wrong types, and values
that `__post_init__` refuses.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from franky_sim.constants import FRANKA_HAND_MAX_WIDTH
from franky_sim.franka_robot_protocol import AutomaticErrorRecoveryStatus

from tests.fci.control_box import ControlBox
from tests.fci.errors import error_flags, error_names
from tests.fci.faults import Link, RobotFaults
from tests.fci.gripper import FaultyGripperServer, GripperAnswer
from tests.fci.robot_server import FaultyRobotServer

Answer = dict[str, object]


class FaultyFci(Protocol):
    """The parts of a running server."""

    robot: FaultyRobotServer
    gripper: FaultyGripperServer

    def freeze(self, duration_s: float) -> None:
        """Stand still for some wall time [s]."""
        ...


class Request(Protocol):
    """One request."""

    def apply(self, fci: FaultyFci) -> Answer:
        """Carry it out, and return what the test is told."""
        ...


class Direction(StrEnum):
    """Of packets: states go to the client, commands come from it."""

    STATES = "states"
    COMMANDS = "commands"

    def link(self, faults: RobotFaults) -> Link[bytes]:
        """Return the direction's link."""
        return faults.states if self is Direction.STATES else faults.commands


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """Tell how the robot is."""

    def apply(self, fci: FaultyFci) -> Answer:
        box: ControlBox = fci.robot.box
        return {
            "cycle": box.cycle,
            "robot_mode": box.mode.name,
            "errors": error_names(box.errors),
            "in_motion": box.in_motion,
            "success_rate": box.success_rate,
            "client_connected": bool(fci.robot.udp_connected),
            "late_commands": fci.robot.late_commands,
            "gripper_width_m": fci.gripper.width_m,
            "gripper_is_grasped": fci.gripper.is_grasped,
            "oracle_fd": fci.robot.oracle.file_descriptor,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Reflex:
    """Enter the mode Reflex with some of the 41 errors."""

    errors: tuple[str, ...]

    def __post_init__(self) -> None:
        error_flags(self.errors)
        _require(len(self.errors) > 0, "errors must name at least one error")

    def apply(self, fci: FaultyFci) -> Answer:
        fci.robot.box.trip(self.errors)
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class UserStop:
    """Press or release the user stop."""

    pressed: bool

    def apply(self, fci: FaultyFci) -> Answer:
        fci.robot.box.set_user_stop(self.pressed)
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Guiding:
    """Press or release the guiding buttons."""

    pressed: bool

    def apply(self, fci: FaultyFci) -> Answer:
        fci.robot.box.set_guiding(self.pressed)
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovery:
    """Answer recoveries with a status of the protocol; `times` None means until changed."""

    answer: str
    times: int | None = None

    def __post_init__(self) -> None:
        known = AutomaticErrorRecoveryStatus.__members__
        _require(self.answer in known, f"answer must be one of {', '.join(known)}")
        _require(self.times is None or self.times > 0, "times must be positive")

    def apply(self, fci: FaultyFci) -> Answer:
        fci.robot.faults.recovery_answer = AutomaticErrorRecoveryStatus[self.answer]
        fci.robot.faults.refused_recoveries = self.times
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Readiness:
    """Refuse motions, or all connections."""

    fci_active: bool = True
    joints_locked: bool = False
    safety_function_active: bool = False

    def apply(self, fci: FaultyFci) -> Answer:
        fci.robot.faults.joints_locked = self.joints_locked
        fci.robot.faults.safety_function_active = self.safety_function_active
        fci.robot.set_active(self.fci_active)
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class LosePackets:
    """Lose the next packets of a direction."""

    direction: Direction
    count: int

    def __post_init__(self) -> None:
        _require(self.count > 0, "count must be positive")

    def apply(self, fci: FaultyFci) -> Answer:
        self.direction.link(fci.robot.faults).lose_next(self.count)
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class LoseShare:
    """Lose a random share of a direction's packets, always the same for one seed."""

    direction: Direction
    rate: float
    seed: int = 0

    def __post_init__(self) -> None:
        _require(0.0 <= self.rate <= 1.0, "rate must be in [0, 1]")

    def apply(self, fci: FaultyFci) -> Answer:
        self.direction.link(fci.robot.faults).lose_share(self.rate, self.seed)
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class DelayPackets:
    """Delay each of the next packets of a direction by some robot time."""

    direction: Direction
    count: int
    delay_ms: int

    def __post_init__(self) -> None:
        _require(self.count > 0 and self.delay_ms > 0, "count and delay_ms must be positive")

    def apply(self, fci: FaultyFci) -> Answer:
        self.direction.link(fci.robot.faults).delay_next(self.count, self.delay_ms)
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class DoublePackets:
    """Deliver each of the next packets of a direction twice."""

    direction: Direction
    count: int

    def __post_init__(self) -> None:
        _require(self.count > 0, "count must be positive")

    def apply(self, fci: FaultyFci) -> Answer:
        self.direction.link(fci.robot.faults).double_next(self.count)
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreNetwork:
    """Lose, delay and double nothing from now on."""

    def apply(self, fci: FaultyFci) -> Answer:
        fci.robot.faults.states.restore()
        fci.robot.faults.commands.restore()
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Freeze:
    """Stand still for some wall time [s], or until thawed (None): no clock, no state, no answer."""

    duration_s: float | None = None

    def __post_init__(self) -> None:
        _require(self.duration_s is None or self.duration_s > 0.0, "duration_s must be positive")

    def apply(self, fci: FaultyFci) -> Answer:
        fci.freeze(math.inf if self.duration_s is None else self.duration_s)
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Thaw:
    """Go on after a freeze."""

    def apply(self, fci: FaultyFci) -> Answer:
        fci.freeze(0.0)
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerVersion:
    """Speak another version of the protocol to new clients; None for the usual one."""

    version: int | None

    def __post_init__(self) -> None:
        _require(self.version is None or 0 < self.version < 1 << 16, "version must be 1 to 65535")

    def apply(self, fci: FaultyFci) -> Answer:
        fci.robot.faults.server_version = self.version
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """Show another load or end effector frame (F_T_EE, column by column); None for the true."""

    load_mass_kg: float | None = None
    flange_to_ee: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        frame = self.flange_to_ee
        _require(frame is None or len(frame) == 16, "flange_to_ee must have 16 numbers")

    def apply(self, fci: FaultyFci) -> Answer:
        fci.robot.faults.load_mass_kg = self.load_mass_kg
        fci.robot.faults.flange_to_ee = self.flange_to_ee
        fci.robot.apply_state_faults()
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class ExternalTorques:
    """Show external torques of the joints [Nm], for example of a hand on the arm."""

    torques_nm: tuple[float, float, float, float, float, float, float]

    def apply(self, fci: FaultyFci) -> Answer:
        fci.robot.faults.external_torques_nm = self.torques_nm
        fci.robot.apply_state_faults()
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class SuccessRate:
    """Show another success rate; None for the true one."""

    rate: float | None

    def __post_init__(self) -> None:
        _require(self.rate is None or 0.0 <= self.rate <= 1.0, "rate must be in [0, 1]")

    def apply(self, fci: FaultyFci) -> Answer:
        fci.robot.faults.success_rate = self.rate
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class GripperCommands:
    """What the hand does with commands."""

    answer: GripperAnswer

    def apply(self, fci: FaultyFci) -> Answer:
        fci.gripper.set_answer(self.answer)
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class GripperConnection:
    """Plug the hand's network in or out."""

    connected: bool
    by_reset: bool = False

    def apply(self, fci: FaultyFci) -> Answer:
        fci.gripper.set_connected(self.connected, self.by_reset)
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class GripperObject:
    """Put an object between the fingers [m], or take it away (0)."""

    width_m: float

    def __post_init__(self) -> None:
        _require(
            0.0 <= self.width_m <= FRANKA_HAND_MAX_WIDTH,
            f"width_m must be in [0, {FRANKA_HAND_MAX_WIDTH}] m",
        )

    def apply(self, fci: FaultyFci) -> Answer:
        fci.gripper.object_width_m = self.width_m
        return {}


REQUESTS: dict[str, type[Request]] = {
    "status": Status,
    "reflex": Reflex,
    "user_stop": UserStop,
    "guiding": Guiding,
    "recovery": Recovery,
    "readiness": Readiness,
    "lose_packets": LosePackets,
    "lose_share": LoseShare,
    "delay_packets": DelayPackets,
    "double_packets": DoublePackets,
    "restore_network": RestoreNetwork,
    "freeze": Freeze,
    "thaw": Thaw,
    "server_version": ServerVersion,
    "tool": Tool,
    "external_torques": ExternalTorques,
    "success_rate": SuccessRate,
    "gripper_commands": GripperCommands,
    "gripper_connection": GripperConnection,
    "gripper_object": GripperObject,
}


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
