"""Modes, motions and errors of the robot, cycle by cycle. No sockets and no clock.

What Franka does not document is assumed, and marked here:

- A reflex ends the motion at once for the client, while the arm still brakes.
- Guiding aborts a motion without an error flag.
- A recovery takes 20 ms, and waits until the arm is at rest.
- A client that goes away in the middle of a motion is noticed by its missing commands only.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from franky_sim.franka_robot_protocol import (
    AutomaticErrorRecoveryStatus,
    MoveCommandControllerMode,
    MoveCommandMotionGeneratorMode,
    MoveStatus,
    RobotMode,
    StateControllerMode,
    StateMotionGeneratorMode,
    UDPCommand,
)

from tests.fci.errors import NO_ERRORS, error_flags
from tests.fci.faults import RobotFaults
from tests.fci.kinematic_arm import KinematicArm

Reply = Callable[[IntEnum], None]
# Franka documentation, "libfranka": more lost cycles in a row than this end the motion.
MAX_LOST_IN_A_ROW = 20
_RATE_WINDOW = 100
_RECOVERY_CYCLES = 20
# A client that never sends a first command is given up after this time [cycles].
_FIRST_COMMAND_CYCLES = 100
# StopMove and the setters answer 0 for success and 1 for "not possible in the current mode".
STOP_SUCCESS, STOP_NOT_POSSIBLE = MoveStatus(0), MoveStatus(1)
_GENERATORS = {
    MoveCommandMotionGeneratorMode.kJointPosition: StateMotionGeneratorMode.kJointPosition,
    MoveCommandMotionGeneratorMode.kJointVelocity: StateMotionGeneratorMode.kJointVelocity,
    MoveCommandMotionGeneratorMode.kCartesianPosition: StateMotionGeneratorMode.kCartesianPosition,
    MoveCommandMotionGeneratorMode.kCartesianVelocity: StateMotionGeneratorMode.kCartesianVelocity,
}


@dataclass
class _RunningMotion:
    """A motion between Move and its final answer."""

    generator: StateMotionGeneratorMode
    controller: StateControllerMode
    reply: Reply
    began_at: int
    has_commands: bool = False
    is_ending: bool = False
    lost_in_a_row: int = 0


class ControlBox:
    """Franka's Control, as far as a client can tell.

    Attributes:
        arm: What moves.
        cycle: Robot time [ms].
        errors: Flags of the errors that are active.
        reflex_reason: Flags of the errors that ended the last motion.
    """

    def __init__(self, arm: KinematicArm, faults: RobotFaults) -> None:
        self.arm = arm
        self.cycle = 0
        self.errors: Sequence[bool] = NO_ERRORS
        self.reflex_reason: Sequence[bool] = NO_ERRORS
        self._faults = faults
        self._motion: _RunningMotion | None = None
        self._stop_reply: Reply | None = None
        self._recovery_reply: Reply | None = None
        self._recovered_at = 0
        self._user_stopped = False
        self._guiding = False
        self._arrived: deque[bool] = deque(maxlen=_RATE_WINDOW)

    @property
    def in_motion(self) -> bool:
        """Whether a client's motion runs."""
        return self._motion is not None

    @property
    def owes_command(self) -> bool:
        """Whether the client must answer the next state with a command."""
        motion = self._motion
        return motion is not None and motion.has_commands and not motion.is_ending

    @property
    def awaits_first_since(self) -> int | None:
        """Cycle in which a motion began that has got no command yet; None if there is none."""
        motion = self._motion
        return None if motion is None or motion.has_commands else motion.began_at

    @property
    def mode(self) -> RobotMode:
        """The robot mode."""
        if self._user_stopped:
            return RobotMode.kUserStopped
        if self._recovery_reply is not None:
            return RobotMode.kAutomaticErrorRecovery
        if any(self.errors):
            return RobotMode.kReflex
        if self._guiding:
            return RobotMode.kGuiding
        if self._faults.joints_locked:
            return RobotMode.kOther
        return RobotMode.kMove if self._motion or not self.arm.at_rest else RobotMode.kIdle

    @property
    def modes(self) -> tuple[int, int, int]:
        """Motion generator mode, controller mode and robot mode."""
        motion = self._motion
        if motion is None:
            return (StateMotionGeneratorMode.kIdle, StateControllerMode.kOther, self.mode)
        return (motion.generator, motion.controller, self.mode)

    @property
    def success_rate(self) -> float:
        """Share of the last 100 commands that arrived; 0 if no motion runs, as in libfranka."""
        if self._faults.success_rate is not None:
            return self._faults.success_rate
        if self._motion is None or not self._arrived:
            return 0.0
        return sum(self._arrived) / len(self._arrived)

    def start(
        self,
        generator: MoveCommandMotionGeneratorMode,
        controller: MoveCommandControllerMode,
        reply: Reply,
    ) -> None:
        """Begin a motion, or refuse it. Torques are refused: this arm has no dynamics."""
        if self._faults.safety_function_active:
            reply(MoveStatus.kCommandRejectedDueToActivatedSafetyFunctions)
            return
        torques = controller is MoveCommandControllerMode.kExternalController
        if torques or generator not in _GENERATORS or self.mode is not RobotMode.kIdle:
            reply(MoveStatus.kCommandNotPossibleRejected)
            return
        mode = _GENERATORS[generator]
        self._motion = _RunningMotion(
            mode, StateControllerMode(controller.value), reply, began_at=self.cycle
        )
        self._arrived.clear()
        self.reflex_reason = NO_ERRORS
        self.arm.begin(mode)
        reply(MoveStatus.kMotionStarted)

    def stop(self, reply: Reply) -> None:
        """Brake on a client's request; answered once the arm is at rest."""
        if self.mode not in (RobotMode.kMove, RobotMode.kIdle):
            reply(STOP_NOT_POSSIBLE)
            return
        self._end_motion(MoveStatus.kPreempted)
        self._stop_reply = reply

    def recover(self, reply: Reply) -> None:
        """Begin an automatic error recovery, or refuse it."""
        if self._user_stopped or self._recovery_reply is not None:
            reply(AutomaticErrorRecoveryStatus.kCommandNotPossibleRejected)
            return
        answer = self._faults.answer_to_recovery()
        if answer is not AutomaticErrorRecoveryStatus.kSuccess:
            reply(answer)
            return
        self._recovery_reply = reply
        self._recovered_at = self.cycle + _RECOVERY_CYCLES

    def trip(self, names: Sequence[str]) -> None:
        """Enter the mode Reflex with some errors. Raises ValueError for unknown names."""
        flags = error_flags(names)
        pairs = zip(self.errors, flags, strict=True)
        self.errors = tuple(old or new for old, new in pairs)
        if self._motion is not None:
            self.reflex_reason = flags
            self._end_motion(MoveStatus.kReflexAborted)

    def set_user_stop(self, pressed: bool) -> None:
        """Press or release the user stop."""
        self._user_stopped = pressed
        if pressed:
            self._end_motion(MoveStatus.kEmergencyAborted)

    def set_guiding(self, pressed: bool) -> None:
        """Press or release the guiding buttons."""
        self._guiding = pressed
        if pressed:
            self._end_motion(MoveStatus.kAborted)

    def forget_client(self) -> None:
        """Owe no answers any more: the client's connection has ended."""
        if self._motion is not None:
            self._motion.reply = _no_reply
        self._stop_reply = None
        if self._recovery_reply is not None:
            self._recovery_reply = _no_reply

    def advance(self, command: UDPCommand | None) -> bool:
        """Execute one cycle; returns whether its command was lost.

        Args:
            command: The client's answer to the last state, if it came in time.
        """
        self.cycle += 1
        was_lost = self._motion is not None and self._advance_motion(self._motion, command)
        if self._motion is None:
            self.arm.brake()
            self._answer_at_rest()
        return was_lost

    def start_late(self, command: UDPCommand) -> None:
        """Execute the first command of a motion without a cycle of its own.

        The client has been sent another state since, which it answers next.
        """
        if self._motion is not None:
            self._motion.has_commands = True
            self._execute(self._motion, command)

    def _advance_motion(self, motion: _RunningMotion, command: UDPCommand | None) -> bool:
        if motion.is_ending:
            self.arm.brake()
            self._finish_at_rest()
            return False
        if command is not None:
            motion.has_commands = True
            motion.lost_in_a_row = 0
            self._arrived.append(True)
            self._execute(motion, command)
            return False
        if not motion.has_commands and self.cycle - motion.began_at < _FIRST_COMMAND_CYCLES:
            return False
        motion.has_commands = True
        motion.lost_in_a_row += 1
        self._arrived.append(False)
        if motion.lost_in_a_row > MAX_LOST_IN_A_ROW:
            self.trip(["communication_constraints_violation"])
        else:
            self.arm.extrapolate()
        return True

    def _execute(self, motion: _RunningMotion, command: UDPCommand) -> None:
        error = self.arm.follow(command)
        ends = command.motion_generation_finished
        if error is None and ends:
            error = self.arm.end_error()
        if error is not None:
            self.trip([error])
        elif ends:
            motion.is_ending = True
            self._finish_at_rest()

    def _finish_at_rest(self) -> None:
        if self.arm.at_rest:
            self._end_motion(MoveStatus.kSuccess)

    def _end_motion(self, status: MoveStatus) -> None:
        motion, self._motion = self._motion, None
        if motion is not None:
            motion.reply(status)

    def _answer_at_rest(self) -> None:
        if not self.arm.at_rest:
            return
        if self._stop_reply is not None:
            self._stop_reply(STOP_SUCCESS)
            self._stop_reply = None
        if self._recovery_reply is not None and self.cycle >= self._recovered_at:
            self.errors = NO_ERRORS
            reply, self._recovery_reply = self._recovery_reply, None
            reply(AutomaticErrorRecoveryStatus.kSuccess)


def _no_reply(status: IntEnum) -> None:
    """Answer a client that has gone."""
