"""ROS 2 shell around the model of the robot: joint states in, transforms and URDF out."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from mail_description.camera_mounts import Finding, camera_mounts, named_cameras
from mail_description.conversions import findings_to_msg, transforms_to_msg
from mail_description.joint_tracker import Ignored, JointTracker
from mail_description.robot_model import JointKind, child_pose, moving_poses, robot_model
from mail_description.shapes import has_meshes
from mail_description.urdf import urdf_text
from mail_franka.conversions import decoded
from mail_policy.core.robot_limits import RobotType
from mail_ros.conversions import stamp_to_seconds
from mail_ros.parameters import freeze_parameters
from mail_ros.qos import LATCHED
from mail_ros.running import ros_session, spin

_DIAGNOSTICS_PERIOD_S = 1.0
# What tf2's listeners expect.
_TRANSFORMS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
_PARAMETERS: tuple[tuple[str, Any, str], ...] = (
    ("robot_type", "fr3", "fer or fr3"),
    ("calibration_dir", "", "calibration results of this robot, e.g. calibration/results/fr3"),
    # ROS cannot tell the type of an empty list.
    ("cameras", [""], "names of the cameras in use"),
    ("camera_frames", [""], "frames that their pictures carry, in the same order"),
    ("camera_serials", [""], 'their serial numbers, in the same order; "" if it has none'),
    ("max_age_s", 0.5, "joint states older than this become no transforms [s]"),
)


class DescriptionNode(Node):
    """Tells where all frames of arm, hand and calibrated cameras are.

    Topics in: `joint_states`. Topics out: `robot_description` and `/tf_static`, both latched,
    `/tf` at the rate of the joint states, `/diagnostics`.

    robot_state_publisher is not used: PyPI does not have it, and with one implementation every
    machine has the same frames. It would also go on from joint states of any age.
    """

    def __init__(
        self,
        *,
        context: Context | None = None,
        parameter_overrides: list[Parameter] | None = None,
    ) -> None:
        super().__init__("description", context=context, parameter_overrides=parameter_overrides)
        given = {
            name: self.declare_parameter(
                name, default, ParameterDescriptor(description=description, read_only=True)
            ).value
            for name, default, description in _PARAMETERS
        }
        freeze_parameters(self)
        robot_type = RobotType(given["robot_type"])
        cameras = named_cameras(given["cameras"], given["camera_frames"], given["camera_serials"])
        mounts, self._camera_findings = camera_mounts(
            Path(given["calibration_dir"]), cameras, datetime.now(UTC)
        )
        joints = robot_model(robot_type, mounts)
        self._moving = [joint for joint in joints if joint.kind is not JointKind.FIXED]
        self._fixed = [joint for joint in joints if joint.kind is JointKind.FIXED]
        self._tracker = JointTracker(robot_type, given["max_age_s"])
        urdf = urdf_text(robot_type, mounts, meshes=has_meshes(robot_type))
        self._latched = [
            self._latch(String, "robot_description", String(data=urdf)),
            self._latch(TFMessage, "/tf_static", self._static_transforms()),
        ]
        self._transforms_publisher = self.create_publisher(TFMessage, "/tf", _TRANSFORMS)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Raw: rclpy would decode before it calls back, and a malformed message would end it.
        self.create_subscription(
            JointState, "joint_states", self._on_joints, qos_profile_sensor_data, raw=True
        )
        # Steady: it must also be heard when a twin stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=steady)
        self._log_cameras()

    def _latch(self, kind: type, topic: str, msg: Any) -> Any:
        publisher = self.create_publisher(kind, topic, LATCHED)
        publisher.publish(msg)
        return publisher

    def _static_transforms(self) -> TFMessage:
        stamp = self.get_clock().now().to_msg()
        return transforms_to_msg(self._fixed, map(child_pose, self._fixed), stamp)

    def _on_joints(self, raw: bytes) -> None:
        try:
            msg = decoded(raw, JointState)
        except ValueError as error:
            self.get_logger().warning(f"ignored: {error}", throttle_duration_sec=5.0)
            return
        stamp_s = stamp_to_seconds(msg.header.stamp)
        accepted = self._tracker.accept(msg.name, msg.position, stamp_s, self._now_s())
        # Most of the time nobody looks.
        if isinstance(accepted, Ignored) or not self._transforms_publisher.get_subscription_count():
            return
        poses = moving_poses(self._moving, accepted)
        self._transforms_publisher.publish(transforms_to_msg(self._moving, poses, msg.header.stamp))

    def _publish_diagnostics(self) -> None:
        silence = self._tracker.silence(self._now_s())
        arm = Finding("arm", not silence, silence or "has transforms")
        stamp = self.get_clock().now().to_msg()
        self._diagnostics_publisher.publish(findings_to_msg([arm, *self._camera_findings], stamp))

    def _log_cameras(self) -> None:
        for finding in self._camera_findings:
            line = f"{finding.subject} {finding.text}"
            if finding.is_good:
                self.get_logger().info(line)
            else:
                self.get_logger().warning(line)

    def _now_s(self) -> float:
        return float(self.get_clock().now().nanoseconds * 1e-9)


def main() -> None:
    """Run the node until it is interrupted."""
    with ros_session() as requested:
        try:
            node = DescriptionNode()
        except ValueError as error:
            sys.exit(f"description: {error}")
        spin(node, requested.is_set)


if __name__ == "__main__":
    main()
