"""ROS 2 shell around a MaIL policy: pictures and joint states in, timed action chunks out."""

import time
from functools import partial

from mail_msgs.msg import ActionChunk as ActionChunkMsg
from mail_msgs.msg import ArmState as ArmStateMsg
from mail_msgs.msg import PolicyStatus as PolicyStatusMsg
from mail_msgs.srv import SetTask
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import Image as ImageMsg
from sensor_msgs.msg import JointState as JointStateMsg

from mail_policy.core.types import ActionChunk, Observation
from mail_policy.inference.assembler import ObservationAssembler
from mail_policy.inference.checkpoint import CheckpointError, find_checkpoint
from mail_policy.inference.predictor import Predictor
from mail_policy.inference.sentences import UnknownTaskError, resolve_sentence
from mail_policy.inference.served import Precision
from mail_policy.inference.session import PolicySession, SessionConfig
from mail_policy_ros.conversions import (
    chunk_to_msg,
    image_from_msg,
    joints_from_msg,
    lease_from_msg,
    status_to_msg,
)
from mail_policy_ros.policy_worker import PolicyWorker
from mail_ros.conversions import stamp_to_seconds
from mail_ros.parameters import freeze_parameters
from mail_ros.qos import LATCHED
from mail_ros.running import ros_session, spin

HEARTBEAT_PERIOD_S = 0.05
_COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
_PARAMETERS = (
    ("checkpoint", "open_top_drawer", "name of a shipped checkpoint, or path of a folder"),
    ("threads", 1, "threads that torch may use"),
    ("precision", "exact", "exact, or fast: image encoders with weights in half precision"),
    ("exec_horizon", 0, "rows after which the next chunk is planned; 0: as the checkpoint says"),
)


class PolicyNode(LifecycleNode):
    """Publishes a timed action chunk whenever one is due, while the arm grants the lease.

    Topics in: `camera/<name>/color/image_raw`, `joint_states`, `arm/state`.
    Topics out: `policy/action_chunk`, `policy/status` (the heartbeat that keeps the lease).
    Service: `policy/set_task` answers which sentence of the checkpoint a sentence means.
    """

    # Created by on_configure.
    _predictor: Predictor
    _assembler: ObservationAssembler
    # Created by on_activate.
    _worker: PolicyWorker | None = None

    def __init__(
        self,
        *,
        context: Context | None = None,
        parameter_overrides: list[Parameter] | None = None,
    ) -> None:
        super().__init__("policy", context=context, parameter_overrides=parameter_overrides)
        freeze_parameters(self)
        for name, default, description in _PARAMETERS:
            descriptor = ParameterDescriptor(description=description, read_only=True)
            self.declare_parameter(name, default, descriptor)
        self._task = ""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the checkpoint and run it once: the first inference is the slow one."""
        try:
            folder = find_checkpoint(self.get_parameter("checkpoint").value)
            self._predictor = Predictor(
                folder,
                threads=self.get_parameter("threads").value,
                precision=Precision(self.get_parameter("precision").value),
            )
        except CheckpointError as error:
            self.get_logger().error(f"stays unconfigured: {error}")
            return TransitionCallbackReturn.FAILURE
        self._predictor.warm_up()
        manifest = self._predictor.manifest
        self._cameras = tuple(camera.name for camera in manifest.cameras)
        self._assembler = ObservationAssembler(self._cameras, tolerance_s=0.5 / manifest.rate_hz)
        self._chunk_publisher = self.create_lifecycle_publisher(
            ActionChunkMsg, "policy/action_chunk", _COMMAND
        )
        self._status_publisher = self.create_lifecycle_publisher(
            PolicyStatusMsg, "policy/status", _COMMAND
        )
        self._offer = self.create_service(SetTask, "policy/set_task", self._on_set_task)
        self.get_logger().info(f"loaded {manifest.name}: {', '.join(manifest.task_sentences)}")
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to listen and to think, from a clean slate."""
        self._assembler.clear()
        self._worker = PolicyWorker(self._make_session(), self._publish_chunk)
        self._worker.start()
        self._listeners = [
            self.create_subscription(
                ImageMsg,
                f"camera/{name}/color/image_raw",
                partial(self._on_image, name),
                qos_profile_sensor_data,
            )
            for name in self._cameras
        ]
        self._listeners += [
            self.create_subscription(
                JointStateMsg, "joint_states", self._on_joints, qos_profile_sensor_data
            ),
            self.create_subscription(ArmStateMsg, "arm/state", self._on_arm_state, LATCHED),
        ]
        self._timer = self.create_timer(HEARTBEAT_PERIOD_S, self._on_heartbeat)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop to think; the arm holds when the lease runs out."""
        self.rest()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take back what `configure` offered."""
        self.destroy_service(self._offer)
        self.destroy_lifecycle_publisher(self._chunk_publisher)
        self.destroy_lifecycle_publisher(self._status_publisher)
        self._task = ""
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop to think: a shutdown may come straight from the active state."""
        self.rest()
        return super().on_shutdown(state)

    def _make_session(self) -> PolicySession:
        manifest = self._predictor.manifest
        config = SessionConfig(
            schema=manifest.action_schema,
            step_period_s=1.0 / manifest.rate_hz,
            exec_horizon=self.get_parameter("exec_horizon").value or manifest.exec_horizon,
        )
        history = self._predictor.new_history()
        return PolicySession(config, self._predictor, history, time.perf_counter)

    def rest(self) -> None:
        """End the thread and the listening. Harmless when nothing runs."""
        if self._worker is None:
            return
        self.destroy_timer(self._timer)
        for subscription in self._listeners:
            self.destroy_subscription(subscription)
        self._worker.stop()
        self._worker = None

    def _on_image(self, camera: str, msg: ImageMsg) -> None:
        try:
            image = image_from_msg(msg)
        except ValueError as error:
            self._warn(f"dropped a picture of {camera}: {error}")
            return
        self._queue(self._assembler.add_frame(camera, stamp_to_seconds(msg.header.stamp), image))

    def _on_joints(self, msg: JointStateMsg) -> None:
        try:
            positions, width_m = joints_from_msg(msg)
        except ValueError as error:
            self._warn(f"dropped a joint state: {error}")
            return
        stamp_s = stamp_to_seconds(msg.header.stamp)
        self._queue(self._assembler.add_joints(stamp_s, positions, width_m))

    def _queue(self, observations: list[Observation]) -> None:
        if self._worker is not None:
            for observation in observations:
                self._worker.add(observation)

    def _on_arm_state(self, msg: ArmStateMsg) -> None:
        if self._worker is not None:
            self._worker.set_lease(lease_from_msg(msg))

    def _publish_chunk(self, chunk: ActionChunk) -> None:
        self._chunk_publisher.publish(chunk_to_msg(chunk, self.get_clock().now().to_msg()))

    def _on_heartbeat(self) -> None:
        worker = self._worker
        if worker is None or worker.fault:
            return
        silent = self._assembler.silent_streams()
        waiting_for = f"a message on {', '.join(silent)}" if silent else worker.waiting_for
        msg = status_to_msg(
            stamp=self.get_clock().now().to_msg(),
            checkpoint=self._predictor.manifest.name,
            task=self._task,
            waiting_for=waiting_for,
            inference_s=list(worker.inference_s),
            lease_epoch=worker.lease_epoch,
        )
        msg.chunks = worker.chunks
        self._status_publisher.publish(msg)

    def _on_set_task(self, request: SetTask.Request, reply: SetTask.Response) -> SetTask.Response:
        try:
            self._task = resolve_sentence(request.task, self._predictor.manifest.task_sentences)
            reply.success, reply.resolved_task = True, self._task
            reply.message = f"will follow {self._task!r}"
        except UnknownTaskError as error:
            reply.success, reply.message = False, str(error)[:512]
        return reply

    def _warn(self, message: str) -> None:
        self.get_logger().warning(message, throttle_duration_sec=1.0)


def main() -> None:
    """Run the node until it is interrupted."""
    with ros_session() as requested:
        node = PolicyNode()
        try:
            spin(node, requested.is_set)
        finally:
            node.rest()
