"""ROS 2 shell around RecorderDesk: serialized messages in, episodes on disk out."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from mail_msgs.msg import RecorderStatus
from mail_msgs.srv import EndEpisode, SetTask
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from std_srvs.srv import Trigger

from data_collection.writer import Recorded
from mail_recorder.config import PARAMETERS, config_from_parameters
from mail_recorder.conversions import (
    diagnostics_to_msg,
    outcome_from_request,
    status_to_msg,
    streams_of,
)
from mail_recorder.recorder_desk import RecorderDesk
from mail_ros.parameters import freeze_parameters
from mail_ros.qos import LATCHED
from mail_ros.running import ros_session, spin

_STATUS_PERIOD_S = 0.5


class RecorderNode(LifecycleNode):
    """Records pictures as JPEG, depth as PNG and all other topics as they were sent, while active.

    Topics in: `camera/<name>/color/image_raw`, `camera/<name>/color/camera_info`,
    `camera/<name>/aligned_depth_to_color/image_raw`, `joint_states`, `arm/state`,
    `arm/admission`, `gripper/state`, `policy/action_chunk`, `policy/status`, `teleop/command`.
    Topics out: `recorder/status`, `/diagnostics`.
    Services: `recorder/start` (answers with the folder), `recorder/end` (with an outcome; labels
    the last episode if none is running), `recorder/save`, `recorder/discard`,
    `recorder/rerecord`.
    """

    # Made by on_configure.
    _desk: RecorderDesk

    def __init__(
        self,
        *,
        context: Context | None = None,
        parameter_overrides: list[Parameter] | None = None,
    ) -> None:
        super().__init__("recorder", context=context, parameter_overrides=parameter_overrides)
        freeze_parameters(self)
        for name, default, description in PARAMETERS:
            descriptor = ParameterDescriptor(description=description, read_only=True)
            self.declare_parameter(name, default, descriptor)
        self._is_configured = False

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, offer the services, begin to mend what died."""
        try:
            values = {name: self.get_parameter(name).value for name, _, _ in PARAMETERS}
            self._config = config_from_parameters(values)
        except ValueError as error:
            self.get_logger().error(f"stays unconfigured: {error}")
            return TransitionCallbackReturn.FAILURE
        self._desk, self._shown = RecorderDesk(self._config), ""
        self._status = self.create_publisher(RecorderStatus, "recorder/status", LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        recorder = self._desk.recorder
        self._offers = [
            self._offer(SetTask, "recorder/start", self._start),
            self._offer(EndEpisode, "recorder/end", self._end),
            self._offer(Trigger, "recorder/save", lambda *_: recorder.save()),
            self._offer(Trigger, "recorder/discard", lambda *_: recorder.discard()),
            self._offer(Trigger, "recorder/rerecord", lambda *_: self._desk.rerecord()),
        ]
        self._is_configured = True
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to listen; an episode begins with `recorder/start`."""
        self._inputs = [self._listen(*stream) for stream in streams_of(self._config)]
        # Simulated time may stand still; what is wrong must be told nevertheless.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(_STATUS_PERIOD_S, self._look, clock=steady)
        self._show()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Save what is being recorded and stop to listen."""
        self.close()
        self.destroy_timer(self._timer)
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the services and topics back."""
        for service in self._offers:
            self.destroy_service(service)
        for publisher in (self._status, self._diagnostics):
            self.destroy_publisher(publisher)
        self._is_configured = False
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Save what is being recorded: a shutdown may come straight from the active state."""
        self.close()
        return super().on_shutdown(state)

    def close(self) -> None:
        """Save what is being recorded, with a note; harmless when nothing is."""
        try:
            sentence = self._desk.close() if self._is_configured else ""
        except ValueError as error:
            sentence = str(error)
        if sentence:
            self.get_logger().warning(sentence)

    def _listen(self, topic: str, kind: type, qos: QoSProfile) -> Subscription:
        """Subscribe to the serialized messages of a topic, below the node's namespace."""
        type_name = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
        callback = partial(self._on_message, topic, type_name)
        return self.create_subscription(kind, topic.lstrip("/"), callback, qos, raw=True)

    def _on_message(self, topic: str, type_name: str, cdr: bytes) -> None:
        self._desk.put(Recorded(topic, type_name, cdr, self._now_ns()))

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _look(self) -> None:
        is_simulated = self.get_parameter("use_sim_time").value
        self._desk.look(self._now_ns(), None if is_simulated else time.monotonic())
        if fault := self._desk.recorder.fault:
            self.get_logger().error(f"recording has ended: {fault}", throttle_duration_sec=10.0)
        self._show()

    def _show(self) -> None:
        """Publish the status while recording, and otherwise when it has changed."""
        stamp = self.get_clock().now().to_msg()
        view = self._desk.recorder.view(self._now_ns())
        self._diagnostics.publish(diagnostics_to_msg(view, stamp))
        status = status_to_msg(view, stamp)
        content = f"{status.recording}{status.episode}{status.remarks}{status.discarded}"
        if view.is_recording or content != self._shown:
            self._status.publish(status)
        self._shown = content

    def _start(self, request: SetTask.Request, reply: SetTask.Response) -> str:
        reply.resolved_task, sentence = self._desk.start(request.task, self._now_ns())
        return sentence

    def _end(self, request: EndEpisode.Request, reply: EndEpisode.Response) -> str:
        outcome = outcome_from_request(request)
        return self._desk.recorder.end(success=outcome, failure_reason=request.reason)

    def _offer(self, kind: type, name: str, act: Callable[[Any, Any], str]) -> object:
        """Offer a service whose answer says whether it worked, and a sentence."""

        def on_request(request: Any, reply: Any) -> Any:
            try:
                reply.message = act(request, reply)[:512]
                reply.success = True
            except ValueError as error:
                reply.success, reply.message = False, str(error)[:512]
            self._show()
            return reply

        return self.create_service(kind, name, on_request)


def main() -> None:
    """Run the node until it is interrupted; a running episode is saved."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    with ros_session() as requested:
        node = RecorderNode()
        try:
            spin(node, requested.is_set)
        finally:
            node.close()


if __name__ == "__main__":
    main()
