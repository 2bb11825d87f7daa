"""The arm node as a process of its own, with the real driver and a simulated arm."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import rclpy
from action_msgs.msg import GoalStatus
from control_msgs.action import GripperCommand
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from mail_msgs.action import Homing, Move
from mail_msgs.msg import ArmState, GripperState
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger

from mail_bringup.claims import claim_address, claim_domain
from tests.ros.arm_rig import end
from tests.ros.discovery import wait_until_reachable

ROOT = Path(__file__).parents[2]
SERVER = Path(__file__).with_name("fci_process.py")
LIMIT_S = 60.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def start(command: list[str], domain: str, log: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "ROS_DOMAIN_ID": domain, "PYTHONFAULTHANDLER": "1"}
    with log.open("w") as errors:
        return subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )


class Client:
    """An operator in another process than the arm."""

    def __init__(self, domain: str, node_process: subprocess.Popen[str], log: Path) -> None:
        self.process = node_process
        self._log = log
        self._context = Context()
        rclpy.init(context=self._context, domain_id=int(domain))
        self._node = Node("operator", context=self._context)
        self.states: list[ArmState] = []
        self._node.create_subscription(ArmState, "arm/state", self.states.append, LATCHED)
        self.hands: list[GripperState] = []
        self._node.create_subscription(GripperState, "gripper/state", self.hands.append, LATCHED)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        self._executor.add_node(self._node)
        while not self._stopping.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    @property
    def said(self) -> str:
        return self._log.read_text()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(2.0)
        self._node.destroy_node()
        self._context.try_shutdown()

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > deadline_s:
                pytest.fail(f"not within {LIMIT_S} s: {what}. The arm said:\n{self.said}")
            time.sleep(0.002)

    def call(self, kind, name: str, request):
        client = self._node.create_client(kind, name)
        assert client.wait_for_service(LIMIT_S), name
        future = client.call_async(request)
        self.wait_until(future.done, f"an answer of {name}")
        return future.result()

    def send_goal(self, kind, name: str, goal):
        client = ActionClient(self._node, kind, name)
        assert client.wait_for_server(LIMIT_S), name
        sent = client.send_goal_async(goal)
        self.wait_until(sent.done, f"an answer of {name}")
        return sent.result()

    def end_of(self, handle) -> tuple[int, object]:
        ended = handle.get_result_async()
        self.wait_until(ended.done, "the result")
        return ended.result().status, ended.result().result

    def wait_until_reachable(self) -> None:
        wait_until_reachable(self._node, "arm", LIMIT_S)

    def change_state(self, transition: int) -> bool:
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, "arm/change_state", request).success


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Client]:
    with ExitStack() as stack:
        domain = stack.enter_context(claim_domain(tmp_path)).value
        address = stack.enter_context(claim_address(tmp_path)).value
        server = start([str(SERVER), address], domain, tmp_path / "server.log")
        stack.callback(end, server)
        assert server.stdout is not None
        assert server.stdout.readline().strip() == "ready"
        config = str(ROOT / "launch" / "config" / "arm.yaml")
        arguments = ["-r", "__node:=arm", "-p", f"robot_ip:={address}"]
        arguments += ["-p", f"config_file:={config}"]
        node = start(
            ["-m", "mail_franka.arm_process", "--ros-args", *arguments],
            domain,
            tmp_path / "arm.log",
        )
        stack.callback(end, node)
        client = Client(domain, node, tmp_path / "arm.log")
        stack.callback(client.close)
        yield client


@pytest.mark.parametrize("signals", [1, 5], ids=["one signal", "impatient operator"])
def test_a_node_is_configured_armed_homed_and_leaves_calmly_on_sigint(
    operator: Client, signals: int
) -> None:
    operator.wait_until_reachable()
    assert operator.change_state(Transition.TRANSITION_CONFIGURE)
    assert operator.change_state(Transition.TRANSITION_ACTIVATE)
    operator.wait_until(lambda: bool(operator.states), "a state")
    assert operator.call(Trigger, "arm/arm", Trigger.Request()).success
    assert operator.call(Trigger, "arm/home", Trigger.Request()).success
    operator.wait_until(lambda: operator.states[-1].state == "homing", "homing")
    started_s = time.monotonic()
    for _ in range(signals):
        operator.process.send_signal(signal.SIGINT)
        time.sleep(0.03)
    assert operator.process.wait(10.0) == 0, operator.said
    assert time.monotonic() - started_s < 3.0
    operator.wait_until(lambda: operator.states[-1].state == "shutdown", "the last state")
    assert not operator.states[-1].may_move


def test_the_hand_obeys_an_operator_until_the_arm_needs_it(operator: Client) -> None:
    operator.wait_until_reachable()
    assert operator.change_state(Transition.TRANSITION_CONFIGURE)
    assert operator.change_state(Transition.TRANSITION_ACTIVATE)
    goal = GripperCommand.Goal()
    goal.command.position = 0.01
    status, result = operator.end_of(
        operator.send_goal(GripperCommand, "gripper/gripper_action", goal)
    )
    assert status == GoalStatus.STATUS_SUCCEEDED, operator.said
    assert result.reached_goal
    assert result.position == pytest.approx(0.01, abs=0.001)
    operator.wait_until(lambda: abs(operator.hands[-1].width - 0.02) < 0.002, "the width")
    status, result = operator.end_of(operator.send_goal(Homing, "gripper/homing", Homing.Goal()))
    assert status == GoalStatus.STATUS_SUCCEEDED, operator.said
    slow = operator.send_goal(Move, "gripper/move", Move.Goal(width=0.0, speed=0.005))
    operator.wait_until(lambda: operator.hands[-1].width < 0.078, "moving fingers")
    assert operator.call(Trigger, "gripper/stop", Trigger.Request()).success
    status, result = operator.end_of(slow)
    assert status == GoalStatus.STATUS_ABORTED
    assert result.error == "stopped on request"
    slow = operator.send_goal(Move, "gripper/move", Move.Goal(width=0.0, speed=0.005))
    operator.wait_until(lambda: operator.hands[-1].width < 0.076, "moving fingers")
    assert operator.call(Trigger, "arm/arm", Trigger.Request()).success
    assert operator.call(Trigger, "arm/home", Trigger.Request()).success
    assert operator.end_of(slow)[1].error == "the arm took the hand for homing"
    operator.wait_until(
        lambda: operator.hands[-1].width > operator.hands[-1].max_width - 0.001, "an open hand"
    )
    assert operator.hands[-1].fault == ""
