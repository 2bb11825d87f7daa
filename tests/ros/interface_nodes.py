"""Brings up each node of ours with a simulated device, for the table of interfaces.

A new node gets a function here and a row in MAKERS; a test names the one that is missing.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import yaml
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter

from mail_bringup.operator_node import Operator
from mail_bringup.supervisor_node import DiagnosticsReporter, EstopBeacon, declare_parameters
from mail_cameras.calibrated_camera import CalibratedCamera
from mail_cameras.camera_node import CameraNode
from mail_cameras.config import CameraConfig
from mail_cameras.simulated_camera import SimulatedCamera
from mail_cameras.start_gate import StartGate
from mail_description.description_node import DescriptionNode
from mail_franka.arm_node import ArmNode
from mail_franka.gripper_node import GripperNode
from mail_franka.simulated_arm import SimulatedArm, SimulatedGripper
from mail_monitor.monitor_node import MonitorNode
from mail_monitor.monitor_process import MarkerPublisher
from mail_policy_ros.policy_node import PolicyNode
from mail_recorder.recorder_node import RecorderNode
from mail_sim.sim_node import SimNode
from mail_teleop.teleop_node import TeleopNode
from tests.ros.interface_tables import defaults_of
from tests.ros.pty_terminal import PtyTerminal

CONFIG = Path(__file__).parents[2] / "launch" / "config"
# A node that is up, the defaults of its parameters, and nodes of its process that listen for it.
Described = tuple[Any, ...]
Maker = Callable[[Context, Path], AbstractContextManager[list[Described]]]


def _overrides(**values: object) -> list[Parameter]:
    return [Parameter(name, value=value) for name, value in values.items()]


@contextlib.contextmanager
def _active(make: Callable[..., Any], context: Context, **values: object) -> Iterator[Any]:
    """Bring a lifecycle node up, and down again."""
    node: LifecycleNode = make(context=context, parameter_overrides=_overrides(**values))
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS, node.get_name()
        assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS, node.get_name()
        yield node
    finally:
        node.trigger_shutdown()
        node.destroy_node()


def _defaults(make: Callable[..., Any], context: Context) -> dict[str, Any]:
    node = make(context=context)
    values = defaults_of(node)
    node.destroy_node()
    return values


class _PictureNode(CameraNode):
    """The cameras' node with test pictures instead of a RealSense, which alone has depth."""

    def make_camera(self, config: CameraConfig, gate: StartGate) -> CalibratedCamera:
        return SimulatedCamera(config, time.time, time.sleep)


@contextlib.contextmanager
def twin(context: Context, folder: Path) -> Iterator[list[Described]]:
    """The twin's node; the twin itself stays away."""
    node = SimNode(context=context)
    with patch("mail_sim.sim_node.Twin", MagicMock()) as fake:
        fake.return_value.__enter__.return_value.time_s = 0.0
        node.start()
        yield [(node, defaults_of(node))]
        node.close()
    node.destroy_node()


@contextlib.contextmanager
def camera(context: Context, folder: Path) -> Iterator[list[Described]]:
    """The cameras' node, with test pictures and depth."""
    settings = {"name": "front", "driver": "realsense", "serial": "123456789012"}
    settings |= {"image_width": 64, "image_height": 48, "rate_hz": 5, "frame_id": "front"}
    settings |= {"depth": "aligned"}
    file = folder / "cameras.yaml"
    file.write_text(yaml.safe_dump({"cameras": [settings]}))
    with _active(_PictureNode, context, config_file=str(file)) as node:
        yield [(node, _defaults(CameraNode, context))]


@contextlib.contextmanager
def arm(context: Context, folder: Path) -> Iterator[list[Described]]:
    """The nodes of the arm's process."""

    def make(**words: Any) -> ArmNode:
        return ArmNode(
            lambda *_: (SimulatedArm(time.monotonic), SimulatedGripper(time.time)), **words
        )

    values = {"robot_ip": "127.0.0.62", "config_file": str(CONFIG / "arm.yaml")}
    with _active(make, context, **values) as node:
        gripper = GripperNode(node.gripper, context=context)
        yield [
            (node, _defaults(make, context), node._inputs),
            (gripper, defaults_of(gripper)),
        ]
        gripper.destroy_node()


@contextlib.contextmanager
def policy(context: Context, folder: Path) -> Iterator[list[Described]]:
    """The policy's node with a shipped checkpoint."""
    with _active(PolicyNode, context) as node:
        yield [(node, _defaults(PolicyNode, context))]


@contextlib.contextmanager
def recorder(context: Context, folder: Path) -> Iterator[list[Described]]:
    """The recorder's node."""
    values = {"episodes_dir": str(folder / "episodes"), "cameras": ["front"]}
    values |= {"depth_cameras": ["front"], "robot_type": "fr3"}
    with _active(RecorderNode, context, **values) as node:
        yield [(node, _defaults(RecorderNode, context))]


@contextlib.contextmanager
def teleop(context: Context, folder: Path) -> Iterator[list[Described]]:
    """The node of a person's device, with a terminal."""
    with PtyTerminal() as terminal:
        values = {"config_file": str(CONFIG / "teleop_keyboard.yaml"), "terminal": terminal.path}
        with _active(TeleopNode, context, **values) as node:
            yield [(node, _defaults(TeleopNode, context))]


@contextlib.contextmanager
def supervisor(context: Context, folder: Path) -> Iterator[list[Described]]:
    """The supervisor's node, which watches nobody."""
    with Operator(domain_id=context.get_domain_id(), name="supervisor") as operator:
        node: Node = operator.node
        declare_parameters(node)
        DiagnosticsReporter(node, operator, [])
        EstopBeacon(node)
        yield [(node, defaults_of(node))]


@contextlib.contextmanager
def description(context: Context, folder: Path) -> Iterator[list[Described]]:
    """The node that says where the frames are."""
    node = DescriptionNode(context=context)
    yield [(node, defaults_of(node))]
    node.destroy_node()


@contextlib.contextmanager
def monitor(context: Context, folder: Path) -> Iterator[list[Described]]:
    """The node that draws for RViz."""
    given = _overrides(arm_file=str(CONFIG / "arm.yaml"))
    node = MonitorNode(context=context, parameter_overrides=given)
    MarkerPublisher(node)
    yield [(node, defaults_of(node) | {"arm_file": ""})]
    node.destroy_node()


# By package and executable, in the order of the life of an observation.
MAKERS: dict[tuple[str, str], Maker] = {
    ("mail_cameras", "camera_node"): camera,
    ("mail_policy_ros", "policy_node"): policy,
    ("mail_franka", "arm_process"): arm,
    ("mail_teleop", "teleop_node"): teleop,
    ("mail_recorder", "recorder_node"): recorder,
    ("mail_bringup", "supervisor_node"): supervisor,
    ("mail_description", "description_node"): description,
    ("mail_monitor", "monitor_node"): monitor,
    ("mail_sim", "sim_node"): twin,
}
