"""`mailctl monitor`: a page that shows a running stack in a browser on this machine."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from functools import partial

from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image as ImageMsg

from mail_bringup.places import DOMAIN_VARIABLE, state_folder
from mail_bringup.processes import arm_file, camera_names, cameras_file, environment, robot_type
from mail_bringup.records import SelectionError, running_stacks, select
from mail_bringup.stack_arguments import ROBOTS
from mail_monitor.conversions import small_picture_from_raw
from mail_monitor.monitor_node import MonitorNode
from mail_monitor.page import panel_html
from mail_monitor.picture_gate import PictureGate
from mail_monitor.robot_shape import robot_frames, robot_shape
from mail_monitor.scene import build_scene
from mail_monitor.viser_driver import BrowserView
from mail_policy.core.config import ConfigError
from mail_ros.running import ros_session, spin

PERIOD_S = 0.1
PICTURES_HZ = 5.0
LARGEST_PICTURE_PX = 320
DEFAULT_PORT = 8080
_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class BrowserPublisher:
    """Draws what a node knows, and a few pictures per second, while somebody looks.

    Args:
        node: Listens.
        view: The page.
    """

    def __init__(self, node: MonitorNode, view: BrowserView) -> None:
        self._node, self._view = node, view
        self._gate = PictureGate(PICTURES_HZ)
        for camera in node.cameras:
            # Raw, so that a picture which is not shown is not even decoded.
            node.create_subscription(
                ImageMsg,
                f"camera/{camera}/color/image_raw",
                partial(self._on_picture, camera),
                _NEWEST,
                raw=True,
            )
        node.create_timer(PERIOD_S, self.draw, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def draw(self) -> None:
        """Draw what is known now."""
        if not self._view.has_viewers:
            return
        snapshot = self._node.snapshot()
        scene = build_scene(snapshot, self._node.envelope)
        for group in scene.segments:
            self._view.show_segments(group)
        # The panel says the rest.
        self._view.show_label(scene.state)
        if snapshot.arm is not None:
            joints = snapshot.arm.joint_positions
            self._view.show_robot(robot_frames(joints, snapshot.gripper_width_m))
        self._view.show_panel(panel_html(snapshot))

    def _on_picture(self, camera: str, raw: bytes) -> None:
        if not self._view.has_viewers or not self._gate.lets_through(camera, time.monotonic()):
            return
        try:
            self._view.show_picture(camera, small_picture_from_raw(raw, LARGEST_PICTURE_PX))
        except ValueError as error:
            self._node.get_logger().warning(f"not shown: {error}", throttle_duration_sec=2.0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mailctl monitor",
        description="Show a running stack in a browser on this machine. It commands nothing.",
    )
    parser.add_argument("--run-id", help="which stack, if several run; see mailctl status")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port of the page (default: %(default)s)"
    )
    parser.add_argument(
        "--robot", choices=ROBOTS, help="for a stack that ros2 launch started (default: sim)"
    )
    for name in ("cameras", "arm"):
        parser.add_argument(
            f"--{name}-file", default="auto", help=f"YAML of the stack's {name}, if not the default"
        )
    return parser


def main(words: Sequence[str]) -> int:
    """Serve the page until interrupted; return the exit code."""
    options = _parser().parse_args(words)
    wanted_domain = os.environ.get(DOMAIN_VARIABLE, "")
    try:
        records = running_stacks(state_folder() / "stacks")
        domain_id, namespace, record = select(records, options.run_id, wanted_domain)
        robot = options.robot or (record.robot if record else "sim")
        os.environ.update(environment() | {DOMAIN_VARIABLE: str(domain_id)})
        _serve(options, robot, namespace)
    except (SelectionError, ConfigError, OSError) as error:
        sys.stderr.write(f"mailctl monitor: {error}\n")
        return 1
    return 0


def _serve(options: argparse.Namespace, robot: str, namespace: str) -> None:
    arguments = {
        "robot": robot,
        "cameras_file": options.cameras_file,
        "arm_file": options.arm_file,
    }
    cameras = camera_names(cameras_file(arguments))
    values = {
        "use_sim_time": robot == "sim",
        "arm_file": str(arm_file(arguments)),
        "robot_type": robot_type(arguments),
        "cameras": list(cameras),
    }
    with ros_session() as requested, BrowserView(options.port, robot_shape(), cameras) as view:
        node = MonitorNode(
            namespace=namespace,
            parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
            start_parameter_services=False,
        )
        BrowserPublisher(node, view)
        sys.stdout.write(f"open {view.address} on this machine; end with Ctrl-C\n")
        sys.stdout.flush()
        spin(node, requested.is_set)
