"""Whatever happens, in any order: limits and the rules of the states hold."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from mail_policy.core.motion.checker import SetPointChecker
from mail_policy.core.motion.values import LATCHED_STATES, MOVING_STATES, CommandName
from mail_policy.core.robot_limits import RobotType, joint_limits, tightened
from tests.unit.motion_rig import TICK_S, Rig

EVENTS = st.one_of(
    st.tuples(st.just("command"), st.sampled_from(list(CommandName))),
    st.tuples(st.just("chunk"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("wait"), st.integers(1, 60)),
    st.tuples(st.just("silence"), st.integers(1, 30)),
    st.tuples(st.just("fault"), st.sampled_from(["reflex", "user_stopped", "guiding", "link"])),
)


def play(rig: Rig, event: tuple[str, object]) -> None:
    kind, value = event
    if kind == "command":
        rig.ask(value, task="open the top drawer", max_duration_s=5.0)  # type: ignore[arg-type]
    elif kind == "chunk":
        rng = np.random.default_rng(int(value))  # type: ignore[call-overload]
        values = rng.normal(0, rng.choice([0.002, 0.01, 0.03]), (int(rng.integers(2, 20)), 7))
        values += np.concatenate([rng.normal(0, 0.01, 6), [0.04]])
        rig.step(chunk=rig.chunk(values, age_s=float(rng.uniform(0.0, 0.2))))
    elif kind == "wait":
        rig.wait(int(value))  # type: ignore[call-overload]
    elif kind == "silence":
        rig.wait(int(value), heartbeat=False)  # type: ignore[call-overload]
    elif value == "link":
        rig.step(linked=False)
    else:
        rig.mode = str(value)
        rig.step()
        rig.mode = ""


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(RobotType)), st.lists(EVENTS, max_size=40))
def test_whatever_happens_set_points_keep_the_limits_and_states_their_rules(
    robot_type: RobotType, events: list[tuple[str, object]]
) -> None:
    rig = Rig(robot_type)
    rig.start_policy()
    for event in events:
        play(rig, event)
    limits = tightened(joint_limits(robot_type), rig.config.joints)
    checker = SetPointChecker(limits, rig.config.envelope, TICK_S)
    asked = {"resume", "recover", "reset_estop"}
    checker.reset(HOME_JOINT_POSITIONS)
    before = rig.outputs[0]
    for outputs in rig.outputs[1:]:
        assert "check failed" not in outputs.cause
        assert outputs.lease_epoch >= before.lease_epoch
        assert not (outputs.may_move and outputs.lease_holder == "")
        assert outputs.may_move == (outputs.state in MOVING_STATES)
        if before.state in LATCHED_STATES and not outputs.replies:
            assert outputs.state in LATCHED_STATES | {"user_stop", "guiding"}, asked
        if outputs.set_point is None:
            checker.reset(rig.positions)
        elif before.set_point is None:
            checker.reset(outputs.set_point.positions)
        else:
            assert checker.violation(outputs.set_point.positions) == ""
        before = outputs
