"""Random operators, policies, persons and robots: no sequence of events breaks the rules.

Rules (faults-and-safety, sections 4.2 and 4.3): nothing moves without an operator's or a person's
action, latched states are left on request only, every stop takes the lease away, the epoch only
grows, and every set-point keeps every limit by the independent checker.
"""

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mail_policy.core.motion.checker import SetPointChecker
from mail_policy.core.motion.config import AdmissionConfig, MotionConfig
from mail_policy.core.motion.values import (
    CONTROLLED_STATES,
    LATCHED_STATES,
    MOVING_STATES,
    CommandName,
    MotionOutputs,
    MotionState,
)
from mail_policy.core.robot_limits import RobotType, joint_limits, tightened
from mail_policy.core.types import TeleopCommand
from tests.unit.motion_rig import TASK, TICK_S, Rig

_S = MotionState
# Requests that may end a latched state.
RELEASES = {
    _S.STOPPED: {CommandName.RESUME, CommandName.DISARM, CommandName.ESTOP, CommandName.SHUTDOWN},
    _S.FAULT: {CommandName.RECOVER, CommandName.ESTOP, CommandName.SHUTDOWN},
    _S.ESTOP: {CommandName.RESET_ESTOP, CommandName.SHUTDOWN},
}
# The robot itself may take the arm out of our hands at any time, which moves nothing.
BY_THE_ROBOT = {_S.FAULT, _S.USER_STOP, _S.GUIDING, _S.OFFLINE, _S.ESTOP}
COMMANDS = [name for name in CommandName if name is not CommandName.SHUTDOWN]
# Longest braking, including what the filter needs to settle [ticks].
REST_TICKS = 70


class Machine(RuleBasedStateMachine):
    """One run of a core and of everything around it."""

    def __init__(self) -> None:
        super().__init__()
        admission = AdmissionConfig(max_rejected_share=0.9)
        self.rig = Rig(RobotType.FER, replace(MotionConfig(), admission=admission))
        config = self.rig.config
        limits = tightened(joint_limits(RobotType.FER), config.joints)
        self.checker = SetPointChecker(limits, config.envelope, TICK_S)
        self.checked = self.jumped = False
        self.resting_ticks = 0
        self.last_target: np.ndarray | None = None
        self.commands: tuple[CommandName, ...] = ()
        self.person_holds = False
        self.teleop_sequence = 0
        self.rig.step()
        self.before: MotionOutputs = self.rig.last

    def tick(self, *commands: CommandName, **events: object) -> None:
        """Let one tick pass, then hold the core to the rules."""
        self.before, self.commands = self.rig.last, commands
        teleop = events.get("teleop")
        self.person_holds = isinstance(teleop, TeleopCommand) and teleop.dead_man
        if commands:
            arguments = {"task": TASK, "max_duration_s": 5.0}
            self.rig.ask(commands[0], **arguments)
        else:
            self.rig.step(**events)  # type: ignore[arg-type]
        self.check()

    def check(self) -> None:
        """Compare the newest outputs with the ones before."""
        before, after = self.before, self.rig.last
        asked = set(self.commands)
        done = any(reply.success for reply in after.replies)
        if before.state in LATCHED_STATES and after.state is not before.state:
            released = bool(asked & RELEASES[before.state]) or (before.state is _S.FAULT and done)
            assert released or after.state in BY_THE_ROBOT, (before.state, after.state, after.cause)
        if after.state in MOVING_STATES and before.state not in MOVING_STATES:
            self.check_start(before, after, asked, done)
        if after.state is _S.TELEOP and before.state is not _S.TELEOP:
            assert self.person_holds
        assert after.lease_epoch >= before.lease_epoch
        if before.lease_holder and not after.lease_holder:
            assert after.lease_epoch > before.lease_epoch
        assert bool(after.lease_holder) <= (after.state in MOVING_STATES | {_S.HOLD})
        assert not after.hard_stop or after.state is _S.ESTOP
        assert "set-point check failed" not in after.cause
        self.check_set_point(before, after)

    def check_start(
        self, before: MotionOutputs, after: MotionOutputs, asked: set[CommandName], done: bool
    ) -> None:
        """A moving state begins by an action of a person, or continues a lease after a hold."""
        if after.state is _S.TELEOP:
            assert self.person_holds
        elif before.state is _S.HOLD and not done:
            assert after.lease_epoch == before.lease_epoch
            assert after.decision is not None
            assert after.decision.accepted
        else:
            assert done
            wanted = (
                {CommandName.HOME}
                if after.state is _S.HOMING
                else {CommandName.START_POLICY, CommandName.RESUME}
            )
            assert asked & wanted

    def check_set_point(self, before: MotionOutputs, after: MotionOutputs) -> None:
        """Every set-point keeps every limit, and a resting arm rests."""
        if after.set_point is None:
            self.checked, self.jumped, self.resting_ticks, self.last_target = False, False, 0, None
            return
        target = after.set_point.positions
        # After a jump several ticks come at once; only the core's own checker sees each of them.
        if not self.checked or self.jumped:
            self.checker.reset(target)
            self.checked = True
        else:
            assert self.checker.violation(target) == ""
        rests = after.state not in MOVING_STATES and before.state not in MOVING_STATES
        self.resting_ticks = self.resting_ticks + 1 if rests else 0
        if self.resting_ticks > REST_TICKS and self.last_target is not None:
            assert np.abs(target - self.last_target).max() < 1e-4
        self.last_target = target

    # Events.

    @rule(name=st.sampled_from(COMMANDS))
    def operator_asks(self, name: CommandName) -> None:
        self.tick(name)

    @precondition(lambda self: self.rig.last.state not in CONTROLLED_STATES)
    @rule()
    def operator_brings_the_arm_up(self) -> None:
        self.rig.mode, self.rig.errors = "", ()
        self.tick(estop_beat=True)
        if self.rig.last.state is _S.ESTOP:
            self.tick(CommandName.RESET_ESTOP)
        if self.rig.last.state is _S.FAULT:
            self.tick(CommandName.RECOVER)
            for recovered in (True, None, None):
                self.tick(recovered=recovered)
        else:
            self.tick(CommandName.ARM)
        self.tick(estop_beat=True)

    @precondition(lambda self: self.rig.last.state is _S.READY)
    @rule(name=st.sampled_from([CommandName.HOME, *[CommandName.START_POLICY] * 3]))
    def operator_lets_it_move(self, name: CommandName) -> None:
        self.tick(name)
        self.tick(estop_beat=True)

    @precondition(lambda self: self.rig.last.state is _S.FAULT)
    @rule(agrees=st.booleans())
    def operator_recovers(self, agrees: bool) -> None:
        self.tick(CommandName.RECOVER)
        if agrees:
            self.rig.mode, self.rig.errors = "", ()
        for recovered in (agrees, None, None):
            self.before = self.rig.last
            self.rig.step(recovered=recovered)
            assert self.rig.last.state not in MOVING_STATES

    @rule(ticks=st.integers(1, 80), heartbeat=st.booleans(), beat=st.booleans())
    def time_passes(self, ticks: int, heartbeat: bool, beat: bool) -> None:
        for _ in range(ticks):
            self.tick(heartbeat=heartbeat, estop_beat=True if beat else None)

    @rule(
        direction=st.tuples(*[st.floats(-1.0, 1.0)] * 3),
        size_m=st.sampled_from([0.002, 0.008, 0.02, 0.05]),
        turn_rad=st.floats(-0.1, 0.1),
        age_s=st.floats(-0.05, 0.3),
        foreign=st.booleans(),
        ticks=st.integers(1, 30),
    )
    def policy_sends_a_chunk(
        self,
        direction: tuple[float, ...],
        size_m: float,
        turn_rad: float,
        age_s: float,
        foreign: bool,
        ticks: int,
    ) -> None:
        values = np.zeros((12, 7))
        values[:, :3] = size_m * np.array(direction)
        values[:, 3:6] = turn_rad
        values[:, 6] = 0.08
        epoch = self.rig.last.lease_epoch + int(foreign)
        self.tick(chunk=self.rig.chunk(values, age_s=age_s, lease_epoch=epoch))
        for _ in range(ticks):
            self.tick(estop_beat=True)

    @rule(bad=st.sampled_from([float("nan"), float("inf"), 1e308, -1e308]), row=st.integers(0, 11))
    def policy_sends_nonsense(self, bad: float, row: int) -> None:
        values = np.zeros((12, 7))
        values[row, row % 7] = bad
        self.tick(chunk=self.rig.chunk(values))
        decision = self.rig.last.decision
        assert decision is not None
        assert not decision.accepted

    @rule(
        dead_man=st.booleans(),
        twist=st.tuples(*[st.floats(-0.6, 0.6)] * 6),
        age_s=st.sampled_from([0.0, 0.05, 0.5]),
        repeats=st.integers(1, 15),
    )
    def person_commands(
        self, dead_man: bool, twist: tuple[float, ...], age_s: float, repeats: int
    ) -> None:
        for _ in range(repeats):
            self.tick(teleop=self.person(dead_man, twist, age_s), estop_beat=True)

    @precondition(lambda self: self.rig.last.state in CONTROLLED_STATES)
    @rule(twist=st.tuples(*[st.floats(-0.2, 0.2)] * 6), ticks=st.integers(1, 40))
    def person_takes_over(self, twist: tuple[float, ...], ticks: int) -> None:
        self.tick(teleop=self.person(False, twist), estop_beat=True)
        for _ in range(ticks):
            self.tick(teleop=self.person(True, twist), estop_beat=True)

    def person(self, dead_man: bool, twist: tuple[float, ...], age_s: float = 0.0) -> TeleopCommand:
        self.teleop_sequence += 1
        return TeleopCommand(
            source="test",
            sequence=self.teleop_sequence,
            sent_at_s=self.rig.now_s + TICK_S - age_s,
            dead_man=dead_man,
            twist=np.array(twist),
            joint_positions=None,
            gripper_width_m=None,
        )

    @precondition(lambda self: self.rig.last.state in MOVING_STATES)
    @rule(free=st.sampled_from([True, True, True, False]))
    def estop_beats(self, free: bool) -> None:
        self.tick(estop_beat=free)

    @precondition(lambda self: self.rig.last.state in CONTROLLED_STATES or self.rig.mode)
    @rule(mode=st.sampled_from(["", "", "", "user_stopped", "guiding", "reflex"]))
    def robot_changes_its_mode(self, mode: str) -> None:
        self.rig.mode = mode
        self.rig.errors = ("joint_reflex",) if mode == "reflex" else ()
        self.tick()

    @precondition(lambda self: self.rig.last.state in MOVING_STATES)
    @rule()
    def link_breaks(self) -> None:
        self.tick(linked=False, arm_fault="the cable is out")

    @precondition(lambda self: self.rig.last.state in CONTROLLED_STATES)
    @rule(passed_s=st.floats(0.0, 0.3))
    def robot_clock_jumps(self, passed_s: float) -> None:
        self.rig.robot_time_s += passed_s
        self.jumped = True
        self.tick()

    @rule(publishers=st.integers(0, 2))
    def programs_publish_chunks(self, publishers: int) -> None:
        self.tick(chunk_publishers=publishers)

    @invariant()
    def a_core_without_control_has_no_set_point(self) -> None:
        outputs = self.rig.last
        assert (outputs.set_point is not None) == outputs.wants_control or not self.rig.outputs


Machine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
TestMachine = Machine.TestCase
