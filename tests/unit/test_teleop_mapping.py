"""What readings mean: limits, the switch, glitches, the gripper; judged by the arm's own rules."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_policy.core.devices import HAND_WIDTH_M
from mail_policy.core.frames import rotation_from_vector
from mail_policy.core.motion.config import TeleopConfig as ArmTeleopConfig
from mail_policy.core.motion.teleop import DeadMan, Switch
from mail_policy.core.types import TeleopCommand
from mail_teleop.mapping import ArmView, CommandMaker, Frame, MappingConfig
from mail_teleop.readings import AXES, DeviceReading, GripperAction, OperatorKey

STAMP_S = 50.0
UNKNOWN = ArmView()
HOME = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])


def pushed(push: dict[str, float] | None = None, **fields: Any) -> DeviceReading:
    motion = np.zeros(6)
    for axis, share in (push or {}).items():
        motion[AXES.index(axis)] = share
    return DeviceReading(**({"dead_man": True, "motion": motion} | fields))


def led(positions: np.ndarray, **fields: Any) -> DeviceReading:
    return DeviceReading(**({"dead_man": True, "joint_positions": positions} | fields))


def maker(**settings: Any) -> CommandMaker:
    return CommandMaker(
        "test", MappingConfig(**({"speed_steps": (1.0,), "first_step": 0} | settings))
    )


def make(maker: CommandMaker, reading: DeviceReading, arm: ArmView = UNKNOWN) -> TeleopCommand:
    command = maker.make(reading, STAMP_S, arm)
    assert command is not None
    return command


def ready(reading: DeviceReading | None = None, **settings: Any) -> CommandMaker:
    """Return a maker that saw the switch open."""
    made = maker(**settings)
    open_reading = reading or pushed()
    assert not make(
        made,
        DeviceReading(motion=open_reading.motion, joint_positions=open_reading.joint_positions),
    ).dead_man
    return made


def twist(maker: CommandMaker, reading: DeviceReading, arm: ArmView = UNKNOWN) -> np.ndarray:
    command = make(maker, reading, arm)
    assert command.dead_man
    assert command.twist is not None
    return command.twist


# Motion.


def test_a_full_push_is_full_speed_of_its_axis() -> None:
    made = ready(max_speed_m_s=0.2, max_turn_rad_s=0.8)
    for place, axis in enumerate(AXES):
        expected = np.zeros(6)
        expected[place] = -(0.2 if place < 3 else 0.8)
        np.testing.assert_allclose(twist(made, pushed({axis: -1.0})), expected)


def test_a_diagonal_is_not_faster() -> None:
    made = ready(max_speed_m_s=0.2, max_turn_rad_s=0.8)
    found = twist(made, pushed(dict.fromkeys(AXES, 1.0)))
    assert np.linalg.norm(found[:3]) == pytest.approx(0.2)
    assert np.linalg.norm(found[3:]) == pytest.approx(0.8)


def test_a_push_rises_from_zero_at_the_edge_of_the_deadband() -> None:
    made = ready(deadband=0.1, max_speed_m_s=0.1)
    speeds = [twist(made, pushed({"x": share}))[0] for share in (0.1, 0.1001, 0.55, 1.0)]
    np.testing.assert_allclose(speeds, [0.0, 0.0, 0.05, 0.1], atol=1e-4)


def test_axes_are_swapped_and_reversed_as_configured() -> None:
    made = ready(axes=("-y", "x", "z", "roll", "-yaw", "pitch"), max_speed_m_s=0.1)
    np.testing.assert_allclose(twist(made, pushed({"y": 1.0}))[:3], [-0.1, 0.0, 0.0])
    np.testing.assert_allclose(twist(made, pushed({"x": 1.0}))[:3], [0.0, 0.1, 0.0])
    assert twist(made, pushed({"yaw": 1.0}))[4] < 0.0


def test_in_the_tools_frame_a_push_follows_the_tool() -> None:
    arm = ArmView(rotation_tcp_to_base=rotation_from_vector(np.array([np.pi, 0.0, 0.0])))
    made = maker(frame=Frame.TOOL, max_speed_m_s=0.1, max_turn_rad_s=0.5)
    make(made, DeviceReading(motion=np.zeros(6)), arm)
    found = twist(made, pushed({"z": 1.0, "yaw": 1.0}), arm)
    np.testing.assert_allclose(found, [0.0, 0.0, -0.1, 0.0, 0.0, -0.5], atol=1e-12)


def test_in_the_tools_frame_nothing_moves_while_the_tool_is_unknown() -> None:
    made = maker(frame=Frame.TOOL)
    assert not make(made, DeviceReading(motion=np.zeros(6))).dead_man
    assert not make(made, pushed({"z": 1.0})).dead_man
    assert "pose of the tool" in made.problem


def test_keys_step_through_the_speeds_and_not_beyond() -> None:
    made = ready(speed_steps=(0.1, 0.5, 1.0), first_step=1, max_speed_m_s=0.2)
    faster, slower = OperatorKey.FASTER, OperatorKey.SLOWER
    for keys, share in (
        ((), 0.5),
        ((faster,), 1.0),
        ((faster, faster), 1.0),
        ((slower,), 0.5),
        ((slower,) * 5, 0.1),
        ((faster, slower), 0.1),
    ):
        assert twist(made, pushed({"x": 1.0}, keys=keys))[0] == pytest.approx(0.2 * share)
        assert made.speed_share == share


# The dead-man switch.


def test_a_switch_that_is_held_from_the_start_moves_nothing_until_it_was_released() -> None:
    made = maker()
    for _ in range(5):
        command = make(made, pushed({"x": 1.0}))
        assert not command.dead_man
        assert command.twist is not None
        assert not command.twist.any()
    assert "release" in made.problem
    make(made, pushed(dead_man=False))
    assert make(made, pushed({"x": 1.0})).dead_man


def test_a_broken_reading_does_not_prove_that_the_switch_opens() -> None:
    made = maker()
    make(made, DeviceReading(motion=np.full(6, np.nan)))
    assert not make(made, pushed({"x": 1.0})).dead_man


def test_letting_go_counts_whatever_else_is_wrong() -> None:
    made = ready()
    twist(made, pushed({"x": 1.0}))
    command = make(made, DeviceReading(motion=np.full(6, np.inf)))
    assert not command.dead_man
    assert np.isfinite(command.twist).all()


@pytest.mark.parametrize("key", [OperatorKey.ESTOP, OperatorKey.STOP])
def test_a_stop_opens_the_switch_until_it_is_pressed_again(key: OperatorKey) -> None:
    made = ready()
    assert not make(made, pushed({"x": 1.0}, keys=(key,))).dead_man
    assert not make(made, pushed({"x": 1.0})).dead_man
    make(made, pushed(dead_man=False))
    assert make(made, pushed({"x": 1.0})).dead_man


def test_a_device_for_keys_alone_commands_nothing() -> None:
    assert maker().make(DeviceReading(dead_man=True), STAMP_S, UNKNOWN) is None


# Glitches.


@pytest.mark.fault(
    "F45", bound="NaN and pushes beyond the end never reach the arm; 3 in a row open"
)
@pytest.mark.parametrize("motion", [np.full(6, np.nan), np.full(6, 40.0), np.zeros(5)])
def test_nonsense_is_ignored_and_in_a_row_opens_the_clutch(motion: np.ndarray) -> None:
    made = ready(max_glitches=3)
    broken = DeviceReading(dead_man=True, motion=motion)
    twist(made, pushed({"x": 1.0}))
    assert made.make(broken, STAMP_S, UNKNOWN) is None
    assert made.make(broken, STAMP_S, UNKNOWN) is None
    # A good one in between starts the count anew.
    twist(made, pushed({"x": 1.0}))
    assert [made.make(broken, STAMP_S, UNKNOWN) for _ in range(2)] == [None, None]
    assert not make(made, broken).dead_man
    assert made.glitches == 5
    assert not make(made, pushed({"x": 1.0})).dead_man
    make(made, pushed(dead_man=False))
    assert make(made, pushed({"x": 1.0})).dead_man


@pytest.mark.fault("F45", bound="a leader's jump above 0.1 rad is rejected; 3 in a row open")
def test_a_jump_of_the_leader_is_ignored_and_a_lasting_one_re_anchors() -> None:
    made = ready(led(HOME))
    jump = np.zeros(7)
    jump[3] = 0.2
    make(made, led(HOME))
    assert made.make(led(HOME + jump), STAMP_S, UNKNOWN) is None
    np.testing.assert_allclose(make(made, led(HOME + 0.01)).joint_positions, HOME + 0.01)
    for _ in range(2):
        assert made.make(led(HOME + jump), STAMP_S, UNKNOWN) is None
    assert not make(made, led(HOME + jump)).dead_man
    assert "jumped by 0.20 rad" in made.problem or "jumped by 0.19 rad" in made.problem
    make(made, led(HOME + jump, dead_man=False))
    assert make(made, led(HOME + jump)).dead_man


# The leader.


def test_changing_the_scale_of_a_leader_is_no_jump() -> None:
    made = ready(led(HOME), speed_steps=(0.5, 1.0), first_step=1)
    make(made, led(HOME))
    np.testing.assert_allclose(make(made, led(HOME + 0.08)).joint_positions, HOME + 0.08)
    slower = led(HOME + 0.08, keys=(OperatorKey.SLOWER,))
    np.testing.assert_allclose(make(made, slower).joint_positions, HOME + 0.08)
    np.testing.assert_allclose(make(made, led(HOME + 0.16)).joint_positions, HOME + 0.12)


# The gripper.


def width(maker: CommandMaker, arm: ArmView = UNKNOWN, **fields: Any) -> float | None:
    command = make(maker, pushed(**fields), arm)
    assert command.dead_man
    return command.gripper_width_m


def test_the_fingers_are_left_alone_until_the_person_wants_something() -> None:
    made = ready()
    assert width(made) is None
    assert width(made, gripper=GripperAction.CLOSE) == 0.0
    assert width(made) == 0.0
    assert width(made, gripper=GripperAction.OPEN) == HAND_WIDTH_M
    # Whoever takes over again does not repeat an old wish.
    make(made, pushed(dead_man=False))
    assert width(made) is None


def test_a_toggle_turns_what_the_fingers_do_then_what_was_wanted() -> None:
    closed = ArmView(gripper_width_m=0.01)
    made = ready()
    assert width(made, closed, gripper=GripperAction.TOGGLE) == HAND_WIDTH_M
    # The fingers are still on their way.
    assert width(made, closed, gripper=GripperAction.TOGGLE) == 0.0
    assert width(made, closed, gripper=GripperAction.TOGGLE) == HAND_WIDTH_M
    assert width(ready(), ArmView(gripper_width_m=0.07), gripper=GripperAction.TOGGLE) == 0.0


def test_a_trigger_counts_only_once_it_was_moved() -> None:
    made = ready(trigger_travel_m=0.01)
    assert width(made, trigger_width_m=0.08) is None
    assert width(made, trigger_width_m=0.075) is None
    assert width(made, trigger_width_m=0.06) == 0.06
    assert width(made, trigger_width_m=0.08) == 0.08


# Whatever a device does.

SHARES = st.one_of(st.floats(-1.0, 1.0), st.floats(), st.sampled_from([1.2, -1.2, 0.05]))
MOTIONS = st.one_of(
    st.lists(SHARES, min_size=6, max_size=6), st.lists(SHARES, min_size=0, max_size=8)
)
KEYS = st.lists(st.sampled_from(list(OperatorKey)), max_size=3)
PUSHES = st.builds(
    lambda held, motion, keys, gripper, trigger: DeviceReading(
        dead_man=held,
        motion=np.array(motion),
        keys=tuple(keys),
        gripper=gripper,
        trigger_width_m=trigger,
    ),
    st.booleans() | st.just(True),
    MOTIONS,
    KEYS,
    st.none() | st.sampled_from(list(GripperAction)),
    st.none() | st.floats(),
)
LEADS = st.builds(
    lambda held, joints, keys: DeviceReading(
        dead_man=held, joint_positions=HOME + np.array(joints), keys=tuple(keys)
    ),
    st.booleans() | st.just(True),
    st.lists(st.one_of(st.floats(-0.06, 0.06), st.floats()), min_size=7, max_size=7),
    st.lists(st.sampled_from([OperatorKey.FASTER, OperatorKey.SLOWER]), max_size=2),
)
CONFIGS = st.builds(
    MappingConfig,
    max_speed_m_s=st.floats(0.01, 0.475),
    max_turn_rad_s=st.floats(0.01, 2.3),
    deadband=st.floats(0.0, 0.9),
    first_step=st.integers(0, 3),
)


@pytest.mark.fault(
    "F45", bound="whatever a device sends: finite, inside the limits, never a glitch"
)
@given(config=CONFIGS, readings=st.lists(st.one_of(PUSHES, LEADS), max_size=30))
def test_the_arm_never_finds_a_glitch_in_what_is_sent(
    config: MappingConfig, readings: list[DeviceReading]
) -> None:
    made, arm, now_s = CommandMaker("test", config), DeadMan(ArmTeleopConfig()), 0.0
    seen_open = False
    for reading in readings:
        now_s += 0.02
        command = made.make(reading, now_s, UNKNOWN)
        if command is None:
            continue
        switch = arm.update(command, now_s)
        assert arm.reason == ""
        assert switch not in (Switch.GLITCHED, Switch.LOST)
        # Nobody moves before the switch was released, nor while it is.
        assert not command.dead_man or (reading.dead_man and seen_open)
        seen_open |= not reading.dead_man
        if command.twist is not None:
            assert np.linalg.norm(command.twist[:3]) <= config.max_speed_m_s * (1 + 1e-9)
            assert np.linalg.norm(command.twist[3:]) <= config.max_turn_rad_s * (1 + 1e-9)
        if command.gripper_width_m is not None:
            assert 0.0 <= command.gripper_width_m <= HAND_WIDTH_M


@pytest.mark.fault("F45", bound="the arm follows the changes since the switch closed, nothing else")
@given(
    steps=st.lists(st.lists(st.floats(-0.09, 0.09), min_size=7, max_size=7), max_size=20),
    start=st.lists(st.floats(-3.0, 3.0), min_size=7, max_size=7),
    share=st.sampled_from([0.25, 0.5, 1.0]),
)
def test_a_leader_is_followed_from_where_the_clutch_closed(
    steps: list[list[float]], start: list[float], share: float
) -> None:
    made = ready(led(HOME), speed_steps=(share,))
    leader = np.array(start)
    anchor = make(made, led(leader)).joint_positions
    for step in steps:
        leader = leader + step
        command = make(made, led(leader))
        assert command.joint_positions is not None
        np.testing.assert_allclose(
            command.joint_positions - anchor, share * (leader - start), atol=1e-9
        )


# Configuration.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"axes": ("x", "y", "z", "roll", "pitch", "pitch")}, "once each"),
        ({"max_speed_m_s": 0.5}, r"max_speed_m_s must be in \(0, 0.475\]"),
        ({"max_turn_rad_s": float("nan")}, "max_turn_rad_s"),
        ({"max_step_rad": 0.15}, "max_step_rad"),
        ({"deadband": 1.0}, "deadband"),
        ({"speed_steps": (0.5, 0.1)}, "ascend"),
        ({"speed_steps": (0.5, 1.5)}, "speed_steps"),
        ({"first_step": 4}, "first_step"),
        ({"silence_s": 0.2}, "silence_s"),
    ],
)
def test_settings_that_the_arm_would_refuse_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MappingConfig(**settings)
