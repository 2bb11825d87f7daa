"""The arm node in process, with an arm that obeys at once."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from mail_msgs.msg import ActionChunk, Admission, ArmState, PolicyStatus
from mail_msgs.srv import StartPolicy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from mail_bringup.claims import claim_domain
from mail_franka.arm_config import ArmConfig
from mail_franka.arm_node import ArmNode
from mail_franka.simulated_arm import SimulatedArm, SimulatedGripper
from mail_policy.core.action_schema import EE_DELTA, POLICY_RATE_HZ
from mail_policy.core.robot_limits import RobotType
from mail_ros.conversions import seconds_to_stamp

CONFIG = Path(__file__).parents[2] / "launch" / "config" / "arm.yaml"
TASK = "open the top drawer"
LIMIT_S = 20.0
LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


class Bench:
    """The node under test, and a client that remembers what it heard."""

    def __init__(self, context: Context) -> None:
        self.arm: SimulatedArm | None = None
        self.gripper: SimulatedGripper | None = None
        self.node = ArmNode(
            make_devices=self._make_devices,
            parameter_overrides=[
                Parameter("robot_ip", value="127.0.0.61"),
                Parameter("robot_type", value="fr3"),
                Parameter("config_file", value=str(CONFIG)),
            ],
            context=context,
        )
        self.client = Node("client", context=context)
        self.states: list[ArmState] = []
        self.joints: list[JointState] = []
        self.admissions: list[Admission] = []
        for kind, topic, heard, qos in (
            (ArmState, "arm/state", self.states, LATCHED),
            (JointState, "joint_states", self.joints, 50),
            (Admission, "arm/admission", self.admissions, 50),
        ):
            self.client.create_subscription(kind, topic, heard.append, qos)
        self._chunks = self.client.create_publisher(ActionChunk, "policy/action_chunk", 1)
        self._status = self.client.create_publisher(PolicyStatus, "policy/status", 1)
        self._sequence = 0
        self._executors = [SingleThreadedExecutor(context=context) for _ in range(2)]
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._spin, args=pair, daemon=True)
            for pair in zip(self._executors, (self.node, self.client), strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def _make_devices(
        self, address: str, robot_type: RobotType, config: ArmConfig, clock_s: Callable[[], float]
    ) -> tuple[SimulatedArm, SimulatedGripper]:
        self.arm, self.gripper = SimulatedArm(time.monotonic), SimulatedGripper(clock_s)
        return self.arm, self.gripper

    def _spin(self, executor: SingleThreadedExecutor, node: Node) -> None:
        executor.add_node(node)
        while not self._stopping.is_set():
            executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self.node.close()
        self._stopping.set()
        for thread in self._threads:
            thread.join(2.0)
        self.node.destroy_node()
        self.client.destroy_node()

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline_s, f"not within {LIMIT_S} s: {what}"
            time.sleep(0.002)

    def wait_for_state(self, state: str) -> ArmState:
        self.wait_until(lambda: bool(self.states) and self.states[-1].state == state, state)
        return self.states[-1]

    def call(self, name: str) -> Trigger.Response:
        client = self.client.create_client(Trigger, f"arm/{name}")
        return self._answer(client, Trigger.Request())

    def start_policy(self) -> StartPolicy.Response:
        client = self.client.create_client(StartPolicy, "arm/start_policy")
        return self._answer(client, StartPolicy.Request(task=TASK, max_duration=30.0))

    def _answer(self, client, request):
        assert client.wait_for_service(LIMIT_S)
        future = client.call_async(request)
        self.wait_until(future.done, "an answer")
        return future.result()

    def heartbeat(self) -> None:
        epoch = self.states[-1].lease_epoch if self.states else 0
        msg = PolicyStatus(ready=True, task=TASK, lease_epoch=epoch)
        msg.header.stamp = seconds_to_stamp(time.time())
        self._status.publish(msg)

    def send_chunk(self, epoch: int, **changes: object) -> None:
        self._sequence += 1
        values = np.zeros((16, 7))
        values[:, 1] = 0.006
        fields: dict[str, object] = {
            "observed_at": seconds_to_stamp(time.time() - 0.05),
            "step_period": 0.05,
            "schema": EE_DELTA.id_at(POLICY_RATE_HZ),
            "action_size": 7,
            "values": values.ravel().tolist(),
            "lease_epoch": epoch,
            "sequence": self._sequence,
            "task": TASK,
        }
        self._chunks.publish(ActionChunk(**(fields | changes)))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with claim_domain(tmp_path) as claim:
        context = Context()
        rclpy.init(context=context, domain_id=int(claim.value))
        bench = Bench(context)
        bench.node.trigger_configure()
        bench.node.trigger_activate()
        bench.wait_for_state("idle")
        yield bench
        bench.close()
        context.try_shutdown()


def test_an_active_node_reports_but_never_moves_unasked(bench: Bench) -> None:
    bench.wait_until(lambda: len(bench.joints) > 50, "joint states")
    msg = bench.joints[-1]
    assert msg.name[0] == "fr3_joint1"
    assert msg.name[-1] == "fr3_finger_joint2"
    assert msg.position[7] + msg.position[8] == pytest.approx(0.08)
    assert bench.states[-1].robot_type == "fr3"
    assert not any(state.may_move for state in bench.states)
    np.testing.assert_array_equal(bench.joints[0].position, msg.position)


def test_joint_states_come_at_100_hz_with_increasing_ros_stamps(bench: Bench) -> None:
    bench.wait_until(lambda: len(bench.joints) > 150, "joint states")
    stamps = [m.header.stamp.sec + 1e-9 * m.header.stamp.nanosec for m in bench.joints[50:150]]
    assert (np.diff(stamps) > 0.0).all()
    assert np.median(np.diff(stamps)) == pytest.approx(0.01, abs=0.003)
    assert abs(stamps[-1] - time.time()) < 5.0


def test_requests_out_of_order_are_refused_with_what_to_do(bench: Bench) -> None:
    reply = bench.call("home")
    assert not reply.success
    assert "arm/arm" in reply.message


def test_a_policy_moves_the_arm_under_a_lease_and_stops_when_it_falls_silent(
    bench: Bench,
) -> None:
    assert bench.call("arm").success
    reply = bench.start_policy()
    assert reply.success
    assert bench.wait_for_state("policy").lease_epoch == reply.lease_epoch
    start = np.array(bench.joints[-1].position)
    # A picture from before the arm was in control would be refused.
    count = len(bench.joints)
    bench.wait_until(lambda: len(bench.joints) > count + 20, "joint states")
    # Nor would a chunk of a policy whose clock is unknown.
    bench.heartbeat()
    time.sleep(0.05)
    bench.send_chunk(reply.lease_epoch)
    bench.wait_until(lambda: bool(bench.admissions), "an admission")
    assert bench.admissions[-1].accepted, bench.admissions[-1]
    assert bench.admissions[-1].camera_to_command == pytest.approx(0.06, abs=0.1)
    bench.wait_until(
        lambda: np.abs(np.array(bench.joints[-1].position) - start).max() > 0.01, "motion"
    )
    stopped = bench.wait_for_state("stopped")
    assert "no sign of the policy" in stopped.cause
    assert stopped.lease_holder == ""


def test_a_refused_chunk_is_answered_with_its_rule(bench: Bench) -> None:
    bench.call("arm")
    reply = bench.start_policy()
    bench.send_chunk(reply.lease_epoch + 5)
    bench.wait_until(lambda: bool(bench.admissions), "an admission")
    assert not bench.admissions[-1].accepted
    assert bench.admissions[-1].rule == "lease"


@pytest.mark.fault("F62", bound="dropped and named")
def test_a_malformed_chunk_is_dropped_and_harms_nothing(bench: Bench) -> None:
    bench.call("arm")
    bench.send_chunk(1, action_size=5)
    bench.send_chunk(1, values=[])
    assert bench.call("disarm").success
    assert bench.admissions == []


def test_an_emergency_stop_is_latched(bench: Bench) -> None:
    bench.call("arm")
    assert bench.call("estop").success
    bench.wait_for_state("estop")
    assert bench.arm is not None
    assert not bench.arm.read().in_control
    assert not bench.call("arm").success
    assert bench.call("reset_estop").success
    bench.wait_for_state("idle")


def test_homing_opens_the_gripper_and_ends_ready(bench: Bench) -> None:
    bench.call("arm")
    assert bench.call("home").success
    bench.wait_until(lambda: bench.states[-1].cause == "at home", "home")
    bench.wait_until(lambda: bool(bench.gripper and bench.gripper.commands), "an open hand")
    assert bench.gripper is not None
    assert bench.gripper.commands == ["move"]
    assert bench.joints[-1].position[7:].tolist() == pytest.approx([0.04, 0.04])


def test_deactivating_gives_control_back_and_activating_starts_idle(bench: Bench) -> None:
    bench.call("arm")
    bench.wait_until(lambda: bench.arm is not None and bench.arm.read().in_control, "control")
    bench.node.trigger_deactivate()
    assert bench.arm is not None
    assert not bench.arm.read().in_control
    bench.states.clear()
    bench.node.trigger_activate()
    bench.wait_for_state("idle")


@pytest.mark.parametrize(
    ("name", "value"),
    [("config_file", "/nowhere/arm.yaml"), ("robot_type", "fr9"), ("use_sim_time", True)],
)
def test_wrong_parameters_keep_the_node_unconfigured(name: str, value: object) -> None:
    context = Context()
    rclpy.init(context=context)
    parameters = {
        "robot_ip": "172.16.0.2",
        "robot_type": "fr3",
        "config_file": str(CONFIG),
        name: value,
    }
    node = ArmNode(
        make_devices=lambda *_: pytest.fail("devices must not be opened"),
        parameter_overrides=[Parameter(key, value=given) for key, given in parameters.items()],
        context=context,
    )
    node.trigger_configure()
    assert node._state_machine.current_state[1] == "unconfigured"
    node.destroy_node()
    context.try_shutdown()
