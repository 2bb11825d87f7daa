"""Serves a simulated arm and hand over the robot's own network protocol, through franky-sim.

Three things differ from franky-sim's server: pacing (a slow client or renderer slows the world
instead of corrupting the motion), the hand (an interrupted command is answered, impossible
widths are refused, the commanded speed is kept), and the estimate of external torques, which
franky-sim fills with the motor torques.

The classes use private names of franky-sim 1.0.4; `tests/ros/test_fci_twin.py` is the contract
test that fails if another version moves them.
"""

import logging
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from franky_sim import FrankaRobotServer, SimulationServer
from franky_sim.constants import FRANKA_HAND_MAX_WIDTH, FRANKA_HAND_VELOCITY_LIMIT
from franky_sim.franka_gripper_protocol import GripperCommand, GripperCommandStatus
from franky_sim.franka_gripper_server import FrankaGripperServer
from franky_sim.franka_server import BaseCommand

logger = logging.getLogger(__name__)

STEP_S = 0.001
# The arm's own controller: torque = stiffness * (q_d - q) + damping * (dq_d - dq). franky-sim's
# gains of the wrist are lowered: its joints are so light that damping of 200 N m s/rad, applied
# in steps of 1 ms, lets joint 7 oscillate at 500 Hz. The ratio, which sets the lag, stays.
JOINT_STIFFNESS_NM_RAD = (4500.0, 4500.0, 3500.0, 3500.0, 1200.0, 1200.0, 900.0)
JOINT_DAMPING_NMS_RAD = (450.0, 450.0, 350.0, 350.0, 120.0, 120.0, 90.0)
# Longest wait for a client's answer [s]; libfranka gives up after 1 s without state.
_CLIENT_LIMIT_S = 0.05
# Lateness that is caught up by running faster than real time [s]; more is forgotten.
_CATCH_UP_S = 0.05
# Sending is one of the dear parts of a control step, and nobody reads the hand at 1 kHz.
_STEPS_PER_HAND_STATE = 10
# What franky-sim's hand uses for a Move [N].
_MOVE_FORCE_N = 70.0
# A width outside the stroke by less than this is rounding [m].
_WIDTH_TOLERANCE_M = 1e-6


class HandRamp:
    """Moves the goal of the fingers at the commanded speed; franky-sim only caps their speed."""

    def __init__(self, start_m: float, goal_m: float, speed_m_s: float, force_n: float) -> None:
        """Begin at the present width; all lengths are distances between the fingers [m]."""
        self._width_m, self._goal_m = start_m, goal_m
        self._speed_m_s = min(speed_m_s, 2 * FRANKA_HAND_VELOCITY_LIMIT)
        self.force_n = force_n

    def advance(self, duration_s: float) -> tuple[float, bool]:
        """Return the width to aim at after some time [m], and whether it is the goal."""
        step_m = self._speed_m_s * duration_s
        way_m = self._goal_m - self._width_m
        self._width_m += max(-step_m, min(step_m, way_m))
        return self._width_m, abs(way_m) <= step_m


class TwinGripperServer(FrankaGripperServer):  # type: ignore[misc]  # franky-sim has no types
    """The simulated Franka Hand."""

    # Where the fingers are going, while a Move or a Grasp runs.
    _ramp: HandRamp | None = None

    def start_move(self, width: float, speed: float, command_id: int, reply_to: Any) -> None:
        """Begin a Move, unless no hand can do it."""
        if self._refuse(width, speed, GripperCommand.kMove, command_id, reply_to):
            return
        ramp = HandRamp(self._robot.hand_width, width, speed, _MOVE_FORCE_N)
        super().start_move(width, speed, command_id, reply_to)
        self._ramp = ramp

    def start_grasp(self, width: float, speed: float, *goal_and_client: Any) -> None:
        """Begin a Grasp, unless no hand can do it."""
        force, _, _, command_id, reply_to = goal_and_client
        if self._refuse(width, speed, GripperCommand.kGrasp, command_id, reply_to):
            return
        ramp = HandRamp(self._robot.hand_width, width, speed, force)
        super().start_grasp(width, speed, *goal_and_client)
        self._ramp = ramp

    def stop(self, command_id: int, tcp_socket: socket.socket) -> None:
        """Stop the fingers, and tell whoever waits for the interrupted command."""
        self._answer_pending(GripperCommandStatus.kAborted)
        self._ramp = None
        super().stop(command_id, tcp_socket)

    def _start_motion(self, *arguments: Any) -> None:
        self._answer_pending(GripperCommandStatus.kAborted)
        self._ramp = None
        super()._start_motion(*arguments)

    def _post_process_commands(self) -> None:
        if self._ramp is not None:
            width_m, has_arrived = self._ramp.advance(STEP_S)
            self._robot.set_hand_goal(width_m, FRANKA_HAND_VELOCITY_LIMIT, self._ramp.force_n)
            if not has_arrived:
                # Slow fingers must not be taken for fingers that have stopped.
                self._settling_steps = 0
        super()._post_process_commands()

    def _reset_state(self) -> None:
        # The client whose command was running has gone.
        self._pending_command_id = None
        self._pending_tcp_socket = None

    def _refuse(
        self, width: float, speed: float, command: GripperCommand, command_id: int, reply_to: Any
    ) -> bool:
        low, high = -_WIDTH_TOLERANCE_M, FRANKA_HAND_MAX_WIDTH + _WIDTH_TOLERANCE_M
        if low <= width <= high and speed > 0.0:
            return False
        logger.warning("hand refused width %.4f m at %.4f m/s", width, speed)
        self._answer(reply_to, command, command_id, GripperCommandStatus.kFail)
        return True

    def _answer_pending(self, status: GripperCommandStatus) -> None:
        if self._pending_command_id is None or self._pending_tcp_socket is None:
            return
        self._answer(
            self._pending_tcp_socket, self._pending_command_type, self._pending_command_id, status
        )
        self._pending_command_id = None

    @staticmethod
    def _answer(
        reply_to: Any, command: GripperCommand | None, command_id: int, status: GripperCommandStatus
    ) -> None:
        BaseCommand.send_response(
            reply_to, command, command_id, status, command_type_struct="H", status_type_struct="H"
        )


class TwinRobotServer(FrankaRobotServer):  # type: ignore[misc]
    """The simulated arm's control box."""

    _steps = 0

    def _bind_children(self, hostname: str) -> None:
        gripper_server = TwinGripperServer(self.robot, hostname)
        gripper_server.init()
        self._FrankaRobotServer__gripper_server = gripper_server

    @property
    def robot_state(self) -> Any:
        """The state that is sent, without the motor torques in place of external ones."""
        state = super().robot_state
        # The state was made for this call. Another `replace` would cost a tenth of a control step.
        object.__setattr__(state, "tau_ext_hat_filtered", (0.0,) * 7)
        return state

    def send_state(self) -> None:
        """Send the arm's state in every step and the hand's, like the real one, less often."""
        super(FrankaRobotServer, self).send_state()
        self._steps += 1
        if self._steps % _STEPS_PER_HAND_STATE == 0:
            self.gripper_server.send_state()

    def await_answer(self, timeout_s: float) -> None:
        """Wait for the set-point that a client in control owes for the last state."""
        if self.current_motion_id and self.udp_connected:
            select.select([self._FrankaServer__udp_socket], [], [], timeout_s)

    def process_commands(self) -> None:
        """Handle what clients sent; a malformed message ends its connection, not the robot."""
        try:
            super().process_commands()
        except (KeyError, ValueError, struct.error) as error:
            logger.warning("dropped a client that sent a malformed message: %r", error)
            self.reset_state()
            self.gripper_server.reset_state()


class LockstepServer(SimulationServer):  # type: ignore[misc]
    """Runs physics and protocol in step with the client, at 1 kHz or slower, never faster."""

    def __init__(self, simulator: Any, address: str, after_step: Callable[[], None]) -> None:
        """Prepare to serve.

        Args:
            simulator: The furnished franky-sim simulator with one robot.
            address: Loopback address to bind.
            after_step: Called after every control step; may wait for a few milliseconds.
        """
        super().__init__(simulator, hostname_candidates=[address])
        self._after_step = after_step
        self._next_step_s = 0.0

    def init(self) -> None:
        """Bind the ports, then build the world."""
        for robot in self.sim.robots:
            server = TwinRobotServer(robot, self._hostname_candidates)
            server.init()
            self.robot_servers.append(server)
        self.sim.start()
        self._next_step_s = time.perf_counter()

    def run_once(self, realtime: bool | float = True) -> None:
        """Do one control step of 1 ms: commands, physics, state, then wait for its time."""
        for server in self.robot_servers:
            server.await_answer(_CLIENT_LIMIT_S)
            server.process_commands()
        self.sim.step()
        for server in self.robot_servers:
            server.send_state()
        self._after_step()
        if realtime:
            self._keep_schedule()

    def _keep_schedule(self) -> None:
        self._next_step_s += STEP_S
        now_s = time.perf_counter()
        if self._next_step_s > now_s:
            time.sleep(self._next_step_s - now_s)
        else:
            self._next_step_s = max(self._next_step_s, now_s - _CATCH_UP_S)
