"""The motion core: states, leases and watchdogs around the set-point generator.

Deterministic and without a clock: `step` gets everything that happened since the last tick and
the time, and returns what shall be done. The rules are those of `faults-and-safety`, section 4:
nothing moves without an operator's action, every stop takes the lease away, latched states are
left on request only.
"""

from mail_policy.core.motion.arm_watch import ArmWatch
from mail_policy.core.motion.chunk_desk import ChunkDesk
from mail_policy.core.motion.config import MotionConfig
from mail_policy.core.motion.generator import SetPointGenerator
from mail_policy.core.motion.operator import (
    arming_refusal,
    home_path,
    refusal,
    start_refusal,
)
from mail_policy.core.motion.recovery import Recovery
from mail_policy.core.motion.status import HOMING_HOLDER, POLICY_HOLDER, ArmStatus, Lease
from mail_policy.core.motion.values import (
    Command,
    CommandName,
    Decision,
    MotionInputs,
    MotionOutputs,
    MotionState,
    Reply,
)
from mail_policy.core.robot_limits import RobotType, joint_limits, tightened
from mail_policy.core.types import ActionChunk, ArmReading

_S = MotionState
# More missed ticks than these are not made up for: the driver's dead-man has stopped the arm by
# then, and losing control is a fault.
_MOST_TICKS = 50


class MotionCore:
    """Decides what the arm does next.

    Args:
        config: All settings.
        robot_type: Selects the limits.
        epoch: First lease epoch; random per run.
    """

    def __init__(self, config: MotionConfig, robot_type: RobotType, epoch: int) -> None:
        self._config = config
        self._limits = tightened(joint_limits(robot_type), config.joints)
        self._status = ArmStatus(epoch)
        self._generator = SetPointGenerator(config, self._limits)
        self._desk = ChunkDesk(config, self._limits, self._generator)
        self._watch = ArmWatch(config.watchdogs)
        self._width_m: float | None = None
        self._last_robot_time_s: float | None = None
        self._recovery: Recovery | None = None
        self._replies: list[Reply] = []
        self._hard_stop = self._wants_recovery = False

    @property
    def state(self) -> MotionState:
        """What the arm is doing."""
        return self._status.state

    def step(self, inputs: MotionInputs, now_s: float) -> MotionOutputs:
        """Take one tick.

        Args:
            inputs: What happened since the last tick.
            now_s: Time of the reading [s], on the clock that stamps observations; it runs with
                the robot's own clock.
        """
        self._replies, self._hard_stop, self._wants_recovery = [], False, False
        self._watch_arm(inputs, now_s)
        for command in inputs.commands:
            self._obey(command, inputs.reading, now_s)
        self._watch_recovery(inputs, now_s)
        self._watch_lease(inputs, now_s)
        decision = self._consider(inputs.chunk, now_s) if inputs.chunk is not None else None
        self._move(inputs.reading, now_s)
        return self._outputs(inputs.reading, decision)

    def _watch_arm(self, inputs: MotionInputs, now_s: float) -> None:
        found = self._watch.judge(self._status, inputs, now_s)
        if found is not None:
            state, cause = found
            if state in (_S.HOLD, _S.STOPPED):
                self._generator.brake()
            self._status.enter(state, cause, now_s)

    # Requests of the operator.

    def _obey(self, command: Command, reading: ArmReading | None, now_s: float) -> None:
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
            self._recover(command)
        else:
            self._change_state(command, now_s)

    def _reply(self, command: Command, refused: str, done: str = "", epoch: int = 0) -> None:
        self._replies.append(Reply(command.number, not refused, refused or done, epoch))

    def _arm(self, command: Command, reading: ArmReading, now_s: float) -> None:
        refused = arming_refusal(reading, self._limits, self._config.envelope)
        if not refused:
            self._generator.start_at(reading.commanded_joint_positions)
            self._status.enter(_S.READY, "armed by the operator", now_s)
        self._reply(command, refused, "armed; the arm holds its position")

    def _home(self, command: Command, now_s: float) -> None:
        current = self._generator.current
        path = home_path(current.positions, current.progress_s, self._limits, self._config)
        if isinstance(path, str) or not self._generator.is_at_rest:
            why = path if isinstance(path, str) else "the arm is not at rest yet; try again"
            self._reply(command, f"cannot home: {why}")
            return
        self._status.grant(_lease(HOMING_HOLDER, "", now_s, path.end_s - path.start_s + 60.0))
        self._status.enter(_S.HOMING, "homing on the operator's request", now_s)
        self._generator.follow(path)
        if self._config.homing.open_gripper:
            self._width_m = self._config.admission.max_gripper_width_m
        self._reply(command, "", "homing; arm/state says when it is done")

    def _start_policy(self, command: Command, now_s: float) -> None:
        refused = start_refusal(command)
        if refused:
            self._reply(command, refused)
            return
        self._status.grant(_lease(POLICY_HOLDER, command.task, now_s, command.max_duration_s))
        self._status.enter(_S.POLICY, "waiting for the first chunk", now_s)
        self._desk.begin()
        done = f"the policy may move the arm for {command.max_duration_s:.0f} s"
        self._reply(command, "", done, self._status.epoch)

    def _recover(self, command: Command) -> None:
        if self._recovery is not None:
            self._reply(command, "a recovery is under way; wait for its answer")
            return
        self._recovery, self._wants_recovery = Recovery(command), True

    def _change_state(self, command: Command, now_s: float) -> None:
        name = command.name
        if name is CommandName.ESTOP:
            self._hard_stop = True
            self._status.enter(_S.ESTOP, "emergency stop by the operator", now_s)
        elif name is CommandName.STOP and self._status.is_controlled:
            self._generator.brake()
            self._status.enter(_S.STOPPED, "stopped by the operator", now_s)
        elif name is CommandName.RESUME:
            self._status.enter(_S.READY, "resumed by the operator", now_s)
        elif name in (CommandName.DISARM, CommandName.RESET_ESTOP):
            self._status.enter(_S.IDLE, f"{name.value} by the operator", now_s)
        elif name is CommandName.SHUTDOWN:
            self._generator.brake()
            self._status.enter(_S.SHUTDOWN, "the node shuts down", now_s)
        self._reply(command, "", f"{self._status.state.value}: {self._status.cause}")

    # Watchdogs.

    def _watch_recovery(self, inputs: MotionInputs, now_s: float) -> None:
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

    def _watch_lease(self, inputs: MotionInputs, now_s: float) -> None:
        lease, limits = self._status.lease, self._config.watchdogs
        if lease is None or lease.holder != POLICY_HOLDER:
            return
        # A chunk of another epoch is not from this lease's holder, and keeps nothing alive.
        chunk = inputs.chunk
        if inputs.heartbeat or (chunk is not None and chunk.lease_epoch == self._status.epoch):
            lease.heard_at_s = now_s
        silent_s, held_s = now_s - lease.heard_at_s, now_s - self._status.entered_at_s
        if now_s > lease.ends_at_s:
            self._generator.brake()
            self._status.enter(_S.READY, "the policy's time is over", now_s)
        elif silent_s > limits.lease_ttl_s:
            self._stop(f"no sign of the policy for {silent_s:.2f} s", now_s)
        elif self._status.state is _S.HOLD and held_s > limits.hold_s:
            self._stop(f"held for {held_s:.1f} s: {self._status.cause}", now_s)
        elif lease.last_sequence < 0 and now_s - lease.granted_at_s > limits.first_chunk_s:
            self._stop(f"no accepted chunk within {limits.first_chunk_s} s", now_s)

    def _stop(self, cause: str, now_s: float) -> None:
        self._generator.brake()
        self._status.enter(_S.STOPPED, cause, now_s)

    def _consider(self, chunk: ActionChunk, now_s: float) -> Decision:
        view, lease = self._status.view(), self._status.lease
        decision, stop_cause = self._desk.consider(chunk, view, now_s, self._watch.hand_on_arm)
        if stop_cause:
            self._stop(stop_cause, now_s)
        elif decision.accepted and lease is not None:
            lease.last_sequence = chunk.sequence
            lease.last_observed_at_s = chunk.observed_at_s
            self._status.enter(_S.POLICY, f"following {lease.task!r}", now_s)
        return decision

    # Motion.

    def _move(self, reading: ArmReading | None, now_s: float) -> None:
        for time_s in self._tick_times(reading, now_s):
            violation = self._generator.tick(time_s)
            if violation:
                self._hard_stop = True
                self._status.enter(_S.ESTOP, f"set-point check failed: {violation}", now_s)
                return
        if self._status.state is _S.HOMING:
            self._watch_homing(now_s)
        elif self._status.state is _S.POLICY and self._desk.plan is not None:
            self._width_m = self._desk.plan.width_at(self._generator.progress_s)
            if self._generator.is_lost:
                self._generator.give_up()
                self._status.enter(_S.HOLD, "a limit keeps the arm from its path", now_s)
            elif not self._generator.has_path:
                self._status.enter(_S.HOLD, "the chunk ended without a successor", now_s)

    def _watch_homing(self, now_s: float) -> None:
        if self._generator.is_lost:
            self._generator.give_up()
            self._status.enter(_S.STOPPED, "a limit keeps the arm from its way home", now_s)
        elif self._generator.is_at_rest:
            self._status.enter(_S.READY, "at home", now_s)

    def _tick_times(self, reading: ArmReading | None, now_s: float) -> list[float]:
        """Return the times of the ticks that the robot's clock has passed since the last step."""
        tick_s = self._config.tick_s
        if reading is None or not self._moves_set_point():
            self._last_robot_time_s = None
            return []
        if self._last_robot_time_s is None:
            self._last_robot_time_s = reading.robot_time_s - tick_s
        passed_s = reading.robot_time_s - self._last_robot_time_s
        ticks = min(_MOST_TICKS, int(passed_s / tick_s + 0.5))
        if ticks > 0:
            self._last_robot_time_s = (
                reading.robot_time_s
                if ticks == _MOST_TICKS
                else self._last_robot_time_s + ticks * tick_s
            )
        return [now_s - (ticks - 1 - i) * tick_s for i in range(ticks)]

    def _moves_set_point(self) -> bool:
        stopping = self._status.state is _S.SHUTDOWN and not self._generator.is_at_rest
        return self._status.is_controlled or stopping

    def _outputs(self, reading: ArmReading | None, decision: Decision | None) -> MotionOutputs:
        status, controlled = self._status, self._moves_set_point() and reading is not None
        return MotionOutputs(
            state=status.state,
            cause=status.cause,
            lease_holder=status.lease.holder if status.lease else "",
            lease_epoch=status.epoch,
            task=status.lease.task if status.lease else "",
            wants_control=controlled,
            set_point=self._generator.set_point if controlled else None,
            hard_stop=self._hard_stop,
            wants_recovery=self._wants_recovery,
            gripper_width_m=self._width_m,
            decision=decision,
            replies=tuple(self._replies),
            accepted_chunks=self._desk.accepted,
            rejected_chunks=self._desk.rejected,
        )


def _lease(holder: str, task: str, now_s: float, duration_s: float) -> Lease:
    return Lease(holder, task, now_s, now_s + duration_s, now_s)
