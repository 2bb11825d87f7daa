"""The description node over ROS: what latecomers get, and what joint states do to it."""

import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from calibration.results import HandEyeResult, pose_fields, save_result
from data_collection.topics import joint_names
from mail_bringup.claims import claim_domain
from mail_description.description_node import DescriptionNode
from mail_policy.core.frames import make_transform, rotation_from_quaternion
from mail_policy.core.kinematics import forward_kinematics
from mail_ros.conversions import seconds_to_stamp

LIMIT_S = 20.0
MAX_AGE_S = 0.3
JOINTS = np.array([0.1, -0.3, 0.2, -2.1, -0.1, 1.9, 0.6])
CAMERA_POSE = make_transform(np.diag([1.0, -1.0, -1.0]), np.array([0.5, 0.0, 1.0]))
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        time.sleep(0.005)


def calibrate(folder: Path) -> Path:
    result = HandEyeResult(
        robot="panda",
        subject="agentview",
        serial="7",
        created_at=datetime.now(UTC).isoformat(),
        tool="test",
        residuals={},
        parent_frame="base",
        held_out_mm=1.0,
        held_out_deg=0.1,
        views=20,
        **pose_fields(CAMERA_POSE),
    )
    save_result(result, folder / "panda")
    # Of another device than the one in use.
    save_result(replace(result, subject="side"), folder / "panda")
    return folder / "panda"


class Bench:
    """The node in process, somebody who sends joint states, and somebody who listens."""

    def __init__(self, context: Context, calibration: Path) -> None:
        values = {
            "robot_type": "fer",
            "calibration_dir": str(calibration),
            "cameras": ["agentview", "side", "wrist"],
            "camera_frames": ["agentview_color_optical_frame", "side_frame", "wrist_frame"],
            "camera_serials": ["7", "8", "9"],
            "max_age_s": MAX_AGE_S,
            "use_sim_time": True,
        }
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.node = DescriptionNode(context=context, parameter_overrides=overrides)
        self.person = Node("person", context=context)
        self.clock_publisher = self.person.create_publisher(Clock, "/clock", 10)
        self.joints_publisher = self.person.create_publisher(JointState, "joint_states", 10)
        self.transforms: list[TFMessage] = []
        self.levels: dict[str, tuple[bytes, str]] = {}
        self.person.create_subscription(TFMessage, "/tf", self.transforms.append, 100)
        self.person.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        # The time of the world; the test moves it.
        self.now_s = 100.0

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        self.levels |= {status.name: (status.level, status.message) for status in msg.status}

    def move_clock(self, by_s: float) -> None:
        """Let time pass, until the node knows."""
        self.now_s += by_s
        clock = self.node.get_clock()

        def is_known() -> bool:
            self.clock_publisher.publish(Clock(clock=seconds_to_stamp(self.now_s)))
            return abs(clock.now().nanoseconds * 1e-9 - self.now_s) < 1e-6

        wait_until(is_known)

    def joint_states(self, **changes: object) -> JointState:
        msg = JointState(name=joint_names("fer"), position=[*JOINTS.tolist(), 0.02, 0.02])
        msg.header.stamp = seconds_to_stamp(self.now_s)
        for name, value in changes.items():
            setattr(msg, name, value)
        return msg

    def transforms_after(self, msg: JointState) -> TFMessage:
        """Send joint states and return the transforms that they become."""
        self.transforms.clear()
        self.joints_publisher.publish(msg)
        wait_until(lambda: len(self.transforms) > 0)
        return self.transforms[-1]

    def latched(self, kind: type, topic: str) -> object:
        """Return what somebody who comes late gets of a topic."""
        found: list[object] = []
        subscription = self.person.create_subscription(kind, topic, found.append, LATCHED)
        wait_until(lambda: len(found) > 0)
        self.person.destroy_subscription(subscription)
        return found[0]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("description")
    with claim_domain(folder) as claim:
        context = Context()
        rclpy.init(context=context, domain_id=int(claim.value))
        bench = Bench(context, calibrate(folder))
        executor = SingleThreadedExecutor(context=context)
        for node in (bench.node, bench.person):
            executor.add_node(node)
        stop = threading.Event()

        def spin() -> None:
            while not stop.is_set():
                executor.spin_once(timeout_sec=0.02)

        thread = threading.Thread(target=spin)
        thread.start()
        wait_until(lambda: bench.joints_publisher.get_subscription_count() > 0)
        wait_until(lambda: bench.node.count_subscribers("/tf") > 0)
        yield bench
        stop.set()
        thread.join()
        executor.shutdown()
        for node in (bench.node, bench.person):
            node.destroy_node()
        context.try_shutdown()


def chain(messages: list[TFMessage], frame: str) -> np.ndarray:
    """Return transform_frame_to_base, as a program that only has transforms computes it."""
    found = {t.child_frame_id: t for msg in messages for t in msg.transforms}
    transform = np.eye(4)
    while frame != "base":
        link = found[frame]
        p, q = link.transform.translation, link.transform.rotation
        rotation = rotation_from_quaternion(np.array([q.x, q.y, q.z, q.w]))
        transform = make_transform(rotation, np.array([p.x, p.y, p.z])) @ transform
        frame = link.header.frame_id
    return transform


def test_a_latecomer_gets_the_description(bench):
    robot = ET.fromstring(bench.latched(String, "robot_description").data)
    links = {link.get("name") for link in robot.iter("link")}
    assert {"base", "panda_link0", "tcp", "camera_agentview_optical_frame"} <= links
    assert not [name for name in links if "wrist" in name or "side" in name]


def test_a_latecomer_gets_the_fixed_transforms(bench):
    static = bench.latched(TFMessage, "/tf_static")
    for frame in ("camera_agentview_optical_frame", "agentview_color_optical_frame"):
        assert np.allclose(chain([static], frame), CAMERA_POSE, atol=1e-12)


def test_the_tcp_is_where_our_kinematics_says_at_the_same_instant(bench):
    bench.move_clock(0.02)
    static = bench.latched(TFMessage, "/tf_static")
    msg = bench.joint_states()
    transforms = bench.transforms_after(msg)
    assert {t.header.stamp.nanosec for t in transforms.transforms} == {msg.header.stamp.nanosec}
    tcp = chain([static, transforms], "tcp")
    assert np.allclose(tcp, forward_kinematics(JOINTS), atol=1e-9)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": joint_names("fr3")},
        {"name": []},
        {"position": []},
        {"position": [float("nan")] * 9},
        {"position": [float("inf")] * 9},
        {"header": JointState().header},
    ],
    ids=["other robot", "no names", "no positions", "NaN", "infinity", "no stamp"],
)
def test_bad_joint_states_become_no_transforms_and_do_no_harm(bench, changes):
    bench.move_clock(0.02)
    bench.transforms.clear()
    bench.joints_publisher.publish(bench.joint_states(**changes))
    # Messages of one sender keep their order: what follows shows that the bad one was handled.
    bench.transforms_after(bench.joint_states())
    assert len(bench.transforms) == 1


@pytest.mark.parametrize("cut", [0, 3, 11, 40, 200])
def test_a_broken_message_does_no_harm(bench, cut):
    bench.move_clock(0.02)
    broken = bytes(serialize_message(bench.joint_states()))[:cut]
    bench.joints_publisher.publish(broken)
    bench.transforms_after(bench.joint_states())


def test_old_joint_states_leave_no_ghost(bench):
    bench.move_clock(0.02)
    bench.transforms_after(bench.joint_states())
    wait_until(lambda: bench.levels.get("description: arm", (b"", ""))[0] == DiagnosticStatus.OK)
    old = bench.joint_states()
    bench.move_clock(2.0 * MAX_AGE_S)
    wait_until(lambda: bench.levels["description: arm"][0] == DiagnosticStatus.WARN)
    assert "joint states ended" in bench.levels["description: arm"][1]
    bench.transforms.clear()
    bench.joints_publisher.publish(old)
    bench.transforms_after(bench.joint_states())
    assert len(bench.transforms) == 1


def test_cameras_without_a_valid_calibration_are_warned_about(bench):
    wait_until(lambda: "description: camera wrist" in bench.levels)
    assert bench.levels["description: camera agentview"][0] == DiagnosticStatus.OK
    for camera, reason in (("wrist", "no hand_eye calibration"), ("side", "'7', but '8'")):
        level, text = bench.levels[f"description: camera {camera}"]
        assert level == DiagnosticStatus.WARN
        assert reason in text
