"""ROS 2 shell around the control loop: chunks and requests in, states out."""

import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from mail_msgs.msg import ActionChunk as ActionChunkMsg
from mail_msgs.msg import Admission as AdmissionMsg
from mail_msgs.msg import ArmState as ArmStateMsg
from mail_msgs.msg import GripperState as GripperStateMsg
from mail_msgs.msg import PolicyStatus as PolicyStatusMsg
from mail_msgs.srv import StartPolicy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.experimental import EventsExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState as JointStateMsg
from std_srvs.srv import Trigger

from mail_franka.control_loop import LoopTick
from mail_franka.conversions import (
    chunk_from_msg,
    decision_to_msg,
    gripper_to_msg,
    joints_to_msg,
    seconds_to_stamp,
    state_to_msg,
)
from mail_franka.devices import DeviceFactory, franky_devices
from mail_franka.gripper_worker import GripperView
from mail_franka.session import ArmSession
from mail_franka.state_pacer import StatePacer
from mail_policy.core.config import ConfigError
from mail_policy.core.devices import DeviceError
from mail_policy.core.interruption import heed_stop_signals
from mail_policy.core.motion.values import CommandName

_LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
_COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
_EVENTS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_REQUESTS = ("arm", "disarm", "recover", "home", "stop", "resume", "estop", "reset_estop")
_PARAMETERS = (
    ("robot_ip", "", "address of the robot; a loopback address means a twin"),
    ("robot_type", "fr3", "fer (Panda) or fr3"),
    ("config_file", "", "YAML of an ArmConfig, for example launch/config/arm.yaml"),
)


class ArmNode(LifecycleNode):
    """Moves the arm under a lease that the operator grants, and tells what it does.

    Topics in: `policy/action_chunk`, `policy/status`. Topics out: `joint_states`, `arm/state`,
    `arm/admission`, `gripper/state`. Services: `arm/arm`, `arm/home`, `arm/start_policy`, ...

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
        for name, default, description in _PARAMETERS:
            descriptor = ParameterDescriptor(description=description, read_only=True)
            self.declare_parameter(name, default, descriptor)
        self._session = ArmSession(make_devices, self._now_s, self._publish)
        self._pacer = StatePacer()
        self._answering: list[Any] = []
        self._inputs: list[Any] = []

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
        self._state_publisher = publish(ArmStateMsg, "arm/state", _LATCHED)
        self._admission_publisher = publish(AdmissionMsg, "arm/admission", _EVENTS)
        self._gripper_publisher = publish(GripperStateMsg, "gripper/state", _LATCHED)
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
        self._inputs = [
            self.create_subscription(kind, topic, heard, _COMMAND)
            for kind, topic, heard in (
                (ActionChunkMsg, "policy/action_chunk", self._on_chunk),
                (PolicyStatusMsg, "policy/status", self._on_heartbeat),
            )
        ]
        self._session.start()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Bring the arm to rest and give control back."""
        self._session.rest()
        while self._inputs:
            self.destroy_subscription(self._inputs.pop())
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
            self._gripper_publisher,
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

    def _on_chunk(self, msg: ActionChunkMsg) -> None:
        try:
            self._session.offer_chunk(chunk_from_msg(msg))
        except ValueError as error:
            self.get_logger().error(f"dropped a malformed chunk: {error}")

    def _on_heartbeat(self, msg: PolicyStatusMsg) -> None:
        self._session.note_heartbeat()

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
            if gripper.reading is not None:
                self._gripper_publisher.publish(gripper_to_msg(gripper, gripper.reading))


def main() -> None:
    """Run the node until it is interrupted; then brake, release, leave."""
    requested = heed_stop_signals(signal.SIGINT, signal.SIGTERM)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = ArmNode()
    executor = EventsExecutor()
    executor.add_node(node)
    try:
        # EventsExecutor.spin() does not return on shutdown; short turns do.
        while rclpy.ok() and not requested.is_set():
            executor.spin_once(timeout_sec=0.05)
    finally:
        node.close()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
