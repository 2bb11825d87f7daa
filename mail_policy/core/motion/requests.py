"""Carries out what the operator asks for, and answers."""

from mail_policy.core.motion.chunk_desk import ChunkDesk
from mail_policy.core.motion.config import MotionConfig
from mail_policy.core.motion.estop import EstopWatch
from mail_policy.core.motion.governor import Governor
from mail_policy.core.motion.operator import (
    arming_refusal,
    arming_warning,
    home_path,
    refusal,
    start_refusal,
)
from mail_policy.core.motion.recovery import Recovery
from mail_policy.core.motion.status import HOMING_HOLDER, POLICY_HOLDER, Lease
from mail_policy.core.motion.values import (
    Command,
    CommandName,
    MotionInputs,
    MotionState,
    Reply,
)
from mail_policy.core.robot_limits import JointLimits
from mail_policy.core.types import ArmReading

_S = MotionState
# Longest homing beyond the time of its path [s].
_HOMING_GRACE_S = 60.0
# A resumed policy gets at least this [s].
_SHORTEST_RESUMPTION_S = 1.0


class RequestDesk:
    """Serves an operator.

    Args:
        config: All settings.
        limits: Working limits of the joints.
        governor: State and motion of the arm.
        chunks: Serves the policy once it has a lease.
        estop: Must not be pressed when the arm is armed.
    """

    def __init__(
        self,
        config: MotionConfig,
        limits: JointLimits,
        governor: Governor,
        chunks: ChunkDesk,
        estop: EstopWatch,
    ) -> None:
        self._config = config
        self._limits = limits
        self._governor = governor
        self._status = governor.status
        self._generator = governor.generator
        self._chunks = chunks
        self._estop = estop
        self._recovery: Recovery | None = None
        self.begin_tick()

    def begin_tick(self) -> None:
        """Forget what the last tick answered."""
        self.replies: list[Reply] = []
        self.wants_recovery = False
        self.opens_gripper = False

    def obey(self, command: Command, reading: ArmReading | None, now_s: float) -> None:
        """Carry out a request, or refuse it with a remedy."""
        refused = refusal(command, self._status.state)
        if refused:
            self._reply(command, refused)
            return
        name = command.name
        if name is CommandName.ARM and reading is not None:
            self._arm(command, reading, now_s)
        elif name is CommandName.HOME:
            self._home(command, now_s)
        elif name is CommandName.START_POLICY:
            self._start_policy(command, now_s)
        elif name is CommandName.RECOVER:
            self._recover(command, reading)
        elif name is CommandName.RESUME:
            self._resume(command, now_s)
        else:
            self._change_state(command, now_s)

    def _reply(self, command: Command, refused: str, done: str = "", epoch: int = 0) -> None:
        self.replies.append(Reply(command.number, not refused, refused or done, epoch))

    def _arm(self, command: Command, reading: ArmReading, now_s: float) -> None:
        refused = self._estop.alarm(now_s) or arming_refusal(
            reading, self._limits, self._config.envelope
        )
        if not refused:
            self._generator.start_at(reading.commanded_joint_positions)
            self._status.enter(_S.READY, "armed by the operator", now_s)
        done = f"armed; the arm holds its position{arming_warning(reading)}"
        self._reply(command, refused, done)

    def _home(self, command: Command, now_s: float) -> None:
        current = self._generator.current
        path = home_path(current.positions, current.progress_s, self._limits, self._config)
        if isinstance(path, str) or not self._generator.is_at_rest:
            why = path if isinstance(path, str) else "the arm is not at rest yet; try again"
            self._reply(command, f"cannot home: {why}")
            return
        self._status.grant(
            Lease.granted(HOMING_HOLDER, "", now_s, path.end_s - path.start_s + _HOMING_GRACE_S)
        )
        self._status.enter(_S.HOMING, "homing on the operator's request", now_s)
        self._generator.follow(path, self._generator.gap_to(path))
        if self._config.homing.open_gripper:
            self.opens_gripper = True
        self._reply(command, "", "homing; arm/state says when it is done")

    def _start_policy(self, command: Command, now_s: float) -> None:
        refused = start_refusal(command)
        if refused:
            self._reply(command, refused)
            return
        self._hand_to_policy(command.task, command.max_duration_s, now_s)
        done = f"the policy may move the arm for {command.max_duration_s:.0f} s"
        self._reply(command, "", done, self._status.epoch)

    def _hand_to_policy(self, task: str, duration_s: float, now_s: float) -> None:
        self._status.grant(Lease.granted(POLICY_HOLDER, task, now_s, duration_s))
        self._status.enter(_S.POLICY, "waiting for the first chunk", now_s)
        self._chunks.begin()

    def _resume(self, command: Command, now_s: float) -> None:
        """Leave a stop, or give the arm back to the policy that a person interrupted."""
        lease = self._status.interrupted
        if self._status.state is _S.STOPPED:
            self._status.enter(_S.READY, "resumed by the operator", now_s)
            self._reply(command, "", "ready; start the policy or teleoperate")
        elif lease is None:
            self._reply(command, "nothing to resume; start the policy with arm/start_policy")
        else:
            left_s = max(_SHORTEST_RESUMPTION_S, lease.ends_at_s - lease.heard_at_s)
            self._hand_to_policy(lease.task, left_s, now_s)
            done = f"the policy may move the arm again for {left_s:.0f} s"
            self._reply(command, "", done, self._status.epoch)

    def _recover(self, command: Command, reading: ArmReading | None) -> None:
        if self._recovery is not None:
            self._reply(command, "a recovery is under way; wait for its answer")
            return
        if reading is None:
            self._reply(command, "there is no link to the robot; check it, then try again")
            return
        self._recovery, self.wants_recovery = Recovery(command), True

    def _change_state(self, command: Command, now_s: float) -> None:
        name = command.name
        if name is CommandName.ESTOP:
            self._governor.enter(_S.ESTOP, "emergency stop by the operator", now_s)
        elif name is CommandName.STOP and self._status.is_controlled:
            self._governor.enter(_S.STOPPED, "stopped by the operator", now_s)
        elif name is CommandName.RESET_ESTOP and self._estop.alarm(now_s):
            self._reply(command, f"cannot reset: {self._estop.alarm(now_s)}")
            return
        elif name in (CommandName.DISARM, CommandName.RESET_ESTOP):
            self._status.enter(_S.IDLE, f"{name.value} by the operator", now_s)
        elif name is CommandName.SHUTDOWN:
            self._governor.enter(_S.SHUTDOWN, "the node shuts down", now_s)
        self._reply(command, "", f"{self._status.state.value}: {self._status.cause}")

    def watch_recovery(self, inputs: MotionInputs, now_s: float) -> None:
        """Answer a recovery when its result is known."""
        recovery, reading = self._recovery, inputs.reading
        if recovery is None:
            return
        if self._status.state is _S.FAULT:
            failed = recovery.update(inputs.recovered, reading, now_s)
        else:
            failed = f"the arm went to {self._status.state.value}: {self._status.cause}"
        if failed is None:
            return
        self._recovery = None
        if failed or reading is None:
            self._reply(recovery.command, failed)
            return
        self._status.enter(_S.IDLE, "recovered", now_s)
        self._arm(recovery.command, reading, now_s)
