"""What launch/rviz/mail.rviz asks for is what the nodes of the stack publish."""

import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
import yaml
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from mail_bringup.claims import claim_domain
from mail_bringup.places import state_folder
from mail_bringup.processes import Value, description, monitor
from mail_bringup.stack_arguments import STACKS
from mail_cameras.calibrated_camera import CalibratedCamera
from mail_cameras.camera_node import CameraNode
from mail_cameras.config import CameraConfig
from mail_cameras.simulated_camera import SimulatedCamera
from mail_cameras.start_gate import StartGate
from mail_description.description_node import DescriptionNode
from mail_monitor.monitor_node import MonitorNode
from mail_monitor.monitor_process import MarkerPublisher

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "launch" / "rviz" / "mail.rviz").read_text())
MANAGER = CONFIG["Visualization Manager"]
NAMES = yaml.safe_load((ROOT / "tests" / "unit" / "rviz_names.yaml").read_text())
ARGUMENTS = {argument.name: argument.default for argument in STACKS["policy"]}
LIMIT_S = 10.0


class PictureNode(CameraNode):
    """The cameras' node with test pictures instead of the twin's."""

    def make_camera(self, config: CameraConfig, gate: StartGate) -> CalibratedCamera:
        return SimulatedCamera(config, time.time, time.sleep)


def overrides(parameters: dict[str, Value]) -> list[Parameter]:
    """Return a process's parameters on the wall clock: no twin makes another one here."""
    return [
        Parameter(name, value=list(value) if isinstance(value, tuple) else value)
        for name, value in parameters.items()
        if name != "use_sim_time"
    ]


@pytest.fixture(scope="module")
def rviz() -> Iterator[Node]:
    """A node that stands for RViz among those that it listens to, as the twin's stack has them."""
    with claim_domain(state_folder()) as claim:
        context = Context()
        rclpy.init(context=context, domain_id=int(claim.value))
        camera_file = str(ROOT / "launch" / "config" / "cameras_sim.yaml")
        camera = PictureNode(
            context=context, parameter_overrides=overrides({"config_file": camera_file})
        )
        assert camera.trigger_configure() == TransitionCallbackReturn.SUCCESS
        shown = overrides(dict(monitor(ARGUMENTS).parameters))
        markers = MonitorNode(context=context, parameter_overrides=shown)
        MarkerPublisher(markers)
        frames = overrides(dict(description(ARGUMENTS).parameters))
        described = DescriptionNode(context=context, parameter_overrides=frames)
        node = Node("rviz", context=context)
        yield node
        camera.trigger_shutdown()
        for made in (camera, markers, described, node):
            made.destroy_node()
        rclpy.try_shutdown(context=context)


def subscriptions() -> list[tuple[str, dict[str, Any]]]:
    return [
        (NAMES["message_types"][display["Class"]], topic)
        for display in MANAGER["Displays"]
        for topic in (display.get("Topic"), display.get("Description Topic"))
        if topic is not None
    ]


@pytest.mark.parametrize(("kind", "topic"), subscriptions())
def test_every_topic_is_published_with_its_type_and_is_heard(
    rviz: Node, kind: str, topic: dict[str, Any]
) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not (publishers := rviz.get_publishers_info_by_topic(topic["Value"])):
        assert time.monotonic() < deadline_s, f"nobody publishes {topic['Value']}"
        time.sleep(0.05)
    for publisher in publishers:
        assert publisher.topic_type == kind
        offered = publisher.qos_profile
        if topic["Reliability Policy"] == "Reliable":
            assert offered.reliability == ReliabilityPolicy.RELIABLE
        if topic["Durability Policy"] == "Transient Local":
            assert offered.durability == DurabilityPolicy.TRANSIENT_LOCAL


def test_the_fixed_frame_and_all_shown_frames_exist(rviz: Node) -> None:
    urdf: list[str] = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    rviz.create_subscription(
        String, "robot_description", lambda msg: urdf.append(msg.data), latched
    )
    executor = SingleThreadedExecutor(context=rviz.context)
    executor.add_node(rviz)
    deadline_s = time.monotonic() + LIMIT_S
    while not urdf:
        assert time.monotonic() < deadline_s, "no robot_description"
        executor.spin_once(timeout_sec=0.1)
    executor.remove_node(rviz)
    frames = {link.get("name") for link in ET.fromstring(urdf[-1]).iter("link")}
    (tree,) = [d for d in MANAGER["Displays"] if d["Class"].endswith("/TF")]
    shown = set(tree["Frames"]) - {"All Enabled"}
    views = MANAGER["Views"]["Current"]["Target Frame"]
    assert {MANAGER["Global Options"]["Fixed Frame"], views, *shown} <= frames
