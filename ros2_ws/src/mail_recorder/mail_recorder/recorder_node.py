"""ROS 2 shell around EpisodeRecorder: serialized messages in, episodes on disk out."""

import signal
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import rclpy
from mail_msgs.msg import ActionChunk, Admission, ArmState, GripperState, PolicyStatus
from mail_msgs.srv import SetTask
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.context import Context
from rclpy.experimental import EventsExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import Trigger

from data_collection import topics
from data_collection.errors import EpisodeError
from data_collection.manifest import EpisodeSource
from data_collection.writer import Recorded
from mail_policy.core.interruption import heed_stop_signals
from mail_recorder.episode_recorder import EpisodeRecorder, RecorderConfig

_FAULT_PERIOD_S = 1.0
# Best effort also listens to reliable publishers; a reliable reader needs a reliable publisher.
_SENSOR = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
_COMMAND = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
_STREAMS = (
    (topics.JOINT_STATES, JointState, _SENSOR),
    (topics.ARM_STATE, ArmState, _COMMAND),
    (topics.ADMISSION, Admission, _COMMAND),
    (topics.GRIPPER_STATE, GripperState, _SENSOR),
    (topics.ACTION_CHUNK, ActionChunk, _COMMAND),
    (topics.POLICY_STATUS, PolicyStatus, _COMMAND),
)
_PARAMETERS = (
    ("episodes_dir", "runs/episodes", "folder of the episodes"),
    ("cameras", ["agentview", "wrist"], "names of the cameras; the first one sets the grid"),
    ("robot_type", "fr3", "fer or fr3"),
    ("source", "policy", "who moves the arm: policy, teleop or scripted"),
    ("operator", "", "who is responsible for the recordings"),
)


class RecorderNode(LifecycleNode):
    """Records pictures as JPEG and all other topics as they were sent, while active.

    Topics in: `camera/<name>/color/image_raw`, `joint_states`, `arm/state`, `arm/admission`,
    `gripper/state`, `policy/action_chunk`, `policy/status`.
    Services: `recorder/start` (answers with the folder), `recorder/save`, `recorder/discard`.
    """

    # Made by on_configure.
    _recorder: EpisodeRecorder

    def __init__(
        self,
        *,
        context: Context | None = None,
        parameter_overrides: list[Parameter] | None = None,
    ) -> None:
        super().__init__("recorder", context=context, parameter_overrides=parameter_overrides)
        for name, default, description in _PARAMETERS:
            descriptor = ParameterDescriptor(description=description, read_only=True)
            self.declare_parameter(name, default, descriptor)
        self._is_configured = False

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters and offer the services."""
        try:
            config = RecorderConfig(
                episodes_dir=Path(self.get_parameter("episodes_dir").value),
                cameras=tuple(self.get_parameter("cameras").value),
                robot_type=self.get_parameter("robot_type").value,
                source=EpisodeSource(self.get_parameter("source").value),
                operator=self.get_parameter("operator").value,
            )
        except ValueError as error:
            self.get_logger().error(f"stays unconfigured: {error}")
            return TransitionCallbackReturn.FAILURE
        self._cameras = config.cameras
        self._recorder = EpisodeRecorder(config)
        self._offers = [
            self.create_service(SetTask, "recorder/start", self._on_start),
            self.create_service(Trigger, "recorder/save", partial(self._on_end, True)),
            self.create_service(Trigger, "recorder/discard", partial(self._on_end, False)),
        ]
        self._is_configured = True
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to listen; an episode begins with `recorder/start`."""
        pictures = [(f"/camera/{name}/color/image_raw", Image, _SENSOR) for name in self._cameras]
        self._inputs = [self._listen(*stream) for stream in (*_STREAMS, *pictures)]
        self._timer = self.create_timer(_FAULT_PERIOD_S, self._report_fault)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Save what is being recorded and stop to listen."""
        self.close()
        self.destroy_timer(self._timer)
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the services back."""
        for service in self._offers:
            self.destroy_service(service)
        self._is_configured = False
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Save what is being recorded: a shutdown may come straight from the active state."""
        self.close()
        return super().on_shutdown(state)

    def close(self) -> None:
        """Save what is being recorded, with a note; harmless when nothing is."""
        try:
            sentence = self._recorder.close() if self._is_configured else ""
        except EpisodeError as error:
            self.get_logger().error(f"could not save the episode: {error}")
            return
        if sentence:
            self.get_logger().warning(sentence)

    def _listen(self, topic: str, kind: type, qos: QoSProfile) -> Subscription:
        """Subscribe to the serialized messages of a topic, below the node's namespace."""
        type_name = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
        callback = partial(self._on_message, topic, type_name)
        return self.create_subscription(kind, topic.lstrip("/"), callback, qos, raw=True)

    def _on_message(self, topic: str, type_name: str, cdr: bytes) -> None:
        now_ns = self.get_clock().now().nanoseconds
        self._recorder.put(Recorded(topic, type_name, cdr, now_ns))

    def _report_fault(self) -> None:
        if fault := self._recorder.fault:
            self.get_logger().error(f"recording has ended: {fault}", throttle_duration_sec=10.0)

    def _on_start(self, request: SetTask.Request, reply: SetTask.Response) -> SetTask.Response:
        try:
            folder = self._recorder.start(request.task, datetime.now(UTC))
            reply.success, reply.message = True, f"recording {folder.name}"
            reply.resolved_task = str(folder)
        except EpisodeError as error:
            reply.success, reply.message = False, str(error)[:512]
        return reply

    def _on_end(
        self, save: bool, request: Trigger.Request, reply: Trigger.Response
    ) -> Trigger.Response:
        try:
            reply.message = self._recorder.save() if save else self._recorder.discard()
            reply.success = True
        except EpisodeError as error:
            reply.success, reply.message = False, str(error)
        return reply


def main() -> None:
    """Run the node until it is interrupted; a running episode is saved."""
    requested = heed_stop_signals(signal.SIGINT, signal.SIGTERM)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = RecorderNode()
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
