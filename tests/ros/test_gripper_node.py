"""The gripper's node with the executor that the process uses, and a hand that obeys at once."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from action_msgs.msg import GoalStatus
from control_msgs.action import GripperCommand
from mail_msgs.action import Grasp, Homing, Move
from mail_msgs.msg import GraspEpsilon, GripperState
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger

from mail_bringup.claims import claim_domain
from mail_franka.arm_config import GripperConfig
from mail_franka.gripper_node import GripperNode
from mail_franka.gripper_worker import GripperWorker
from mail_franka.simulated_arm import SimulatedGripper

LIMIT_S = 20.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CONFIG = GripperConfig(command_period_s=0.001, read_period_s=0.005)
ACTIONS = {"move": Move, "grasp": Grasp, "homing": Homing, "gripper_action": GripperCommand}
NOT_NUMBERS = (math.nan, math.inf, -0.01, 0.5)
FINE_GRASP = {"width": 0.04, "speed": 0.1, "force": 20.0}


def gripper_command(position: float, max_effort: float = 0.0) -> GripperCommand.Goal:
    goal = GripperCommand.Goal()
    goal.command.position, goal.command.max_effort = position, max_effort
    return goal


class Bench:
    """The node under test, and a client that remembers what it heard."""

    def __init__(self, domain: int) -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.gripper = SimulatedGripper(time.time)
        self.worker: GripperWorker | None = GripperWorker(self.gripper, CONFIG, time.monotonic)
        self.worker.start()
        self._started = self.worker
        # Nodes of a process are renamed like its first one.
        self.node = GripperNode(lambda: self.worker, context=self._context)
        self.client = Node("client", context=self._context)
        self.states: list[GripperState] = []
        self.client.create_subscription(GripperState, "gripper/state", self.states.append, LATCHED)
        self._clients = {
            name: ActionClient(self.client, kind, f"gripper/{name}")
            for name, kind in ACTIONS.items()
        }
        self._stop = self.client.create_client(Trigger, "gripper/stop")
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._spin, args=pair, daemon=True)
            for pair in (
                (EventsExecutor(context=self._context), self.node),
                (SingleThreadedExecutor(context=self._context), self.client),
            )
        ]
        for thread in self._threads:
            thread.start()
        for client in self._clients.values():
            assert client.wait_for_server(LIMIT_S)
        assert self._stop.wait_for_service(LIMIT_S)

    def _spin(self, executor: Any, node: Node) -> None:
        executor.add_node(node)
        while not self._stopping.is_set():
            executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        self.gripper.obeys_stop = True
        self._started.stop()
        self._stopping.set()
        for thread in self._threads:
            thread.join(2.0)
        for client in self._clients.values():
            client.destroy()
        self.node.destroy_node()
        self.client.destroy_node()
        self._context.try_shutdown()

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline_s, f"not within {LIMIT_S} s: {what}"
            time.sleep(0.002)

    def send(self, name: str, goal: Any, feedback: list[Any] | None = None) -> Any:
        heard = feedback.append if feedback is not None else None
        return self._answer(self._clients[name].send_goal_async(goal, feedback_callback=heard))

    def run(self, name: str, goal: Any) -> tuple[int, Any]:
        handle = self.send(name, goal)
        assert handle.accepted
        return self.end_of(handle)

    def end_of(self, handle: Any) -> tuple[int, Any]:
        answer = self._answer(handle.get_result_async())
        return answer.status, answer.result

    def cancel(self, handle: Any) -> Any:
        return self._answer(handle.cancel_goal_async())

    def stop(self) -> Trigger.Response:
        return self._answer(self._stop.call_async(Trigger.Request()))

    def _answer(self, future: Any) -> Any:
        self.wait_until(future.done, "an answer")
        return future.result()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with claim_domain(tmp_path) as claim:
        bench = Bench(int(claim.value))
        yield bench
        bench.close()


def test_the_state_comes_at_20_hz_and_tells_what_the_hand_does(bench: Bench) -> None:
    bench.wait_until(lambda: bool(bench.states), "a state")
    bench.gripper.object_width_m = 0.04
    bench.worker.follow("policy", 0.0)
    bench.wait_until(lambda: bench.states[-1].is_grasped, "a grasp")
    assert bench.states[-1].width == pytest.approx(0.04)
    assert bench.states[-1].max_width == pytest.approx(0.08)
    bench.wait_until(lambda: not bench.states[-1].is_moving, "rest")
    bench.gripper.drop()
    bench.wait_until(lambda: bench.states[-1].grasp_lost, "the loss")
    bench.states.clear()
    started_s = time.monotonic()
    bench.wait_until(lambda: len(bench.states) > 20, "states of a hand at rest")
    assert time.monotonic() - started_s > 0.8


@pytest.mark.parametrize(
    ("name", "goal", "commands"),
    [
        ("move", Move.Goal(width=0.03, speed=0.05), ["move"]),
        ("homing", Homing.Goal(), ["homing"]),
        ("gripper_action", gripper_command(0.01), ["grasp"]),
        (
            "grasp",
            Grasp.Goal(epsilon=GraspEpsilon(inner=0.01, outer=0.01), **FINE_GRASP),
            ["grasp"],
        ),
    ],
)
def test_an_action_is_carried_out(bench: Bench, name: str, goal: Any, commands: list[str]) -> None:
    if name == "grasp":
        bench.gripper.object_width_m = 0.045
    status, result = bench.run(name, goal)
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert getattr(result, "error", "") == ""
    assert bench.gripper.commands == commands


def test_a_grasp_of_nothing_is_aborted_with_the_reason(bench: Bench) -> None:
    status, result = bench.run("grasp", Grasp.Goal(**FINE_GRASP))
    assert status == GoalStatus.STATUS_ABORTED
    assert not result.success
    assert result.error == "the hand could not grasp"


def test_the_position_of_a_gripper_command_is_that_of_one_finger(bench: Bench) -> None:
    status, result = bench.run("gripper_action", gripper_command(0.02))
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert bench.gripper.goals[0].width_m == pytest.approx(0.04)
    assert (result.position, result.reached_goal, result.stalled) == (0.02, True, False)
    bench.run("gripper_action", gripper_command(0.04))
    bench.gripper.object_width_m = 0.06
    status, result = bench.run("gripper_action", gripper_command(0.0, max_effort=15.0))
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert bench.gripper.goals[-1].force_n == 15.0
    assert (result.position, result.reached_goal, result.stalled) == (0.03, False, True)


@pytest.mark.parametrize(
    ("name", "goals"),
    [
        ("move", [Move.Goal(width=value, speed=0.1) for value in NOT_NUMBERS]),
        ("move", [Move.Goal(width=0.04, speed=value) for value in (*NOT_NUMBERS, 0.0)]),
        ("grasp", [Grasp.Goal(**(FINE_GRASP | {"width": value})) for value in NOT_NUMBERS]),
        ("grasp", [Grasp.Goal(**(FINE_GRASP | {"force": value})) for value in (math.nan, 71.0)]),
        (
            "grasp",
            [Grasp.Goal(epsilon=GraspEpsilon(inner=value), **FINE_GRASP) for value in NOT_NUMBERS],
        ),
        ("gripper_action", [gripper_command(value) for value in (*NOT_NUMBERS, 0.041)]),
        ("gripper_action", [gripper_command(0.0, math.nan), gripper_command(0.0, math.inf)]),
    ],
)
def test_a_goal_that_no_hand_can_reach_is_rejected(
    bench: Bench, name: str, goals: list[Any]
) -> None:
    for goal in goals:
        assert not bench.send(name, goal).accepted, goal
    assert bench.gripper.commands == []
    assert bench.run("move", Move.Goal(width=0.04, speed=0.1))[0] == GoalStatus.STATUS_SUCCEEDED


def test_a_goal_tells_the_width_on_its_way_and_is_stopped_by_a_cancel(bench: Bench) -> None:
    bench.gripper.is_slow = True
    feedback: list[Any] = []
    handle = bench.send("move", Move.Goal(width=0.0, speed=0.1), feedback)
    assert handle.accepted
    bench.wait_until(lambda: len(feedback) > 2, "feedback")
    assert feedback[-1].feedback.current_width == pytest.approx(0.08)
    assert len(bench.cancel(handle).goals_canceling) == 1
    status, result = bench.end_of(handle)
    assert status == GoalStatus.STATUS_CANCELED
    assert result.error == "stopped on request"
    assert bench.gripper.commands == ["move", "stop"]


def test_a_stop_interrupts_whoever_moves_the_hand(bench: Bench) -> None:
    bench.gripper.is_slow = True
    handle = bench.send("gripper_action", gripper_command(0.0))
    assert bench.gripper.under_way.wait(LIMIT_S)
    assert bench.stop().success
    assert bench.end_of(handle)[0] == GoalStatus.STATUS_ABORTED
    bench.gripper.under_way.clear()
    bench.worker.follow("policy", 0.08)
    assert bench.gripper.under_way.wait(LIMIT_S)
    assert bench.stop().success
    bench.wait_until(lambda: not bench.worker.view().is_moving, "rest")
    assert bench.gripper.commands == ["grasp", "stop", "move", "stop"]


def test_the_hand_of_a_moving_arm_takes_no_goals(bench: Bench) -> None:
    bench.worker.follow("teleop", None)
    status, result = bench.run("move", Move.Goal(width=0.04, speed=0.1))
    assert status == GoalStatus.STATUS_ABORTED
    assert "teleop" in result.error
    assert bench.gripper.commands == []


def test_a_failed_stop_says_why(bench: Bench) -> None:
    bench.gripper.is_linked = False
    reply = bench.stop()
    assert not reply.success
    assert "link" in reply.message


def test_a_hand_that_does_not_answer_a_stop_has_not_stopped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(bench.gripper, "stop", lambda: answers.wait(LIMIT_S))
    reply = bench.stop()
    answers.set()
    assert not reply.success
    assert reply.message == "the hand did not answer the stop within 1.0 s"
    assert bench.run("move", Move.Goal(width=0.04, speed=0.1))[0] == GoalStatus.STATUS_SUCCEEDED


def test_without_an_active_arm_node_everything_is_refused_with_what_to_do(bench: Bench) -> None:
    bench.worker = None
    status, result = bench.run("homing", Homing.Goal())
    assert status == GoalStatus.STATUS_ABORTED
    assert "activate it" in result.error
    reply = bench.stop()
    assert not reply.success
    assert "activate it" in reply.message


def test_a_goal_ends_with_the_arm_node(bench: Bench) -> None:
    bench.gripper.is_slow = True
    handle = bench.send("homing", Homing.Goal())
    assert bench.gripper.under_way.wait(LIMIT_S)
    worker, bench.worker = bench.worker, None
    worker.stop()
    status, result = bench.end_of(handle)
    assert status == GoalStatus.STATUS_ABORTED
    assert "deactivated" in result.error


def test_the_node_keeps_its_name_in_a_process_that_is_renamed(tmp_path: Path) -> None:
    with claim_domain(tmp_path) as claim:
        context = Context()
        arguments = ["--ros-args", "-r", "__node:=arm", "-r", "__ns:=/left"]
        rclpy.init(context=context, domain_id=int(claim.value), args=arguments)
        node = GripperNode(lambda: None, context=context)
        assert node.get_fully_qualified_name() == "/left/gripper"
        node.destroy_node()
        context.try_shutdown()
