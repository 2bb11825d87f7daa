"""Listens to the whole stack. It has no service, no client, and no topic that anyone obeys."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from mail_msgs.msg import ActionChunk as ActionChunkMsg
from mail_msgs.msg import ArmState as ArmStateMsg
from mail_msgs.msg import PolicyStatus as PolicyStatusMsg
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo as CameraInfoMsg
from sensor_msgs.msg import JointState as JointStateMsg

from mail_franka.arm_config import ArmConfig
from mail_franka.conversions import chunk_from_msg
from mail_monitor.board import MonitorBoard, camera_input
from mail_monitor.conversions import arm_from_msg, may_move_from_msg, policy_from_msg
from mail_monitor.limits_hit import LimitsWatch
from mail_monitor.seen import ARM, CHUNK, DIAGNOSTICS, JOINTS, POLICY, Snapshot
from mail_policy.core.config import load_config
from mail_policy.core.robot_limits import RobotType
from mail_policy_ros.conversions import joints_from_msg
from mail_ros.conversions import stamp_to_seconds
from mail_ros.parameters import freeze_parameters
from mail_ros.qos import LATCHED

_PARAMETERS: tuple[tuple[str, Any, str], ...] = (
    ("arm_file", "", "YAML of the arm's limits, for example launch/config/arm.yaml"),
    ("robot_type", "fr3", "arm model, fer or fr3"),
    ("cameras", ["agentview", "wrist"], "names of the cameras"),
)


class MonitorNode(Node):
    """Keeps a board of what the stack says.

    Topics in: `arm/state`, `joint_states`, `policy/status`, `policy/action_chunk`,
    `/diagnostics`, `camera/<name>/color/camera_info`. Pictures themselves are not heard here.

    Raises:
        ConfigError: The file of the arm is wrong.
    """

    def __init__(
        self,
        *,
        context: Context | None = None,
        cli_args: list[str] | None = None,
        namespace: str = "",
        parameter_overrides: list[Parameter] | None = None,
        start_parameter_services: bool = True,
    ) -> None:
        super().__init__(
            "monitor",
            context=context,
            cli_args=cli_args,
            namespace=namespace or None,
            parameter_overrides=parameter_overrides,
            start_parameter_services=start_parameter_services,
        )
        values = {}
        for name, default, description in _PARAMETERS:
            descriptor = ParameterDescriptor(description=description, read_only=True)
            values[name] = self.declare_parameter(name, default, descriptor).value
        freeze_parameters(self)
        motion = load_config(ArmConfig, Path(values["arm_file"])).motion
        self.envelope = motion.envelope
        self.cameras = tuple(values["cameras"])
        limits = LimitsWatch(motion, RobotType(values["robot_type"]))
        self._board = MonitorBoard(limits, self.cameras)
        self._listen()

    def snapshot(self) -> Snapshot:
        """Return what is known now."""
        return self._board.snapshot(now_s=self._now_s(), steady_s=time.monotonic())

    def _listen(self) -> None:
        for kind, topic, name, take, qos in (
            (ArmStateMsg, "arm/state", ARM, self._take_arm, LATCHED),
            (JointStateMsg, "joint_states", JOINTS, self._take_joints, qos_profile_sensor_data),
            (PolicyStatusMsg, "policy/status", POLICY, self._take_policy, qos_profile_sensor_data),
            (ActionChunkMsg, "policy/action_chunk", CHUNK, self._take_chunk, 1),
        ):
            self.create_subscription(kind, topic, partial(self._on_message, name, take), qos)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        for camera in self.cameras:
            self.create_subscription(
                CameraInfoMsg,
                f"camera/{camera}/color/camera_info",
                partial(self._on_message, camera_input(camera), lambda msg: None),
                qos_profile_sensor_data,
            )

    def _on_message(self, name: str, take: Callable[[Any], None], msg: Any) -> None:
        try:
            take(msg)
        except ValueError as error:
            self.get_logger().warning(f"not shown: {error}", throttle_duration_sec=2.0)
            return
        lag_s = self._now_s() - stamp_to_seconds(msg.header.stamp)
        self._board.note(name, lag_s=lag_s, steady_s=time.monotonic())

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        line = may_move_from_msg(msg)
        if line is not None:
            self._on_message(DIAGNOSTICS, lambda _: self._board.set_may_move(line), msg)

    def _take_arm(self, msg: ArmStateMsg) -> None:
        self._board.set_arm(arm_from_msg(msg))

    def _take_joints(self, msg: JointStateMsg) -> None:
        self._board.set_gripper(joints_from_msg(msg)[1])

    def _take_policy(self, msg: PolicyStatusMsg) -> None:
        self._board.set_policy(policy_from_msg(msg))

    def _take_chunk(self, msg: ActionChunkMsg) -> None:
        self._board.set_chunk(chunk_from_msg(msg))

    def _now_s(self) -> float:
        return float(self.get_clock().now().nanoseconds * 1e-9)
