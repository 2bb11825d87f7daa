"""ROS 2 shell around the control loop: chunks and requests in, states out."""

import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import rclpy
from mail_msgs.msg import ActionChunk as ActionChunkMsg
from mail_msgs.msg import Admission as AdmissionMsg
from mail_msgs.msg import ArmState as ArmStateMsg
from mail_msgs.msg import GripperState as GripperStateMsg
from mail_msgs.msg import PolicyStatus as PolicyStatusMsg
from mail_msgs.srv import StartPolicy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import ExternalShutdownException
from rclpy.experimental import EventsExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState as JointStateMsg
from std_srvs.srv import Trigger

from mail_franka.arm_config import ArmConfig, is_loopback
from mail_franka.control_loop import ControlLoop, LoopTick
from mail_franka.conversions import (
    chunk_from_msg,
    decision_to_msg,
    gripper_to_msg,
    joint_names,
    joints_to_msg,
    seconds_to_stamp,
    state_to_msg,
)
from mail_franka.devices import DeviceFactory, franky_devices
from mail_franka.gripper_worker import GripperWorker
from mail_franka.robot_clock import RobotClock
from mail_franka.state_pacer import StatePacer
from mail_policy.core.config import ConfigError, load_config
from mail_policy.core.devices import DeviceError
from mail_policy.core.motion.core import MotionCore
from mail_policy.core.motion.values import CommandName
from mail_policy.core.robot_limits import RobotType

_LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
_COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
_JOINTS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
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
        make_devices: Opens arm and gripper; tests give simulated ones.
        parameter_overrides: Parameters, for tests.
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
        self._make_devices = make_devices
        self._devices = ExitStack()
        self._loop: ControlLoop | None = None
        self._worker: GripperWorker | None = None
        self._pacer = StatePacer()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the settings, connect to arm and hand, open topics and services."""
        try:
            self._open_devices()
        except (ConfigError, DeviceError, ValueError) as error:
            self.get_logger().error(f"stays unconfigured: {error}")
            self._devices.close()
            return TransitionCallbackReturn.FAILURE
        publish = self.create_lifecycle_publisher
        self._joints_publisher = publish(JointStateMsg, "joint_states", _JOINTS)
        self._state_publisher = publish(ArmStateMsg, "arm/state", _LATCHED)
        self._admission_publisher = publish(AdmissionMsg, "arm/admission", _JOINTS)
        self._gripper_publisher = publish(GripperStateMsg, "gripper/state", _LATCHED)
        requests = MutuallyExclusiveCallbackGroup()
        for name in _REQUESTS:
            answer = self._answer_to(CommandName(name))
            self.create_service(Trigger, f"arm/{name}", answer, callback_group=requests)
        self.create_service(
            StartPolicy, "arm/start_policy", self._on_start_policy, callback_group=requests
        )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the control loop. Nothing moves before `arm/arm` and another request."""
        result = super().on_activate(state)
        self._worker = GripperWorker(self._gripper, self._config.gripper, time.monotonic)
        self._worker.start()
        # Random, so that chunks of an earlier run never fit.
        epoch = random.SystemRandom().getrandbits(32)
        use_sim_time = self.get_parameter("use_sim_time").value
        self._loop = ControlLoop(
            self._arm,
            MotionCore(
                self._config.motion, self._robot_type, random.SystemRandom().getrandbits(32)
            ),
            self._config.loop,
            tick_s=self._config.motion.tick_s,
            clock=RobotClock(trusted_share=0.9 if use_sim_time else 0.1),
            observation_now_s=self._now_s,
            on_tick=self._publish,
        )
        self._inputs = [
            self.create_subscription(
                ActionChunkMsg, "policy/action_chunk", self._on_chunk, _COMMAND
            ),
            self.create_subscription(
                PolicyStatusMsg, "policy/status", self._on_heartbeat, _COMMAND
            ),
        ]
        self._loop.start()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Bring the arm to rest and give control back."""
        self.rest()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disconnect, and close topics and services."""
        self._devices.close()
        for service in list(self.services):
            if service.srv_name.split("/")[-2:-1] == ["arm"]:
                self.destroy_service(service)
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Bring the arm to rest: a shutdown may come straight from the active state."""
        self.close()
        return super().on_shutdown(state)

    def close(self) -> None:
        """Come to rest and disconnect."""
        self.rest()
        self._devices.close()

    def rest(self) -> None:
        """Brake, give control back, stop listening."""
        if self._loop is not None:
            self._loop.stop()
            for subscription in self._inputs:
                self.destroy_subscription(subscription)
            self._loop = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def _open_devices(self) -> None:
        address = self.get_parameter("robot_ip").value
        path = Path(self.get_parameter("config_file").value)
        self._robot_type = RobotType(self.get_parameter("robot_type").value)
        if self.get_parameter("use_sim_time").value and not is_loopback(address):
            raise ValueError(f"use_sim_time with a real robot at {address!r}; start without it")
        self._config = load_config(ArmConfig, path).for_address(address)
        self._names = joint_names(self._robot_type)
        arm, gripper = self._make_devices(address, self._robot_type, self._config, self._now_s)
        self._arm = self._devices.enter_context(arm)
        self._gripper = self._devices.enter_context(gripper)
        self.get_logger().info(f"connected to the {self._robot_type.value} at {address}")

    def _now_s(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _answer_to(
        self, name: CommandName
    ) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
        def answer(request: Trigger.Request, reply: Trigger.Response) -> Trigger.Response:
            if self._loop is None:
                reply.success, reply.message = False, "the arm node is not active"
                return reply
            done = self._loop.request(name)
            reply.success, reply.message = done.success, done.message
            return reply

        return answer

    def _on_start_policy(
        self, request: StartPolicy.Request, reply: StartPolicy.Response
    ) -> StartPolicy.Response:
        if self._loop is None:
            reply.success, reply.message = False, "the arm node is not active"
            return reply
        done = self._loop.request(CommandName.START_POLICY, request.task, request.max_duration)
        reply.success, reply.message = done.success, done.message[:512]
        reply.lease_epoch = done.lease_epoch
        return reply

    def _on_chunk(self, msg: ActionChunkMsg) -> None:
        try:
            chunk = chunk_from_msg(msg)
        except ValueError as error:
            self.get_logger().error(f"dropped a malformed chunk: {error}")
            return
        if self._loop is not None:
            self._loop.offer_chunk(chunk)

    def _on_heartbeat(self, msg: PolicyStatusMsg) -> None:
        if self._loop is not None:
            self._loop.note_heartbeat()

    def _publish(self, tick: LoopTick) -> None:
        """Tell what happened in a tick; called from the control loop's thread."""
        if self._worker is None or not self.context.ok():
            return
        view = self._worker.view()
        if tick.outputs.gripper_width_m is not None:
            self._worker.want(tick.outputs.gripper_width_m)
        joints = joints_to_msg(tick, view.reading.width_m if view.reading else 0.0, self._names)
        if joints is not None and view.reading is not None:
            self._joints_publisher.publish(joints)
        if tick.outputs.decision is not None:
            stamp = seconds_to_stamp(tick.observation_time_s)
            self._admission_publisher.publish(decision_to_msg(tick.outputs.decision, stamp))
        if self._pacer.is_due(tick.outputs, time.monotonic()):
            self._state_publisher.publish(state_to_msg(tick, self._robot_type))
            gripper = gripper_to_msg(view)
            if gripper is not None:
                self._gripper_publisher.publish(gripper)


def main() -> None:
    """Run the node until it is interrupted; then brake, release, leave."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        # A process that was started in the background may have inherited "ignore".
        signal.signal(number, signal.default_int_handler)
    node = ArmNode()
    executor = EventsExecutor()
    executor.add_node(node)
    try:
        # EventsExecutor.spin() does not return on shutdown; short turns do.
        while rclpy.ok():
            executor.spin_once(timeout_sec=0.05)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.close()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
