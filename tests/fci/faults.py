"""What is wrong with the robot at the moment, and what happens to packets on their way."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from franky_sim.franka_robot_protocol import AutomaticErrorRecoveryStatus

PacketT = TypeVar("PacketT")


class Link(Generic[PacketT]):
    """One direction of the network: it may lose, delay and double packets."""

    def __init__(self) -> None:
        self._delayed: list[tuple[int, PacketT]] = []
        self.restore()

    def restore(self) -> None:
        """Become a good network again; packets that are still delayed arrive."""
        self._lose_next = 0
        self._loss_rate = 0.0
        self._random = random.Random(0)
        self._delay_next = 0
        self._delay_cycles = 0
        self._double_next = 0

    def lose_next(self, count: int) -> None:
        """Lose the next packets."""
        self._lose_next = count

    def lose_share(self, rate: float, seed: int) -> None:
        """Lose a random share of all packets."""
        self._loss_rate = rate
        self._random = random.Random(seed)

    def delay_next(self, count: int, delay_ms: int) -> None:
        """Delay each of the next packets by some milliseconds of robot time."""
        self._delay_next, self._delay_cycles = count, delay_ms

    def double_next(self, count: int) -> None:
        """Deliver each of the next packets twice."""
        self._double_next = count

    def send(self, packet: PacketT, cycle: int) -> Iterator[PacketT]:
        """Put a packet on its way; yields it as often as it arrives at once."""
        if self._is_lost():
            return
        if self._delay_next > 0:
            self._delay_next -= 1
            self._delayed.append((cycle + self._delay_cycles, packet))
            return
        yield packet
        if self._double_next > 0:
            self._double_next -= 1
            yield packet

    def arrivals(self, cycle: int) -> list[PacketT]:
        """Return the delayed packets that arrive by now."""
        if not self._delayed:
            return []
        due = [packet for at, packet in self._delayed if at <= cycle]
        self._delayed = [(at, packet) for at, packet in self._delayed if at > cycle]
        return due

    def _is_lost(self) -> bool:
        if self._lose_next > 0:
            self._lose_next -= 1
            return True
        return self._loss_rate > 0.0 and self._random.random() < self._loss_rate


@dataclass
class RobotFaults:
    """Faults of the arm's control box that last until they are changed.

    Attributes:
        states: Packets from the robot to the client.
        commands: Packets from the client to the robot.
        joints_locked: The brakes are closed: mode "other", motions are refused.
        safety_function_active: A safety function refuses motions.
        recovery_answer: What the robot answers to a recovery.
        refused_recoveries: How many recoveries get that answer; None for all.
        server_version: Protocol version other than the client's; None to accept the client.
        success_rate: Reported instead of the true one; None for the true one.
        external_torques_nm: Estimated external torques of the joints.
        load_mass_kg: Reported instead of the load that was set; None for that one.
        flange_to_ee: Reported instead of F_T_EE, column by column; None for the true one.
    """

    states: Link[bytes] = field(default_factory=Link)
    commands: Link[bytes] = field(default_factory=Link)
    joints_locked: bool = False
    safety_function_active: bool = False
    recovery_answer: AutomaticErrorRecoveryStatus = AutomaticErrorRecoveryStatus.kSuccess
    refused_recoveries: int | None = None
    server_version: int | None = None
    success_rate: float | None = None
    external_torques_nm: tuple[float, ...] = (0.0,) * 7
    load_mass_kg: float | None = None
    flange_to_ee: tuple[float, ...] | None = None

    def answer_to_recovery(self) -> AutomaticErrorRecoveryStatus:
        """Return the answer to one recovery, and count it."""
        if self.refused_recoveries is None:
            return self.recovery_answer
        if self.refused_recoveries == 0:
            return AutomaticErrorRecoveryStatus.kSuccess
        self.refused_recoveries -= 1
        return self.recovery_answer
