"""ROS 2 shell around the control loop: chunks and requests in, states out."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mail_msgs.msg import ActionChunk as ActionChunkMsg
from mail_msgs.msg import Admission as AdmissionMsg
from mail_msgs.msg import ArmState as ArmStateMsg
from mail_msgs.msg import PolicyStatus as PolicyStatusMsg
from mail_msgs.msg import TeleopCommand as TeleopCommandMsg
from mail_msgs.srv import StartPolicy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState as JointStateMsg
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from mail_franka.control_loop import Heard, LoopTick
from mail_franka.conversions import (
    chunk_from_msg,
    decision_to_msg,
    decoded,
    heartbeat_from_msg,
    joints_to_msg,
    state_to_msg,
    teleop_from_msg,
)
from mail_franka.devices import DeviceFactory, franky_devices
from mail_franka.gripper_values import GripperView
from mail_franka.gripper_worker import GripperWorker
from mail_franka.session import ArmSession
from mail_franka.state_pacer import StatePacer
from mail_policy.core.config import ConfigError
from mail_policy.core.devices import DeviceError
from mail_policy.core.motion.values import CommandName
from mail_ros.conversions import seconds_to_stamp
from mail_ros.parameters import freeze_parameters
from mail_ros.qos import LATCHED

_COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
_EVENTS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_REQUESTS = ("arm", "disarm", "recover", "home", "stop", "resume", "estop", "reset_estop")
_PARAMETERS = (
    ("robot_ip", "", "address of the robot; a loopback address means a twin"),
    ("robot_type", "fr3", "fer (Panda) or fr3"),
    ("config_file", "", "YAML of an ArmConfig, for example launch/config/arm.yaml"),
    ("black_box_folder", "", "where the last seconds before a stop are written; empty: nowhere"),
)
_COUNT_PERIOD_S = 0.5
# Field of `Heard`, topic, type, and what becomes of a message.
_INPUTS: tuple[tuple[str, str, Any, Callable[[Any], Any]], ...] = (
    ("chunk", "policy/action_chunk", ActionChunkMsg, chunk_from_msg),
    ("heartbeat", "policy/status", PolicyStatusMsg, heartbeat_from_msg),
    ("teleop", "teleop/command", TeleopCommandMsg, teleop_from_msg),
    ("estop_beat", "estop/heartbeat", Bool, lambda msg: msg.data),
)


class _Inputs(Node):
    """What others want of the arm, looked at once per control tick.

    No executor serves it. Each topic keeps its newest message only, so a flood costs the control
    loop no more than one message per topic and tick.

    Args:
        owner: The arm's node; it tells what is dropped.
    """

    def __init__(self, owner: Node) -> None:
        # A launch file renames all nodes of the process; this one keeps its name.
        super().__init__(
            "arm_inputs",
            cli_args=["--ros-args", "-r", "__node:=arm_inputs"],
            context=owner.context,
            start_parameter_services=False,
            enable_rosout=False,
        )
        self._logger = owner.get_logger()
        self._readers = [
            (field, read, self.create_subscription(kind, topic, read, _COMMAND, raw=True))
            for field, topic, kind, read in _INPUTS
        ]
        # Asking the middleware in every tick would cost more than all messages.
        self.chunk_publishers = 1

    def count_chunk_publishers(self) -> None:
        """Ask how many programs offer action chunks."""
        self.chunk_publishers = self.count_publishers("policy/action_chunk")

    def poll(self) -> Heard:
        """Return the newest message of each topic; a malformed one is named and dropped."""
        heard = Heard(chunk_publishers=self.chunk_publishers)
        for field, read, subscription in self._readers:
            with subscription.handle:
                found = subscription.handle.take_message(subscription.msg_type, True)
            if found is None:
                continue
            try:
                setattr(heard, field, read(decoded(found[0], subscription.msg_type)))
            except ValueError as error:
                self._logger.warning(f"dropped: {error}", throttle_duration_sec=1.0)
        return heard


class ArmNode(LifecycleNode):
    """Moves the arm under a lease that the operator grants, and tells what it does.

    Topics in: `policy/action_chunk`, `policy/status`, `teleop/command` and `estop/heartbeat`, which
    says true while nobody pressed the emergency stop. Topics out: `joint_states`, `arm/state`,
    `arm/admission`. Services: `arm/arm`, `arm/home`, `arm/start_policy`, ...

    Args:
        make_devices: Makes arm and gripper; tests give simulated ones.
        parameter_overrides: Parameters, for tests.
        node_arguments: More arguments of rclpy's node, for tests.
    """

    def __init__(
        self,
        make_devices: DeviceFactory = franky_devices,
        parameter_overrides: list[Parameter] | None = None,
        **node_arguments: object,
    ) -> None:
        super().__init__("arm", parameter_overrides=parameter_overrides, **node_arguments)
        freeze_parameters(self)
        for name, default, description in _PARAMETERS:
            descriptor = ParameterDescriptor(description=description, read_only=True)
            self.declare_parameter(name, default, descriptor)
        folder = self.get_parameter("black_box_folder").value
        self._session = ArmSession(
            make_devices, self._now_s, self._publish, Path(folder) if folder else None
        )
        self._pacer = StatePacer()
        self._answering: list[Any] = []
        self._inputs: _Inputs | None = None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the settings, connect to arm and hand, open topics and services."""
        address, robot_type, config_file, simulated_time = (
            self.get_parameter(name).value
            for name in ("robot_ip", "robot_type", "config_file", "use_sim_time")
        )
        try:
            self._session.open(
                address, robot_type, Path(config_file), simulated_time=simulated_time
            )
        except (ConfigError, DeviceError, ValueError) as error:
            self.get_logger().error(f"stays unconfigured: {error}")
            return TransitionCallbackReturn.FAILURE
        self.get_logger().info(f"connected to the {robot_type} at {address}")
        publish = self.create_lifecycle_publisher
        self._joints_publisher = publish(JointStateMsg, "joint_states", _EVENTS)
        self._state_publisher = publish(ArmStateMsg, "arm/state", LATCHED)
        self._admission_publisher = publish(AdmissionMsg, "arm/admission", _EVENTS)
        self._answering = [
            self.create_service(Trigger, f"arm/{name}", partial(self._on_request, name))
            for name in _REQUESTS
        ]
        self._answering.append(
            self.create_service(StartPolicy, "arm/start_policy", self._on_start_policy)
        )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the control loop. Nothing moves before `arm/arm` and another request."""
        result = super().on_activate(state)
        self._inputs = _Inputs(self)
        self._counting = self.create_timer(_COUNT_PERIOD_S, self._inputs.count_chunk_publishers)
        self._session.start(self._inputs.poll)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Bring the arm to rest and give control back."""
        self._session.rest()
        self.destroy_timer(self._counting)
        if self._inputs is not None:
            self._inputs.destroy_node()
            self._inputs = None
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disconnect, and close topics and services."""
        self._session.close()
        while self._answering:
            self.destroy_service(self._answering.pop())
        for publisher in (
            self._joints_publisher,
            self._state_publisher,
            self._admission_publisher,
        ):
            self.destroy_lifecycle_publisher(publisher)
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Bring the arm to rest: a shutdown may come straight from the active state."""
        self.close()
        return super().on_shutdown(state)

    def close(self) -> None:
        """Come to rest and disconnect."""
        self._session.close()

    def gripper(self) -> GripperWorker | None:
        """Return who commands the hand; None while the node is not active."""
        return self._session.gripper

    def _now_s(self) -> float:
        return float(self.get_clock().now().nanoseconds * 1e-9)

    def _on_request(
        self, name: str, request: Trigger.Request, reply: Trigger.Response
    ) -> Trigger.Response:
        done = self._session.request(CommandName(name))
        reply.success, reply.message = done.success, done.message
        return reply

    def _on_start_policy(
        self, request: StartPolicy.Request, reply: StartPolicy.Response
    ) -> StartPolicy.Response:
        done = self._session.request(CommandName.START_POLICY, request.task, request.max_duration)
        reply.success, reply.message = done.success, done.message[:512]
        reply.lease_epoch = done.lease_epoch
        return reply

    def _publish(self, tick: LoopTick, gripper: GripperView) -> None:
        """Tell what happened in a tick; called from the control thread."""
        if not self.context.ok():
            return
        robot_type = self._session.robot_type
        joints = joints_to_msg(tick, gripper, robot_type)
        if joints is not None:
            self._joints_publisher.publish(joints)
        if tick.outputs.decision is not None:
            stamp = seconds_to_stamp(tick.observation_time_s)
            self._admission_publisher.publish(decision_to_msg(tick.outputs.decision, stamp))
        if self._pacer.is_due(tick.outputs, time.monotonic()):
            self._state_publisher.publish(state_to_msg(tick, robot_type))
