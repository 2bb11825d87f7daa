"""The motion core: states, leases and watchdogs around the set-point generator.

Deterministic and without a clock: `step` gets everything that happened since the last tick and
the time, and returns what shall be done. The rules are those of `faults-and-safety`, section 4:
nothing moves without an operator's action, every stop takes the lease away, latched states are
left on request only.
"""

from dataclasses import replace

from mail_policy.core.frames import Array
from mail_policy.core.motion.arm_watch import ArmWatch
from mail_policy.core.motion.chunk_desk import ChunkDesk
from mail_policy.core.motion.config import MotionConfig
from mail_policy.core.motion.estop import EstopWatch
from mail_policy.core.motion.generator import SetPointGenerator
from mail_policy.core.motion.governor import Governor
from mail_policy.core.motion.lease_watch import LeaseWatch
from mail_policy.core.motion.requests import RequestDesk
from mail_policy.core.motion.status import TELEOP_HOLDER, ArmStatus, Lease
from mail_policy.core.motion.teleop import DeadMan, Switch, TeleopFollower
from mail_policy.core.motion.values import (
    Decision,
    MotionInputs,
    MotionOutputs,
    MotionState,
)
from mail_policy.core.motion.watchdogs import OscillationWatch
from mail_policy.core.robot_limits import RobotType, joint_limits, tightened
from mail_policy.core.types import ArmReading

_S = MotionState
# A person may take the arm over in these.
_OPEN_TO_TELEOP = {_S.READY, _S.HOMING, _S.POLICY, _S.HOLD}
# Somebody else decides where the arm goes in these.
_LED = {_S.POLICY, _S.TELEOP}
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
        self._lease_watch = LeaseWatch(config.watchdogs)
        self._estop = EstopWatch(config.watchdogs)
        self._dead_man = DeadMan(config.teleop)
        self._follower = TeleopFollower(self._limits, config.envelope, config.tick_s)
        self._oscillation = OscillationWatch(
            config.watchdogs.oscillation_rad_s, config.watchdogs.oscillation_per_s
        )
        self._is_taken_over = False
        self._width_m: float | None = None
        self._last_robot_time_s: float | None = None
        self._governor = Governor(self._status, self._generator)
        self._requests = RequestDesk(config, self._limits, self._governor, self._desk, self._estop)

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
        self._governor.begin_tick()
        self._requests.begin_tick()
        self._governor.take(self._watch.judge(self._status, inputs, now_s), now_s)
        self._watch_estop(inputs, now_s)
        for command in inputs.commands:
            self._requests.obey(command, inputs.reading, now_s)
        self._requests.watch_recovery(inputs, now_s)
        if self._status.lease is None:
            # What one lease wanted of the hand is nothing to the next one.
            self._width_m = None
        if self._requests.opens_gripper:
            self._width_m = self._config.admission.max_gripper_width_m
        self._heed_person(inputs, now_s)
        self._governor.take(self._lease_watch.judge(self._status, inputs, now_s), now_s)
        decision = self._consider(inputs, now_s)
        self._move(inputs.reading, now_s)
        if decision is not None and decision.accepted:
            decision = replace(decision, join_jump_rad=self._generator.jump_rad)
        return self._outputs(inputs.reading, decision)

    def _watch_estop(self, inputs: MotionInputs, now_s: float) -> None:
        self._estop.update(inputs.estop_beat, now_s)
        alarm = self._estop.alarm(now_s) if self._status.is_controlled else ""
        if alarm:
            self._governor.enter(_S.ESTOP, alarm, now_s)

    # Who moves the arm.

    def _heed_person(self, inputs: MotionInputs, now_s: float) -> None:
        switch = self._dead_man.update(inputs.teleop, now_s)
        if switch is Switch.PRESSED and self._status.state in _OPEN_TO_TELEOP:
            self._status.grant(Lease.granted(TELEOP_HOLDER, "", now_s, float("inf")))
            self._status.enter(_S.TELEOP, f"a person moves the arm by {_device(inputs)}", now_s)
            self._generator.brake()
            self._is_taken_over = False
        elif self._status.state is _S.TELEOP and switch not in (Switch.PRESSED, Switch.HELD):
            self._governor.enter(_S.HOLD, switch.value, now_s)

    def _consider(self, inputs: MotionInputs, now_s: float) -> Decision | None:
        chunk, lease = inputs.chunk, self._status.lease
        if chunk is None:
            return None
        decision, stop_cause = self._desk.consider(
            chunk,
            self._status.view(),
            now_s,
            hand_on_arm=self._watch.hand_on_arm,
            clock_offset_s=inputs.clock_offset_s,
        )
        if stop_cause:
            self._governor.enter(_S.STOPPED, stop_cause, now_s)
        elif decision.accepted and lease is not None:
            lease.last_sequence = chunk.sequence
            lease.last_observed_at_s = chunk.observed_at_s
            self._status.enter(_S.POLICY, f"following {lease.task!r}", now_s)
        return decision

    # Motion.

    def _move(self, reading: ArmReading | None, now_s: float) -> None:
        for time_s in self._tick_times(reading, now_s):
            violation = self._generator.tick(time_s, self._led_to())
            if violation:
                self._governor.enter(_S.ESTOP, f"set-point check failed: {violation}", now_s)
                return
            if self._status.state in _LED:
                self._watch_oscillation(time_s)
        if self._status.state is _S.HOMING:
            self._watch_homing(now_s)
        elif self._status.state is _S.TELEOP and self._dead_man.command is not None:
            wanted_m = self._dead_man.command.gripper_width_m
            self._width_m = self._width_m if wanted_m is None else wanted_m
        elif self._status.state is _S.POLICY and self._desk.plan is not None:
            self._width_m = self._desk.plan.width_at(self._generator.progress_s)
            if self._generator.is_lost:
                self._governor.enter(_S.HOLD, "a limit keeps the arm from its path", now_s)
            elif not self._generator.has_path:
                self._status.enter(_S.HOLD, "the chunk ended without a successor", now_s)

    def _led_to(self) -> Array | None:
        """Return where a person leads the arm [rad], None while nobody does."""
        if self._status.state is not _S.TELEOP:
            return None
        here = self._generator.set_point.positions
        if not self._is_taken_over:
            # First the arm stops, then it is the person's: a motion that began by itself must not
            # mix with that of the person.
            if not self._generator.is_at_rest:
                return None
            self._is_taken_over = True
            self._follower.begin(here)
        return self._follower.advance(self._dead_man.command, here)

    def _watch_oscillation(self, now_s: float) -> None:
        shakes = self._oscillation.update(self._generator.velocities, now_s)
        if shakes:
            self._oscillation.clear()
            self._governor.enter(_S.HOLD, shakes, now_s)

    def _watch_homing(self, now_s: float) -> None:
        if self._generator.is_lost:
            self._governor.enter(_S.STOPPED, "a limit keeps the arm from its way home", now_s)
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
        if passed_s > self._config.watchdogs.late_s + tick_s and self._status.state in _LED:
            self._governor.enter(
                _S.HOLD, f"a control tick came {passed_s - tick_s:.3f} s late", now_s
            )
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
            hard_stop=self._governor.hard_stop,
            wants_recovery=self._requests.wants_recovery,
            gripper_width_m=self._width_m,
            decision=decision,
            replies=tuple(self._requests.replies),
            accepted_chunks=self._desk.accepted,
            rejected_chunks=self._desk.rejected,
        )


def _device(inputs: MotionInputs) -> str:
    return inputs.teleop.source if inputs.teleop is not None else ""
