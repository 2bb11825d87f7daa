"""A client for the operator's services: what a person does with buttons, a program does here."""

import threading
import time
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from mail_msgs.msg import ActionChunk, ArmState, PolicyStatus
from mail_msgs.srv import CheckSuccess, ResetScene, SetTask, StartPolicy
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from std_srvs.srv import Trigger

from mail_ros.qos import LATCHED

ANSWER_LIMIT_S = 10.0
HOMING_LIMIT_S = 120.0
REST_LIMIT_S = 10.0
# A set-point that stays the same for so long [s], up to rounding [rad], stands.
_REST_S = 0.2
_SAME_RAD = 1e-6
_STATE_LIMIT_S = 2.0
_PING_LIMIT_S = 1.0
_PICTURES_S = 0.15
_POLL_PERIOD_S = 0.02
_TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
}


class OperatorError(RuntimeError):
    """A service refused or did not answer. The text says which and why."""


class OperatorCancelledError(OperatorError):
    """The program was asked to stop while it waited."""


def _never() -> bool:
    return False


class Operator:
    """Calls the services of a running stack; use it as a context manager.

    Args:
        domain_id: ROS domain; None means the environment's.
        namespace: Namespace of the stack, "" for none.
        use_sim_time: Follow /clock, as the nodes of a twin do.
        name: Name of the node.
        arguments: ROS arguments of the command line, for a process that is a node itself.
        is_cancelled: Asked while waiting; if it says so, the wait ends with an error.
    """

    def __init__(
        self,
        *,
        domain_id: int | None = None,
        namespace: str = "",
        use_sim_time: bool = False,
        name: str = "operator",
        arguments: list[str] | None = None,
        is_cancelled: Callable[[], bool] = _never,
    ) -> None:
        self._domain_id = domain_id
        self._namespace = namespace
        self._name = name
        self._arguments = arguments or []
        self._is_cancelled = is_cancelled
        self._overrides = [Parameter("use_sim_time", value=True)] if use_sim_time else []
        self._ending = threading.Event()
        self._clients: dict[str, Any] = {}
        self._reached: set[str] = set()
        self.arm_state: ArmState | None = None
        self._set_point_since_s = 0.0
        self.policy_status: PolicyStatus | None = None
        # Of every chunk heard [ms]; whoever measures clears it first.
        self.inference_ms: list[float] = []

    def __enter__(self) -> Self:
        self._context = Context()
        rclpy.init(args=self._arguments, context=self._context, domain_id=self._domain_id)
        self.node = Node(
            self._name,
            context=self._context,
            namespace=self._namespace or None,
            parameter_overrides=self._overrides,
        )
        self.node.create_subscription(ArmState, "arm/state", self._on_arm_state, LATCHED)
        self.node.create_subscription(
            PolicyStatus, "policy/status", self._on_policy_status, qos_profile_sensor_data
        )
        self.node.create_subscription(ActionChunk, "policy/action_chunk", self._on_chunk, 10)
        self._executor = EventsExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="operator", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._thread.join(timeout=2.0)
        # Otherwise the executor keeps the node, and with it a DDS participant, alive.
        self._executor.remove_node(self.node)
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _spin(self) -> None:
        while not self._ending.is_set() and self._context.ok():
            self._executor.spin_once(timeout_sec=0.1)

    def _on_arm_state(self, msg: ArmState) -> None:
        before = self.arm_state
        if before is None or not np.allclose(before.set_point, msg.set_point, atol=_SAME_RAD):
            self._set_point_since_s = msg.robot_time
        self.arm_state = msg

    def _on_policy_status(self, msg: PolicyStatus) -> None:
        self.policy_status = msg

    def _on_chunk(self, msg: ActionChunk) -> None:
        self.inference_ms.append(1e3 * msg.inference_duration)

    def time_s(self) -> float:
        """Return the time that the nodes follow [s]; 0 while a twin's clock is silent."""
        return float(self.node.get_clock().now().nanoseconds) * 1e-9

    def wait_until(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Wait for a condition on the wall clock; False if it never held.

        Raises OperatorCancelledError if the wait was cancelled.
        """
        deadline_s = time.monotonic() + limit_s
        while not condition():
            if self._is_cancelled():
                raise OperatorCancelledError("interrupted")
            if time.monotonic() > deadline_s:
                return False
            time.sleep(_POLL_PERIOD_S)
        return True

    def call(
        self, kind: Any, name: str, request: Any = None, limit_s: float = ANSWER_LIMIT_S
    ) -> Any:
        """Call a service and return its reply. Raises OperatorError if none comes."""
        client = self._client(kind, name)
        if not self.wait_until(client.service_is_ready, limit_s):
            raise OperatorError(f"service {name} is not there; is the stack up? see mailctl status")
        self._reach(name.partition("/")[0], limit_s)
        future = client.call_async(request if request is not None else kind.Request())
        if not self.wait_until(future.done, limit_s):
            raise OperatorError(f"service {name} did not answer within {limit_s:.0f} s")
        return future.result()

    def _client(self, kind: Any, name: str) -> Any:
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
        return self._clients[name]

    def _reach(self, node_name: str, limit_s: float) -> None:
        """Wait until a node has discovered us, before it is asked anything for the first time.

        Discovery is not symmetric: we may see a service whose node does not see us yet, and DDS
        drops its answer. Most requests must not be repeated; asking for no parameters may be.
        """
        if node_name in self._reached:
            return
        client = self._client(GetParameters, f"{node_name}/get_parameters")
        if not self.wait_until(client.service_is_ready, _PING_LIMIT_S):
            return  # The service is offered by a node of another name.
        deadline_s = time.monotonic() + limit_s
        while time.monotonic() < deadline_s:
            future = client.call_async(GetParameters.Request())
            if self.wait_until(future.done, _PING_LIMIT_S):
                self._reached.add(node_name)
                return
        raise OperatorError(f"node {node_name} did not answer within {limit_s:.0f} s")

    def _ask(
        self, kind: Any, name: str, request: Any = None, limit_s: float = ANSWER_LIMIT_S
    ) -> Any:
        """Call a service whose reply has `success` and `message`; refusals become errors."""
        reply = self.call(kind, name, request, limit_s)
        if not reply.success:
            raise OperatorError(f"{name} refused: {reply.message}")
        return reply

    def trigger(self, name: str, limit_s: float = ANSWER_LIMIT_S) -> str:
        """Call a service without arguments; return its message."""
        return str(self._ask(Trigger, name, None, limit_s).message) or f"{name}: done"

    def arm(self) -> str:
        """Make the arm ready. It does not move."""
        return self.trigger("arm/arm")

    def home(self) -> str:
        """Move the arm to its home posture and wait until it is there."""
        answer = self.trigger("arm/home", HOMING_LIMIT_S)
        # The state may still be the one from before the answer.
        self.wait_until(lambda: self._state() == ArmState.HOMING, 1.0)
        if not self.wait_until(lambda: self._state() != ArmState.HOMING, HOMING_LIMIT_S):
            raise OperatorError(f"the arm is not home after {HOMING_LIMIT_S:.0f} s")
        if self._state() != ArmState.READY:
            cause = self.arm_state.cause if self.arm_state else "no state received"
            raise OperatorError(f"homing ended in state {self._state()!r}: {cause}")
        return answer

    def come_to_rest(self) -> None:
        """Stop the arm, wait until it stands, and make it ready again."""
        self.trigger("arm/stop")
        if not self.wait_until(self._stands, REST_LIMIT_S):
            cause = self.arm_state.cause if self.arm_state else "no state received"
            raise OperatorError(
                f"the arm does not stand {REST_LIMIT_S:.0f} s after arm/stop; it is "
                f"{self._state()!r}: {cause}"
            )
        self.trigger("arm/resume")

    def _stands(self) -> bool:
        arm = self.arm_state
        return (
            arm is not None
            and arm.state == ArmState.STOPPED
            and arm.robot_time - self._set_point_since_s > _REST_S
        )

    def _state(self) -> str:
        return self.arm_state.state if self.arm_state is not None else ""

    def set_task(self, sentence: str) -> str:
        """Tell the policy what to do; return the sentence that it will follow."""
        request = SetTask.Request(task=sentence)
        return str(self._ask(SetTask, "policy/set_task", request).resolved_task)

    def start(self, task: str, max_duration_s: float) -> int:
        """Let the policy move the arm; return the number of its lease."""
        request = StartPolicy.Request(task=task, max_duration=max_duration_s)
        return int(self._ask(StartPolicy, "arm/start_policy", request).lease_epoch)

    def start_recording(self, task: str) -> str:
        """Begin an episode; return its folder."""
        request = SetTask.Request(task=task)
        return str(self._ask(SetTask, "recorder/start", request).resolved_task)

    def save_recording(self) -> str:
        """End and keep the episode."""
        return self.trigger("recorder/save", 30.0)

    def reset_scene(self, seed: int, task: str = "") -> str:
        """Put the twin's objects to the initial state of a seed."""
        request = ResetScene.Request(seed=seed, task=task)
        answer = str(self._ask(ResetScene, "twin/reset", request).message)
        # Pictures of the scene as it was before are still on their way.
        shown_s = self.time_s() + _PICTURES_S
        self.wait_until(lambda: self.time_s() > shown_s, ANSWER_LIMIT_S)
        return answer

    def check_success(self, task: str) -> tuple[bool, float]:
        """Ask the twin whether a task is done; return that and the task's own measure."""
        reply = self.call(CheckSuccess, "twin/check_success", CheckSuccess.Request(task=task))
        return bool(reply.success), float(reply.measure)

    def wait_for_node(self, name: str, limit_s: float) -> bool:
        """Wait until a lifecycle node can be asked to change its state."""
        return self.wait_until(
            self._client(ChangeState, f"{name}/change_state").service_is_ready, limit_s
        )

    def change_state(self, name: str, transition: str, limit_s: float) -> bool:
        """Ask a lifecycle node for "configure" or "activate"; False if it failed."""
        request = ChangeState.Request(transition=Transition(id=_TRANSITIONS[transition]))
        try:
            return bool(self.call(ChangeState, f"{name}/change_state", request, limit_s).success)
        except OperatorCancelledError:
            raise
        except OperatorError:
            # Never asked twice: a transition that is not allowed ends an rclpy node.
            return False

    def wait_for_active(self, name: str, limit_s: float) -> bool:
        """Wait until a lifecycle node is active; False if it never was."""

        def is_active() -> bool:
            try:
                reply = self.call(GetState, f"{name}/get_state", limit_s=_STATE_LIMIT_S)
            except OperatorCancelledError:
                raise
            except OperatorError:
                # Busy or not there yet: asking again costs nothing.
                return False
            return bool(reply.current_state.id == State.PRIMARY_STATE_ACTIVE)

        return self.wait_until(is_active, limit_s)
