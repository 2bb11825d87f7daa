"""The monitor in a ROS graph of its own: what it shows, and that it can command nothing."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from mail_msgs.msg import ActionChunk, ArmState, PolicyStatus
from nav_msgs.msg import Path as PathMsg
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from visualization_msgs.msg import Marker, MarkerArray

from mail_bringup.claims import claim_domain
from mail_bringup.conversions import findings_to_msg
from mail_bringup.diagnostics import StackView, findings
from mail_bringup.places import state_folder
from mail_monitor.conversions import MAY_MOVE, may_move_from_msg, small_picture_from_raw
from mail_monitor.monitor_node import MonitorNode
from mail_monitor.monitor_process import MarkerPublisher
from mail_policy.core.action_schema import EE_DELTA
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics

ARM_FILE = Path(__file__).parents[2] / "launch" / "config" / "arm.yaml"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LIMIT_S = 15.0
HOME_M = forward_kinematics(HOME_JOINT_POSITIONS)[:3, 3]


class Graph:
    """A monitor, and a node that plays the stack and RViz."""

    def __init__(self, context: Context) -> None:
        self.monitor = MonitorNode(
            context=context, parameter_overrides=[Parameter("arm_file", value=str(ARM_FILE))]
        )
        self.markers: dict[str, Marker] = {}
        self.stack = Node("stack", context=context)
        self.arm = self.stack.create_publisher(ArmState, "arm/state", LATCHED)
        self.chunk = self.stack.create_publisher(ActionChunk, "policy/action_chunk", 1)
        self.policy = self.stack.create_publisher(PolicyStatus, "policy/status", 1)
        self.diagnostics = self.stack.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.monitor)
        self._executor.add_node(self.stack)

    def now(self) -> Any:
        return self.stack.get_clock().now().to_msg()

    def arm_state(self, **given: Any) -> ArmState:
        msg = ArmState(
            state="policy",
            joint_positions=HOME_JOINT_POSITIONS,
            set_point=HOME_JOINT_POSITIONS,
            **given,
        )
        msg.header.stamp = self.now()
        position = msg.tcp_pose.position
        position.x, position.y, position.z = HOME_M.tolist()
        return msg

    def chunk_msg(self) -> ActionChunk:
        rows = np.zeros((20, EE_DELTA.size))
        rows[:, 0] = 0.01
        return ActionChunk(
            observed_at=self.now(),
            step_period=0.05,
            schema=EE_DELTA.id_at(20.0),
            action_size=EE_DELTA.size,
            values=rows.ravel().tolist(),
        )

    def diagnostics_msg(self, *, may_move: bool) -> DiagnosticArray:
        view = StackView(
            node_states={},
            arm_state="policy" if may_move else "hold",
            arm_cause="" if may_move else "chunk is late",
            may_move=may_move,
            policy_waiting_for="",
            policy_heartbeat_age_s=0.0,
        )
        return findings_to_msg(findings(view), self.now())

    def listen_to_markers(self) -> None:
        self.stack.create_subscription(MarkerArray, "monitor/markers", self._on_markers, 1)

    def _on_markers(self, msg: MarkerArray) -> None:
        self.markers = {marker.ns: marker for marker in msg.markers}

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline_s, "the condition did not come true in time"
            self._executor.spin_once(timeout_sec=0.02)

    def words(self) -> str:
        """Return what floats above the arm, on one line."""
        return " ".join(self.markers["state"].text.split()) if self.markers else ""

    def end(self) -> None:
        self._executor.shutdown()
        self.monitor.destroy_node()
        self.stack.destroy_node()


@pytest.fixture
def graph() -> Iterator[Graph]:
    with claim_domain(state_folder()) as claim:
        context = Context()
        rclpy.init(context=context, domain_id=int(claim.value))
        made = Graph(context)
        yield made
        made.end()
        rclpy.try_shutdown(context=context)


def test_rviz_gets_chunk_box_and_words_in_the_base_frame(graph: Graph) -> None:
    MarkerPublisher(graph.monitor)
    graph.listen_to_markers()
    paths: list[PathMsg] = []
    graph.stack.create_subscription(PathMsg, "monitor/predicted_path", paths.append, 1)
    graph.arm.publish(graph.arm_state(task="open the top drawer"))
    graph.wait_until(lambda: graph.monitor.snapshot().arm is not None)

    def is_complete() -> bool:
        graph.chunk.publish(graph.chunk_msg())
        graph.diagnostics.publish(graph.diagnostics_msg(may_move=False))
        return "chunk is late" in graph.words() and graph.markers["predicted"].action == Marker.ADD

    graph.wait_until(is_complete)
    assert set(graph.markers) == {"predicted", "executed", "workspace", "state", "inputs"}
    assert {marker.header.frame_id for marker in graph.markers.values()} == {"base"}
    predicted = graph.markers["predicted"]
    assert (len(predicted.points), len(predicted.colors)) == (40, 40)
    assert predicted.points[0].x == pytest.approx(HOME_M[0])
    assert predicted.points[-1].x == pytest.approx(HOME_M[0] + 0.2)
    assert len(graph.markers["workspace"].points) == 24
    words = graph.words()
    assert "POLICY" in words
    assert "task: open the top drawer" in words
    assert "may move: no, because the state of the arm is hold" in words
    graph.wait_until(lambda: bool(paths) and len(paths[-1].poses) == 21)


def test_the_line_of_the_supervisor_is_the_one_that_is_shown(graph: Graph) -> None:
    assert may_move_from_msg(graph.diagnostics_msg(may_move=True)) == "yes"
    foreign = DiagnosticArray(status=[DiagnosticStatus(name="camera wrist", message="yes")])
    assert may_move_from_msg(foreign) is None
    assert MAY_MOVE in {status.name for status in graph.diagnostics_msg(may_move=True).status}


def test_what_cannot_be_shown_is_dropped_and_the_monitor_goes_on(graph: Graph) -> None:
    graph.arm.publish(graph.arm_state())
    graph.wait_until(lambda: graph.monitor.snapshot().arm is not None)
    bad = graph.chunk_msg()
    bad.values = [float("nan")] * len(bad.values)
    broken = graph.arm_state(cause="not finite")
    broken.tcp_pose.position.x = float("inf")

    def heartbeat_came() -> bool:
        graph.chunk.publish(bad)
        graph.arm.publish(broken)
        status = PolicyStatus(checkpoint="light")
        status.header.stamp = graph.now()
        graph.policy.publish(status)
        return graph.monitor.snapshot().policy is not None

    graph.wait_until(heartbeat_came)
    seen = graph.monitor.snapshot()
    assert seen.arm is not None
    assert seen.arm.cause == ""
    assert len(seen.predicted.points_m) == 0


def test_the_monitor_offers_and_calls_nothing_that_moves_an_arm(graph: Graph) -> None:
    MarkerPublisher(graph.monitor)
    own = {"/rosout", "/parameter_events"}
    topics = {publisher.topic_name for publisher in graph.monitor.publishers}
    assert topics - own == {
        "/monitor/markers",
        "/monitor/predicted_path",
        "/monitor/executed_path",
    }
    assert list(graph.monitor.clients) == []
    services = {service.srv_name for service in graph.monitor.services}
    own_services = {"parameter", "type_description"}
    assert all(any(word in name for word in own_services) for name in services), services


def test_pictures_are_shrunk_and_malformed_ones_refused() -> None:
    msg = Image(height=480, width=640, step=1920, encoding="rgb8", data=bytes(480 * 1920))
    assert small_picture_from_raw(serialize_message(msg), 320).shape == (240, 320, 3)
    msg.encoding = "bgr8"
    with pytest.raises(ValueError, match="must be rgb8"):
        small_picture_from_raw(serialize_message(msg), 320)
    with pytest.raises(ValueError, match="malformed picture of 3 bytes"):
        small_picture_from_raw(b"abc", 320)


def test_pictures_are_not_asked_for_by_the_markers(graph: Graph) -> None:
    graph.stack.create_publisher(Image, "camera/wrist/color/image_raw", qos_profile_sensor_data)
    assert graph.monitor.count_subscribers("camera/wrist/color/image_raw") == 0
