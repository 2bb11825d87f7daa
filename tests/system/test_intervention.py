"""A person takes over from a running policy, and gives the arm back: recorded and marked."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import Twist, Vector3
from mail_msgs.msg import TeleopCommand
from rclpy.qos import QoSProfile, ReliabilityPolicy

from data_collection import messages, topics
from data_collection.manifest import load_manifest
from data_collection.reader import iterate_messages, list_episodes, read_steps
from mail_bringup.operator_node import Operator
from mail_policy.core.robot_limits import RobotType, joint_limits
from tests.system.running_stack import Stack

START_LIMIT_S = 150.0
TAKEOVER_S = 1.0
SEND_PERIOD_S = 0.02
# The arm is the person's until it stands still again.
BRAKING_S = 0.4
MARK_TOLERANCE_S = 0.15  # a step is 0.05 s, and the arm says 50 times a second whose it is

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stack]:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    started = Stack("policy", "task:=open drawer", f"episodes_dir:={tmp_path}")
    yield started
    started.end()


def push_up(operator: Operator, duration_s: float) -> None:
    """Take the arm over, lift it slowly, let go."""
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    publisher = operator.node.create_publisher(TeleopCommand, "teleop/command", qos)
    assert operator.wait_until(lambda: publisher.get_subscription_count() > 0, 10.0)
    pause, began_s = threading.Event(), operator.time_s()
    for sequence in itertools.count(1):
        elapsed_s = operator.time_s() - began_s
        held = 0.2 < elapsed_s < 0.2 + duration_s
        msg = TeleopCommand(
            source="scripted",
            sequence=sequence,
            dead_man=held,
            kind=TeleopCommand.TWIST,
            twist=Twist(linear=Vector3(z=0.05 if held else 0.0)),
            gripper_width=float("nan"),
        )
        msg.header.stamp = operator.node.get_clock().now().to_msg()
        publisher.publish(msg)
        if elapsed_s > 0.4 + duration_s:
            return
        pause.wait(SEND_PERIOD_S)


def test_a_takeover_is_smooth_recorded_and_given_back(stack: Stack, tmp_path: Path) -> None:
    with Operator(domain_id=stack.domain_id(), use_sim_time=True, name="person") as operator:

        def state() -> str:
            assert stack.popen.poll() is None, stack.text
            return operator.arm_state.state if operator.arm_state else ""

        def policy_moves() -> bool:
            return state() == "policy" and operator.arm_state.accepted_chunks > 2

        assert operator.wait_until(policy_moves, START_LIMIT_S), stack.text
        before = operator.arm_state
        push_up(operator, TAKEOVER_S)
        assert state() in ("hold", "stopped"), operator.arm_state.cause
        assert operator.arm_state.lease_epoch > before.lease_epoch
        if state() == "hold":
            operator.trigger("arm/resume")
        else:
            pytest.fail(f"the arm stopped instead of holding: {operator.arm_state.cause}")
        chunks = operator.arm_state.accepted_chunks

        def policy_goes_on() -> bool:
            return state() == "policy" and operator.arm_state.accepted_chunks > chunks + 2

        assert operator.wait_until(policy_goes_on, 60.0), operator.arm_state.cause
        operator.save_recording()
    assert stack.end() == 0
    (folder,) = list_episodes(tmp_path)
    manifest = load_manifest(folder)
    steps = read_steps(folder, manifest.cameras, 16, 16, require_actions=False, allow_gaps=True)
    changes = np.flatnonzero(np.diff(steps.interventions.astype(int)))
    assert len(changes) == 2
    assert not steps.interventions[0]
    pressed_s, let_go_s = dead_man_times(folder)
    began_s, ended_s = steps.times_s[changes + 1]
    assert began_s == pytest.approx(pressed_s, abs=MARK_TOLERANCE_S)
    assert let_go_s <= ended_s <= let_go_s + BRAKING_S + MARK_TOLERANCE_S
    assert fastest_set_point_share(folder) < 1.0


def dead_man_times(folder: Path) -> tuple[float, float]:
    """Return when the person pressed the dead-man's switch and when they let go, as recorded [s].

    The person of this test is a thread: on a busy machine it holds on for longer than it meant to.
    """
    told = [
        (messages.stamp_to_seconds(item.message.header.stamp), item.message.dead_man)
        for item in iterate_messages(folder, (topics.TELEOP_COMMAND,))
    ]
    held = [told_s for told_s, dead_man in told if dead_man]
    return held[0], min(told_s for told_s, dead_man in told if not dead_man and told_s > held[-1])


def fastest_set_point_share(folder: Path) -> float:
    """Return the fastest change between recorded set-points, as a share of the joint's limit."""
    told = [
        (messages.stamp_to_seconds(item.message.header.stamp), item.message.set_point)
        for item in iterate_messages(folder, (topics.ARM_STATE,))
        if item.message.may_move
    ]
    limits = joint_limits(RobotType.FR3).velocity
    shares = [
        np.abs((after - before) / (after_s - before_s) / limits).max()
        for (before_s, before), (after_s, after) in itertools.pairwise(told)
        if after_s > before_s
    ]
    return float(max(shares))
