"""Transforms of the running stack on the twin."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from mail_msgs.msg import ArmState
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from tf2_msgs.msg import TFMessage

from calibration.results import RESULTS
from mail_bringup.operator_node import Operator
from mail_description.camera_mounts import CameraName, camera_mounts
from mail_policy.core.frames import Array, make_transform, rotation_from_quaternion
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from tests.system.running_stack import Stack
from tests.system.scripted_person import LeaderPath, ScriptedPerson

START_LIMIT_S = 150.0
TOLERANCE_M = 1e-4
MOVED_M = 0.02
WAVE_RAD = np.array([0.2, 0.1, 0.0, 0.1, 0.0, -0.1, 0.1])
WAVE = LeaderPath(
    HOME_JOINT_POSITIONS + np.linspace(0.0, 1.0, 21)[:, None] * WAVE_RAD, np.full(21, 0.08)
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    started = Stack("teleop", "device:=none")
    yield started
    started.end()


@dataclass(frozen=True)
class ArmSaid:
    """What the arm said of itself at one instant."""

    joint_positions: Array
    tcp: Array


class Listener:
    """Keeps what it hears, by time stamp."""

    def __init__(self, operator: Operator) -> None:
        self.fixed: dict[str, TransformStamped] = {}
        self.moving: dict[int, dict[str, TransformStamped]] = {}
        self.states: dict[int, ArmSaid] = {}
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        subscribe = operator.node.create_subscription
        subscribe(TFMessage, "/tf_static", self._on_fixed, latched)
        subscribe(TFMessage, "/tf", self._on_moving, 100)
        subscribe(ArmState, "arm/state", self._on_state, qos_profile_sensor_data)

    def _on_fixed(self, msg: TFMessage) -> None:
        self.fixed |= {transform.child_frame_id: transform for transform in msg.transforms}

    def _on_moving(self, msg: TFMessage) -> None:
        stamp = msg.transforms[0].header.stamp
        found = {transform.child_frame_id: transform for transform in msg.transforms}
        self.moving[_nanoseconds(stamp)] = found

    def _on_state(self, msg: ArmState) -> None:
        position, turn = msg.tcp_pose.position, msg.tcp_pose.orientation
        tcp = make_transform(
            rotation_from_quaternion(np.array([turn.x, turn.y, turn.z, turn.w])),
            np.array([position.x, position.y, position.z]),
        )
        joints = np.array(msg.joint_positions)
        self.states[_nanoseconds(msg.header.stamp)] = ArmSaid(joints, tcp)

    def instants(self) -> list[int]:
        """Return the instants at which transforms and the arm's own word are known."""
        return sorted(self.moving.keys() & self.states.keys()) if self.fixed else []

    def pose(self, instant: int, frame: str) -> Array:
        """Return transform_frame_to_base, by following the transforms."""
        found, transform = self.fixed | self.moving[instant], np.eye(4)
        while frame != "base":
            link = found[frame]
            p, q = link.transform.translation, link.transform.rotation
            rotation = rotation_from_quaternion(np.array([q.x, q.y, q.z, q.w]))
            transform = make_transform(rotation, np.array([p.x, p.y, p.z])) @ transform
            frame = link.header.frame_id
        return transform


def _nanoseconds(stamp: object) -> int:
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def test_transforms_say_where_the_arm_says_it_is(stack: Stack) -> None:
    with Operator(domain_id=stack.domain_id(), use_sim_time=True, name="listener") as operator:
        listener = Listener(operator)

        def is_ready() -> bool:
            assert stack.popen.poll() is None, stack.text
            # Earlier, the arm is ready to be homed.
            return "a person may move the arm" in stack.text and bool(listener.instants())

        assert operator.wait_until(is_ready, START_LIMIT_S), stack.text
        ScriptedPerson(operator).demonstrate(WAVE)
        instants = listener.instants()
        places = [listener.states[instant].tcp[:3, 3] for instant in instants]
        assert len(places) > 20
        assert np.ptp(places, axis=0).max() > MOVED_M
        names = [CameraName(name="wrist")]
        (wrist,), _ = camera_mounts(RESULTS / "sim", names, datetime.now(UTC))
        for instant in instants:
            truth = forward_kinematics(listener.states[instant].joint_positions)
            tcp = listener.pose(instant, "tcp")
            assert np.abs(tcp - truth).max() < TOLERANCE_M
            # The frame that pictures carry.
            picture = listener.pose(instant, "wrist_color_optical_frame")
            expected = truth @ wrist.transform_camera_to_parent
            assert np.abs(picture - expected).max() < TOLERANCE_M
        # The robot's own kinematics, which in motion was seen up to 63 um off its own joints.
        apart = [np.abs(listener.pose(i, "tcp") - listener.states[i].tcp).max() for i in instants]
        assert np.median(apart) < TOLERANCE_M
    assert stack.end() == 0
