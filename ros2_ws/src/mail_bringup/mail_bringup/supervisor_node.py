"""Publishes what the supervisor knows about the stack."""

from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import TransitionEvent
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from mail_bringup.conversions import findings_to_msg
from mail_bringup.diagnostics import StackView, findings
from mail_ros.conversions import stamp_to_seconds
from mail_ros.parameters import freeze_parameters

_PERIOD_S = 1.0
_BEAT_S = 0.05
_BEAT = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
_PARAMETERS: tuple[tuple[str, Any, str], ...] = (
    ("nodes", ["camera", "arm", "policy"], "lifecycle nodes in the order of activation"),
    ("task", "", "what the policy shall do"),
    ("auto_start", False, "arm, home and start a policy without being asked; twin only"),
    ("record", False, "begin an episode before the policy starts"),
    ("max_duration_s", 60.0, "the arm stops the policy after this time [s]"),
)


def declare_parameters(node: Node) -> dict[str, Any]:
    """Declare the supervisor's parameters on a node; return their values."""
    freeze_parameters(node)
    values = {}
    for name, default, description in _PARAMETERS:
        descriptor = ParameterDescriptor(description=description, read_only=True)
        values[name] = node.declare_parameter(name, default, descriptor).value
    return values


class DiagnosticsReporter:
    """Publishes /diagnostics once a second, on the wall clock: also when a twin stands still.

    Args:
        node: The node to publish with.
        operator: Holds the newest arm state and policy status.
        names: Lifecycle nodes to watch.
    """

    def __init__(self, node: Node, operator: Any, names: list[str]) -> None:
        self._node = node
        self._operator = operator
        self._states = dict.fromkeys(names, "unknown")
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        for name in names:
            node.create_subscription(
                TransitionEvent, f"{name}/transition_event", partial(self._on_event, name), 10
            )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(_PERIOD_S, self._publish, clock=steady)

    def _on_event(self, name: str, msg: TransitionEvent) -> None:
        self._states[name] = msg.goal_state.label

    def view(self) -> StackView:
        """Return what is known now."""
        present = set(self._node.get_node_names())
        arm, policy = self._operator.arm_state, self._operator.policy_status
        return StackView(
            node_states={
                name: state if name in present else "missing"
                for name, state in self._states.items()
            },
            arm_state=arm.state if arm else "",
            arm_cause=arm.cause if arm else "",
            may_move=bool(arm and arm.may_move),
            policy_waiting_for=policy.waiting_for if policy else "",
            policy_heartbeat_age_s=(
                self._operator.time_s() - stamp_to_seconds(policy.header.stamp) if policy else None
            ),
        )

    def _publish(self) -> None:
        stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(findings_to_msg(findings(self.view()), stamp))


class EstopBeacon:
    """The software's emergency stop: beats on `estop/heartbeat` while nobody pressed it.

    The arm stops when it hears false, and when it hears nothing, so this program need not live
    for the stop to work. `estop/trigger` latches it, `estop/reset` lets it beat again; then the
    operator calls `arm/reset_estop`. It replaces no hardware button.

    Args:
        node: The node to publish with.
    """

    def __init__(self, node: Node) -> None:
        self._free = True
        self._publisher = node.create_publisher(Bool, "estop/heartbeat", _BEAT)
        node.create_service(Trigger, "estop/trigger", self._on_trigger)
        node.create_service(Trigger, "estop/reset", self._on_reset)
        node.create_timer(_BEAT_S, self._beat, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _beat(self) -> None:
        self._publisher.publish(Bool(data=self._free))

    def _on_trigger(self, request: Trigger.Request, reply: Trigger.Response) -> Trigger.Response:
        self._free = False
        self._beat()
        reply.success, reply.message = True, "pressed; release it with estop/reset"
        return reply

    def _on_reset(self, request: Trigger.Request, reply: Trigger.Response) -> Trigger.Response:
        self._free = True
        self._beat()
        reply.success, reply.message = True, "released; go on with arm/reset_estop"
        return reply
