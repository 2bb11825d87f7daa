"""The supervisor against real lifecycle nodes in its own ROS domain."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from mail_msgs.msg import ArmState
from mail_msgs.srv import SetTask, StartPolicy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from mail_bringup.claims import claim_domain
from mail_bringup.operator_node import Operator, OperatorCancelledError, OperatorError
from mail_bringup.places import state_folder
from mail_bringup.startup import StartupError, StartupLimits
from mail_bringup.supervisor import supervise
from mail_bringup.supervisor_node import EstopBeacon

LIMITS = StartupLimits(appear_s=5.0, configure_s=5.0, activate_s=5.0)
LIMIT_S = 10.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class NotingNode(LifecycleNode):
    """A lifecycle node that notes its transitions."""

    def __init__(self, name: str, noted: list[str], context: Context, fails: bool) -> None:
        super().__init__(name, context=context)
        self._noted = noted
        self._fails = fails

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._noted.append(f"{self.get_name()} configure")
        ok = TransitionCallbackReturn.SUCCESS
        return TransitionCallbackReturn.FAILURE if self._fails else ok

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._noted.append(f"{self.get_name()} activate")
        return super().on_activate(state)


@dataclass
class FakeStack:
    """Nodes and services of a stack, in process."""

    context: Context
    domain_id: int
    executor: SingleThreadedExecutor
    noted: list[str] = field(default_factory=list)
    refused: str = ""

    def add_node(self, name: str, fails: bool = False) -> None:
        self.executor.add_node(NotingNode(name, self.noted, self.context, fails))

    def add_services(self) -> None:
        node = Node("services", context=self.context)
        self.arm_state = node.create_publisher(ArmState, "arm/state", LATCHED)
        self.arm_state.publish(ArmState(state=ArmState.READY))
        for name in ("arm/arm", "arm/home"):
            node.create_service(Trigger, name, self._noting(name))
        node.create_service(SetTask, "policy/set_task", self._noting("policy/set_task"))
        node.create_service(StartPolicy, "arm/start_policy", self._noting("arm/start_policy"))
        self.executor.add_node(node)

    def _noting(self, name: str) -> Callable[..., object]:
        def answer(request: object, reply: object) -> object:
            self.noted.append(name)
            reply.success = name != self.refused  # type: ignore[attr-defined]
            reply.message = "no brakes" if name == self.refused else ""  # type: ignore[attr-defined]
            if isinstance(reply, SetTask.Response):
                reply.resolved_task = "open the top drawer"
            return reply

        return answer


@pytest.fixture
def stack() -> Iterator[FakeStack]:
    with claim_domain(state_folder()) as claim:
        context = Context()
        rclpy.init(context=context, domain_id=int(claim.value))
        fake = FakeStack(context, int(claim.value), SingleThreadedExecutor(context=context))
        ending = threading.Event()

        def spin() -> None:
            while not ending.is_set():
                fake.executor.spin_once(timeout_sec=0.05)

        thread = threading.Thread(target=spin)
        thread.start()
        yield fake
        ending.set()
        thread.join()
        fake.executor.shutdown()
        rclpy.try_shutdown(context=context)


def supervisor(stack: FakeStack, **parameters: str) -> Operator:
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    return Operator(domain_id=stack.domain_id, name="supervisor", arguments=["--ros-args", *words])


def run_to_end(operator: Operator) -> None:
    """Supervise, and end as soon as the stack is up."""
    ended = threading.Event()
    ended.set()
    supervise(operator, ended, LIMITS)


def test_nodes_come_up_in_order(stack: FakeStack) -> None:
    stack.add_node("arm")
    stack.add_node("camera")
    with supervisor(stack, nodes='["camera", "arm"]') as operator:
        run_to_end(operator)
        assert operator.wait_for_active("arm", LIMIT_S)
    assert stack.noted == ["camera configure", "arm configure", "camera activate", "arm activate"]


def test_a_node_that_cannot_be_configured_is_named(stack: FakeStack) -> None:
    stack.add_node("camera")
    stack.add_node("arm", fails=True)
    with (
        supervisor(stack, nodes='["camera", "arm"]') as operator,
        pytest.raises(StartupError, match="node arm failed to configure"),
    ):
        run_to_end(operator)
    assert "camera activate" not in stack.noted


def test_a_node_that_is_not_there_is_named(stack: FakeStack) -> None:
    stack.add_node("camera")
    with (
        supervisor(stack, nodes='["camera", "policy"]') as operator,
        pytest.raises(StartupError, match="node policy did not appear"),
    ):
        supervise(operator, threading.Event(), StartupLimits(appear_s=0.5))
    assert stack.noted == []


def test_the_task_is_started_when_wanted(stack: FakeStack) -> None:
    stack.add_node("arm")
    stack.add_node("policy")
    stack.add_services()
    nodes = '["arm", "policy"]'
    with supervisor(stack, nodes=nodes, auto_start="true", task='"open drawer"') as operator:
        run_to_end(operator)
    assert stack.noted[4:] == ["arm/arm", "arm/home", "policy/set_task", "arm/start_policy"]


def test_without_a_policy_the_arm_is_made_ready_for_a_person(stack: FakeStack) -> None:
    stack.add_node("arm")
    stack.add_services()
    with supervisor(stack, nodes='["arm"]', auto_start="true", task='"open drawer"') as operator:
        run_to_end(operator)
    assert stack.noted[2:] == ["arm/arm", "arm/home"]


def test_a_refusal_names_the_service_and_its_reason(stack: FakeStack) -> None:
    stack.add_node("arm")
    stack.add_services()
    stack.refused = "arm/home"
    with (
        supervisor(stack, nodes='["arm"]', auto_start="true", task='"open drawer"') as operator,
        pytest.raises(OperatorError, match="arm/home refused: no brakes"),
    ):
        run_to_end(operator)
    assert "arm/start_policy" not in stack.noted


def test_nothing_moves_without_being_asked(stack: FakeStack) -> None:
    stack.add_node("arm")
    stack.add_services()
    with supervisor(stack, nodes='["arm"]') as operator:
        run_to_end(operator)
    assert stack.noted == ["arm configure", "arm activate"]


def test_diagnostics_say_whether_the_arm_may_move(stack: FakeStack) -> None:
    stack.add_node("arm")
    stack.add_services()
    received: list[DiagnosticArray] = []
    ended = threading.Event()
    with supervisor(stack, nodes='["arm"]') as operator:
        listener = Node("listener", context=stack.context)
        listener.create_subscription(DiagnosticArray, "/diagnostics", received.append, 10)
        stack.executor.add_node(listener)
        thread = threading.Thread(target=supervise, args=(operator, ended, LIMITS))
        thread.start()
        try:
            assert operator.wait_until(lambda: bool(received) and is_up(received[-1]), LIMIT_S)
            stack.arm_state.publish(ArmState(state=ArmState.POLICY, may_move=True))
            assert operator.wait_until(lambda: may_move(received[-1]), LIMIT_S)
        finally:
            ended.set()
            thread.join()


def line(array: DiagnosticArray, name: str) -> str:
    (found,) = [status.message for status in array.status if status.name == f"mail: {name}"]
    return str(found)


def is_up(array: DiagnosticArray) -> bool:
    still = line(array, "motion: may move").startswith("no, because the state of the arm is")
    return still and line(array, "node: arm") == "active"


def may_move(array: DiagnosticArray) -> bool:
    return line(array, "motion: may move") == "yes"


def test_a_service_that_is_not_there_is_named(stack: FakeStack) -> None:
    with (
        supervisor(stack) as operator,
        pytest.raises(OperatorError, match="service arm/stop is not there"),
    ):
        operator.trigger("arm/stop", limit_s=0.3)


def test_waiting_ends_when_it_is_cancelled(stack: FakeStack) -> None:
    with (
        Operator(domain_id=stack.domain_id, is_cancelled=lambda: True) as operator,
        pytest.raises(OperatorCancelledError),
    ):
        operator.trigger("arm/stop", limit_s=30.0)


def test_the_emergency_stop_beats_until_it_is_pressed(stack: FakeStack) -> None:
    stack.add_services()
    heard: list[bool] = []
    node = Node("listener", context=stack.context)
    node.create_subscription(Bool, "estop/heartbeat", lambda msg: heard.append(msg.data), 10)
    stack.executor.add_node(node)
    with supervisor(stack) as operator:
        EstopBeacon(operator.node)
        assert operator.wait_until(lambda: len(heard) > 3, LIMIT_S)
        assert all(heard)
        operator.trigger("estop/trigger")
        assert operator.wait_until(lambda: not heard[-1], LIMIT_S)
        operator.trigger("estop/reset")
        assert operator.wait_until(lambda: heard[-1], LIMIT_S)
