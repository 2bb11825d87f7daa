"""A Franka Hand on the network (TCP 1338) that may hang, fail, or lose what it holds."""

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from franky_sim.constants import FRANKA_HAND_MAX_WIDTH, FRANKA_HAND_VELOCITY_LIMIT
from franky_sim.franka_gripper_protocol import (
    GripperCommand,
    GripperCommandStatus,
    GripperGraspCommand,
    GripperHomingCommand,
    GripperMoveCommand,
    GripperState,
    GripperStopCommand,
)
from franky_sim.franka_server import BaseCommand, FrankaServer

from tests.fci.motion_limits import STEP_S

PORT = 1338
_SERVER_VERSION = 3
_CYCLES_PER_STATE = 10
_HOMING_SPEED_M_S = 0.1
_WIDTH_TOLERANCE_M = 1e-4
# Linger for 0 s: the kernel ends the connection with a reset.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class GripperAnswer(StrEnum):
    """What the hand does with commands."""

    NORMAL = "normal"
    HANG = "hang"
    FAIL = "fail"
    UNSUCCESSFUL = "unsuccessful"


Reply = Callable[[GripperCommandStatus], None]


@dataclass
class _Task:
    """A command that is being executed: the fingers visit the goals one after the other."""

    reply: Reply
    goals_m: list[float]
    speed_m_s: float
    # Widths at which a grasp counts as success [m]; None for other commands.
    grasped_between_m: tuple[float, float] | None = None


class FaultyGripperServer(FrankaServer):  # type: ignore[misc]  # franky-sim has no types
    """Serves one client.

    Attributes:
        width_m: Distance between the fingers [m].
        object_width_m: Width of what is between the fingers [m]; 0 for nothing.
        is_grasped: The hand believes that it holds something.
        answer: What it does with commands.
        is_connected: Whether the network reaches it.
    """

    def __init__(self, address: str) -> None:
        super().__init__(
            [address],
            PORT,
            {
                GripperCommand.kMove: GripperMoveCommand,
                GripperCommand.kGrasp: GripperGraspCommand,
                GripperCommand.kHoming: GripperHomingCommand,
                GripperCommand.kStop: GripperStopCommand,
            },
            _SERVER_VERSION,
            command_type_struct="H",
            state_message_id_type_struct="I",
        )
        self.width_m = FRANKA_HAND_MAX_WIDTH
        self.object_width_m = 0.0
        self.is_grasped = False
        self.answer = GripperAnswer.NORMAL
        self.is_connected = True
        self._task: _Task | None = None
        # What a hanging hand will do once it goes on.
        self._held: list[Callable[[], None]] = []
        self._cycles = 0

    def set_answer(self, answer: GripperAnswer) -> None:
        """Change what the hand does with commands; one that hung goes on where it was."""
        self.answer = answer
        if answer is not GripperAnswer.HANG:
            held, self._held = self._held, []
            for resume in held:
                resume()

    def set_connected(self, is_connected: bool, by_reset: bool) -> None:
        """Plug the hand in or out.

        Args:
            is_connected: Whether it shall be plugged in.
            by_reset: Break the connection with a reset. After an orderly end libfranka waits for
                the answer of a running command for another 60 s.
        """
        if is_connected == self.is_connected:
            return
        self.is_connected = is_connected
        if is_connected:
            self.init()
            return
        self.cleanup()
        if by_reset and self._tcp_socket is not None:
            self._tcp_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.reset_state()

    def run_cycle(self) -> None:
        """Do one cycle of 1 ms."""
        self._cycles += 1
        self._move_fingers()
        if not self.is_connected:
            return
        try:
            self.process_commands()
        except (KeyError, ValueError, OSError, struct.error):
            # A malformed message or a client that has gone ends its connection, not the hand.
            self.reset_state()
        if self._cycles % _CYCLES_PER_STATE == 0:
            self.send_state()

    # The names and arguments of the next four methods are those that franky-sim calls.

    def start_move(
        self, width: float, speed: float, command_id: int, client: socket.socket
    ) -> None:
        """Begin a Move, unless no hand can do it."""
        reply = _replier(client, GripperCommand.kMove, command_id)
        possible = 0.0 <= width <= FRANKA_HAND_MAX_WIDTH and speed > 0.0
        self._begin(_Task(reply, [width], speed), possible)

    def start_grasp(self, width: float, speed: float, force: float, *rest: Any) -> None:
        """Begin a Grasp: the fingers close until something stops them."""
        inner_m, outer_m, command_id, client = rest
        reply = _replier(client, GripperCommand.kGrasp, command_id)
        task = _Task(reply, [0.0], speed, (width - inner_m, width + outer_m))
        self._begin(task, possible=speed > 0.0 and force > 0.0)

    def start_homing(self, command_id: int, client: socket.socket) -> None:
        """Begin a Homing: open wide, then go back."""
        reply = _replier(client, GripperCommand.kHoming, command_id)
        goals_m = [FRANKA_HAND_MAX_WIDTH, self.width_m]
        self._begin(_Task(reply, goals_m, _HOMING_SPEED_M_S), possible=True)

    def stop(self, command_id: int, client: socket.socket) -> None:
        """Stop the fingers, and tell whoever waits for the interrupted command."""
        if self.answer is GripperAnswer.HANG:
            self._held.append(partial(self.stop, command_id, client))
            return
        self._abort()
        _replier(client, GripperCommand.kStop, command_id)(GripperCommandStatus.kSuccess)

    def _begin(self, task: _Task, possible: bool) -> None:
        if self.answer is GripperAnswer.HANG:
            self._held.append(partial(self._begin, task, possible))
            return
        self._abort()
        if self.answer is GripperAnswer.FAIL or not possible:
            task.reply(GripperCommandStatus.kFail)
        elif self.answer is GripperAnswer.UNSUCCESSFUL:
            task.reply(GripperCommandStatus.kUnsuccessful)
        else:
            self.is_grasped = False
            self._task = task

    def _abort(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.reply(GripperCommandStatus.kAborted)

    def _move_fingers(self) -> None:
        if self.is_grasped and self.width_m > self.object_width_m:
            # What was held has gone; the force closes the fingers.
            self.is_grasped = False
            self.width_m = self.object_width_m
        task = self._task
        if task is None or self.answer is GripperAnswer.HANG:
            return
        goal_m = max(task.goals_m[0], self.object_width_m)
        step_m = min(task.speed_m_s, 2 * FRANKA_HAND_VELOCITY_LIMIT) * STEP_S
        way_m = goal_m - self.width_m
        self.width_m += max(-step_m, min(step_m, way_m))
        if abs(way_m) > step_m:
            return
        reached_m = task.goals_m.pop(0)
        if not task.goals_m:
            self._task = None
            task.reply(self._outcome(task, reached_m))

    def _outcome(self, task: _Task, goal_m: float) -> GripperCommandStatus:
        if task.grasped_between_m is None:
            is_there = abs(self.width_m - goal_m) < _WIDTH_TOLERANCE_M
        else:
            low_m, high_m = task.grasped_between_m
            is_there = self.is_grasped = low_m < self.width_m < high_m
        return GripperCommandStatus.kSuccess if is_there else GripperCommandStatus.kUnsuccessful

    def _get_state_bytes(self) -> bytes:
        packed: bytes = GripperState(width=self.width_m, is_grasping=self.is_grasped).pack()
        return packed

    def _process_udp_commands(self) -> None:
        """A hand gets no datagrams."""

    def _reset_state(self) -> None:
        # The client whose command was running has gone.
        self._task = None
        self._held = []


def _replier(client: socket.socket, command: GripperCommand, command_id: int) -> Reply:
    def reply(status: GripperCommandStatus) -> None:
        BaseCommand.send_response(
            client, command, command_id, status, command_type_struct="H", status_type_struct="H"
        )

    return reply
