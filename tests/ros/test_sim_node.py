"""The twin's node: clock, reset and success over ROS."""

import itertools
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import rclpy
from mail_msgs.srv import CheckSuccess, ResetScene
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from rosgraph_msgs.msg import Clock

from mail_bringup.claims import claim_domain
from mail_sim.sim_node import SimNode
from mail_sim.twin import TwinError
from mail_sim.world.address import find_free_address

LIMIT_S = 20.0


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        time.sleep(0.005)


class Bench:
    """The node in process, and a node that listens to it."""

    def __init__(self, context: Context) -> None:
        self.address = find_free_address()
        self.node = SimNode(
            context=context,
            parameter_overrides=[
                Parameter("robot_ip", value=self.address),
                Parameter("run_id", value=f"test{secrets.token_hex(4)}"),
            ],
        )
        self.node.start()
        self.listener = Node("listener", context=context)
        self.clock: list[float] = []
        self.listener.create_subscription(Clock, "/clock", self._on_clock, qos_profile_sensor_data)

    def _on_clock(self, msg: Clock) -> None:
        self.clock.append(msg.clock.sec + 1e-9 * msg.clock.nanosec)

    def call(self, kind: type, name: str, request: object) -> object:
        client: Client = self.listener.create_client(kind, name)
        assert client.wait_for_service(LIMIT_S)
        future = client.call_async(request)
        wait_until(future.done)
        return future.result()


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    with claim_domain(tmp_path_factory.mktemp("claims")) as claim:
        context = Context()
        rclpy.init(context=context, domain_id=int(claim.value))
        yield context
        context.try_shutdown()


@pytest.fixture(scope="module")
def bench(context: Context) -> Iterator[Bench]:
    bench = Bench(context)
    executor = SingleThreadedExecutor(context=context)
    for node in (bench.node, bench.listener):
        executor.add_node(node)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=spin)
    thread.start()
    yield bench
    stop.set()
    thread.join()
    bench.node.close()
    executor.shutdown()
    for node in (bench.node, bench.listener):
        node.destroy_node()


def test_the_clock_grows_in_steps_of_simulated_time(bench):
    bench.clock.clear()
    wait_until(lambda: len(bench.clock) > 40)
    stamps = bench.clock[:40]
    steps = [later - earlier for earlier, later in itertools.pairwise(stamps)]
    assert min(steps) > 0.0049
    # The middle one: steps are larger where this test or the node did not get the processor.
    assert sorted(steps)[len(steps) // 2] < 0.03


def test_the_clock_does_not_run_faster_than_real_time(bench):
    began_s, first_s = time.monotonic(), bench.clock[-1]
    wait_until(lambda: bench.clock[-1] > first_s + 0.5)
    assert bench.clock[-1] - first_s <= time.monotonic() - began_s + 0.1


def test_a_reset_is_answered(bench):
    reply = bench.call(ResetScene, "twin/reset", ResetScene.Request(seed=100_000))
    assert reply.success, reply.message
    assert "100000" in reply.message


def test_a_reset_for_a_task_that_the_scene_does_not_have_is_refused(bench):
    request = ResetScene.Request(seed=1, task="juggle three drawers")
    reply = bench.call(ResetScene, "twin/reset", request)
    assert not reply.success
    assert "juggle" in reply.message


def test_an_unsolved_task_is_reported_with_its_measure(bench):
    bench.call(ResetScene, "twin/reset", ResetScene.Request(seed=100_000))
    request = CheckSuccess.Request(task="open the top drawer of the cabinet")
    reply = bench.call(CheckSuccess, "twin/check_success", request)
    assert not reply.success
    assert reply.message == "not solved since the last reset"
    assert 0.0 <= reply.measure < 0.14


def test_an_unknown_task_is_refused(bench):
    request = CheckSuccess.Request(task="juggle three drawers")
    reply = bench.call(CheckSuccess, "twin/check_success", request)
    assert not reply.success
    assert "juggle" in reply.message


def test_a_busy_address_is_refused(bench, context):
    node = SimNode(
        context=context, parameter_overrides=[Parameter("robot_ip", value=bench.address)]
    )
    with pytest.raises(TwinError, match="port 1337 is in use"):
        node.start()
    node.close()
    node.destroy_node()


def test_the_program_ends_on_an_interrupt_and_names_a_fault(bench, tmp_path):
    command = [sys.executable, "-c", "from mail_sim.sim_node import main; main()", "--ros-args"]
    with claim_domain(tmp_path) as claim:
        environment = {**os.environ, "ROS_DOMAIN_ID": claim.value}
        busy = subprocess.run(
            [*command, "-p", f"robot_ip:={bench.address}"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert busy.returncode == 1
        assert "port 1337 is in use" in busy.stderr
        node = subprocess.Popen(
            [*command, "-p", f"robot_ip:={find_free_address()}"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in node.stderr:
            if "robot at" in line:
                break
        node.send_signal(signal.SIGINT)
        assert node.wait(LIMIT_S) == 0
        node.stderr.close()
