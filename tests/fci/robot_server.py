"""The arm's control box on the network: TCP 1337 for commands, UDP at 1 kHz for motion.

It uses private names of franky-sim 1.0.4, as the twin's server does.
"""

import select
import struct
import time
from collections.abc import Sequence

from franky_sim.franka_robot_protocol import (
    AutomaticErrorRecoveryCommand,
    GetRobotModelCommand,
    MoveCommand,
    RobotCommand,
    SetCartesianImpedanceCommand,
    SetCollisionBehaviorCommand,
    SetEEToKCommand,
    SetJointImpedanceCommand,
    SetLoadCommand,
    SetNEToEECommand,
    StopMoveCommand,
    UDPCommand,
)
from franky_sim.franka_server import (
    Command,
    ConnectCommand,
    ConnectStatus,
    FrankaServer,
    MessageHeader,
)

from tests.fci.control_box import ControlBox
from tests.fci.faults import RobotFaults
from tests.fci.oracle import OracleWriter
from tests.fci.tool import Tool

PORT = 1337
SERVER_VERSION = 10
# Longest wait for the first command of a motion, before another state is sent [s].
_FIRST_ANSWER_S = 0.02
_MESSAGE_ID = struct.Struct("<Q")


class _Connect(ConnectCommand):  # type: ignore[misc]  # franky-sim has no types
    def handle(self, server: "FaultyRobotServer", command_type_struct: str = "I") -> None:
        """Accept a client of the server's own protocol version."""
        version = server.faults.server_version or SERVER_VERSION
        is_known = self.version == version
        status = ConnectStatus.kSuccess if is_known else ConnectStatus.kIncompatibleLibraryVersion
        header = MessageHeader(self.command_type, self.command_id, 8)
        payload = struct.pack("<BH5x", status.value, version)
        self.client_socket.sendall(header.to_bytes(command_type_struct) + payload)
        if is_known:
            server._setup_udp_connection(self.network_udp_port)


class _Move(MoveCommand):  # type: ignore[misc]
    def handle(self, server: "FaultyRobotServer") -> None:
        server.box.start(self.motion_generator_mode, self.controller_mode, self.reply)


class _StopMove(StopMoveCommand):  # type: ignore[misc]
    def handle(self, server: "FaultyRobotServer") -> None:
        server.box.stop(self.reply)


class _Recover(AutomaticErrorRecoveryCommand):  # type: ignore[misc]
    def handle(self, server: "FaultyRobotServer") -> None:
        server.box.recover(self.reply)


_COMMANDS = {
    RobotCommand.kMove: _Move,
    RobotCommand.kStopMove: _StopMove,
    RobotCommand.kAutomaticErrorRecovery: _Recover,
    RobotCommand.kSetCollisionBehavior: SetCollisionBehaviorCommand,
    RobotCommand.kSetJointImpedance: SetJointImpedanceCommand,
    RobotCommand.kSetCartesianImpedance: SetCartesianImpedanceCommand,
    RobotCommand.kGetRobotModel: GetRobotModelCommand,
    RobotCommand.kSetLoad: SetLoadCommand,
    RobotCommand.kSetNEToEE: SetNEToEECommand,
    RobotCommand.kSetEEToK: SetEEToKCommand,
}


class FaultyRobotServer(FrankaServer):  # type: ignore[misc]
    """Serves one client in lockstep.

    Attributes:
        box: The robot behind the network.
        faults: What is wrong with it.
        robot: What setters of the protocol change; the name is franky-sim's.
        late_commands: Commands that came after their cycle, or twice.
    """

    def __init__(
        self, address: str, box: ControlBox, faults: RobotFaults, patience_s: float
    ) -> None:
        """Prepare to serve.

        Args:
            address: To bind.
            box: The robot.
            faults: Of the robot and the network.
            patience_s: Longest wait for an answer before it counts as lost [s]. It keeps a busy
                machine from losing commands that a real-time client would have sent.
        """
        super().__init__([address], PORT, _COMMANDS, SERVER_VERSION)
        self._FrankaServer__command_class_map[Command.kConnect] = _Connect
        self.box = box
        self.faults = faults
        self.robot = Tool()
        self.oracle = OracleWriter()
        self.late_commands = 0
        self._patience_s = patience_s
        self._awaits_answer = False
        self._client_is_silent = False
        self._shown_q: Sequence[float] | None = None
        self.is_active = True

    def set_active(self, is_active: bool) -> None:
        """Activate or deactivate FCI; without it connections are refused."""
        if is_active == self.is_active:
            return
        self.is_active = is_active
        if is_active:
            self.init()
        else:
            self.cleanup()
            self.reset_state()

    def run_cycle(self) -> None:
        """Do one cycle: take the client's answer and commands, move, send the state."""
        command = self._await_answer()
        self._serve_commands()
        was_lost = self.box.advance(command)
        self._send_state()
        self._record(was_lost)

    def _record(self, was_lost: bool) -> None:
        arm, box = self.box.arm, self.box
        self.oracle.write(box.cycle, arm.q, arm.dq, (box.mode, box.in_motion, was_lost))

    def _reset_state(self) -> None:
        self._awaits_answer = False
        self._client_is_silent = False
        self.box.forget_client()

    def _process_udp_commands(self) -> None:
        """Leave datagrams to `_await_answer`."""

    def _serve_commands(self) -> None:
        if not self.is_active:
            return
        try:
            self.process_commands()
        except (KeyError, ValueError, OSError, struct.error):
            # A malformed message or a client that has gone ends its connection, not the robot.
            self.reset_state()

    def _await_answer(self) -> UDPCommand | None:
        """Return the command for this cycle; None if there is none or it is lost."""
        began_s = time.perf_counter()
        while self.box.in_motion and self.udp_connected:
            has_answered, command = self._read_commands()
            if has_answered:
                self._client_is_silent = False
                return command
            if not self._awaits_answer:
                return None
            left_s = began_s + self._longest_wait_s() - time.perf_counter()
            if left_s <= 0.0:
                self._client_is_silent = self.box.owes_command
                return None
            sockets = [self._FrankaServer__udp_socket, self._tcp_socket]
            ready, _, _ = select.select(sockets, [], [], left_s)
            if self._tcp_socket in ready:
                self._serve_commands()
        return None

    def _longest_wait_s(self) -> float:
        """Return how long to wait for the answer to the last state [s].

        libfranka reads two states of a new motion before it answers the second one. It skips
        states that are not the newest, so further ones must not be sent while it may be working
        on its answer.
        """
        began_at = self.box.awaits_first_since
        if began_at is not None:
            return 0.0 if self.box.cycle <= began_at + 1 else _FIRST_ANSWER_S
        return self._patience_s if self.box.owes_command and not self._client_is_silent else 0.0

    def _read_commands(self) -> tuple[bool, UDPCommand | None]:
        """Read what lies in the socket.

        Returns:
            Whether the client has answered the last state, and the command if it has arrived.
        """
        cycle = self.box.cycle
        self.late_commands += len(self.faults.commands.arrivals(cycle))
        while (data := self._next_datagram()) is not None:
            (answered_cycle,) = _MESSAGE_ID.unpack_from(data)
            packets = self.faults.commands.send(data, cycle)
            arrived = [UDPCommand.from_bytes(packet) for packet in packets]
            if answered_cycle == cycle:
                self.late_commands += max(len(arrived) - 1, 0)
                return True, arrived[0] if arrived else None
            self._client_is_silent = False
            began_at = self.box.awaits_first_since
            if arrived and began_at is not None and answered_cycle >= began_at:
                self.box.start_late(arrived[0])
                self._record(was_lost=False)
            else:
                self.late_commands += len(arrived)
        return False, None

    def _next_datagram(self) -> bytes | None:
        """Return the next well-formed datagram."""
        while True:
            try:
                data: bytes = self._FrankaServer__udp_socket.recv(4096)
            except BlockingIOError:
                return None
            if len(data) == UDPCommand.STRUCT.size:
                return data

    def _send_state(self) -> None:
        cycle = self.box.cycle
        self._awaits_answer = False
        if not self.udp_connected:
            return
        for packet in self.faults.states.arrivals(cycle):
            self._send(packet)
        packet = _MESSAGE_ID.pack(cycle) + self._get_state_bytes()
        for copy in self.faults.states.send(packet, cycle):
            self._send(copy)
            self._awaits_answer = True

    def _send(self, packet: bytes) -> None:
        client = (self._FrankaServer__client_address, self._FrankaServer__client_udp_port)
        self._FrankaServer__udp_socket.sendto(packet, client)

    def _get_state_bytes(self) -> bytes:
        box, message = self.box, self.robot.message
        arm = box.arm
        # Most of a state is the same while the arm rests.
        if arm.q is not self._shown_q:
            self._shown_q = arm.q
            message.write_joints(arm.q, arm.dq, arm.ddq)
            self.robot.write_pose(arm.pose(), arm.q)
            twist = arm.twist()
            message.write("O_dP_EE_d", twist)
            message.write("O_dP_EE_c", arm.commanded_twist or twist)
        message.write_modes(box.modes, box.errors, box.reflex_reason, box.success_rate)
        return bytes(message)

    def apply_state_faults(self) -> None:
        """Show the payload, frame and torques that the faults name."""
        self.robot.apply(self.faults)
        self._shown_q = None
