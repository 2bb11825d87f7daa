"""Who may command the arm: by the SROS2 policies that we ship, and without them.

`test_a_foreign_node_without_keys_*` needs a middleware with security, which the wheels of PyPI
lack; elsewhere it is skipped. What our own nodes refuse without any keys runs everywhere.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import rclpy
from mail_msgs.msg import TeleopCommand
from mail_msgs.srv import StartPolicy
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from std_msgs.msg import Bool

from mail_bringup.claims import claim_domain
from mail_bringup.operator_node import Operator
from mail_bringup.security import enclave, enclave_words
from mail_ros.conversions import seconds_to_stamp
from tests.ros.arm_rig import TASK, ArmRig
from tests.ros.fuzzer import TOPICS, Fuzzer
from tests.ros.security_policies import COMMAND, FOLDER, policies

VERBS = {
    "topics": {"publish", "subscribe"},
    "services": {"reply", "request"},
    "actions": {"execute", "call"},
}
PROCESSES = {
    *("camera", "policy", "arm", "teleop", "recorder", "supervisor"),
    *("description", "monitor", "twin", "operator"),
}
# Who alone may do what. A row that grows is a decision, and not a matter of regenerating.
WRITERS = {
    "policy/action_chunk": {"policy"},
    "policy/status": {"policy"},
    "teleop/command": {"teleop"},
    "estop/heartbeat": {"supervisor"},
    "arm/state": {"arm"},
    "arm/admission": {"arm"},
    "joint_states": {"arm"},
    "gripper/state": {"arm"},
    "clock": {"twin"},
    "camera/*/color/image_raw": {"camera"},
    "recorder/status": {"recorder"},
}
OPERATORS = {"supervisor", "operator"}
CALLERS = {
    **{
        f"arm/{name}": OPERATORS
        for name in ("arm", "disarm", "home", "start_policy", "recover", "estop", "reset_estop")
    },
    # A person at the device may stop the arm and go on; starting it is the operator's.
    "arm/stop": OPERATORS | {"teleop"},
    "arm/resume": OPERATORS | {"teleop"},
    "estop/trigger": {"operator", "teleop"},
    "estop/reset": {"operator"},
    "arm/change_state": {"supervisor"},
    "policy/set_task": OPERATORS,
    "twin/reset": OPERATORS,
    "recorder/discard": {"teleop"},
}


class Policies:
    """The shipped policies, as sets of rights."""

    def __init__(self) -> None:
        self.rights: set[tuple[str, str, str, str]] = set()
        for file in sorted(FOLDER.glob("*.xml")):
            root = ET.parse(file).getroot()
            for place in root.iterfind("enclaves/enclave"):
                process = place.attrib["path"].removeprefix("/mail/")
                for group in place.iterfind("profiles/profile/*"):
                    ((verb, value),) = group.attrib.items()
                    assert value == "ALLOW", file
                    self.rights |= {(process, group.tag, verb, e.text or "") for e in group}

    def who(self, verb: str, name: str) -> set[str]:
        return {p for p, _, v, n in self.rights if v == verb and n == name}


@pytest.fixture(scope="module")
def shipped() -> Policies:
    return Policies()


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.xml")), ids=lambda file: file.stem)
def test_a_policy_has_the_form_that_sros2_reads(file: Path) -> None:
    root = ET.parse(file).getroot()
    assert (root.tag, root.attrib) == ("policy", {"version": "0.2.0"})
    (place,) = root.findall("enclaves/enclave")
    assert place.attrib == {"path": enclave(file.stem)}
    for profile in place.iterfind("profiles/profile"):
        assert set(profile.attrib) == {"ns", "node"}
        for group in profile:
            (verb,) = group.attrib
            assert verb in VERBS[group.tag]
            assert {element.tag for element in group} == {group.tag[:-1]}
            # One wildcard is allowed: the name of a camera.
            assert all("*" not in (e.text or "").replace("camera/*/", "") for e in group)


def test_every_process_has_a_policy_and_nothing_is_missing_or_superfluous() -> None:
    found = {file.stem: file.read_text() for file in FOLDER.glob("*.xml")}
    assert set(found) == PROCESSES
    assert found == policies(), f"launch/security/policies is stale; run: {COMMAND}"


@pytest.mark.parametrize("topic", WRITERS)
def test_only_its_owner_writes_a_topic(shipped: Policies, topic: str) -> None:
    assert shipped.who("publish", topic) == WRITERS[topic]


@pytest.mark.parametrize("service", CALLERS)
def test_only_who_operates_calls_a_service(shipped: Policies, service: str) -> None:
    assert shipped.who("request", service) == CALLERS[service]


def test_nobody_may_set_a_parameter_or_move_the_gripper_by_an_action(shipped: Policies) -> None:
    assert not [r for r in shipped.rights if r[2] == "request" and "set_parameters" in r[3]]
    assert not [r for r in shipped.rights if r[2] == "call"]


def test_whoever_listens_has_no_other_right(shipped: Policies) -> None:
    for process in ("recorder", "monitor", "description", "camera"):
        assert not [r for r in shipped.rights if r[0] == process and r[2] == "request"], process


def test_what_is_asked_for_is_offered(shipped: Policies) -> None:
    offered = {name for _, _, verb, name in shipped.rights if verb == "reply"}
    assert {name for _, _, verb, name in shipped.rights if verb == "request"} <= offered


# Without keys.


def test_a_process_without_keys_does_not_start_when_security_is_enforced(tmp_path: Path) -> None:
    variables = {
        **os.environ,
        "ROS_SECURITY_ENABLE": "true",
        "ROS_SECURITY_STRATEGY": "Enforce",
        "ROS_SECURITY_KEYSTORE": str(tmp_path),
    }
    code = "import rclpy, sys; rclpy.init(args=sys.argv); rclpy.create_node('x'); print('up')"
    words = ["--ros-args", *enclave_words("arm", variables)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=variables, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "up" not in done.stdout
    assert "SECURITY ERROR" in done.stderr
    assert enclave_words("arm", {}) == ()


class Foreigner:
    """A node of somebody else in the same ROS domain."""

    def __init__(self, rig: ArmRig) -> None:
        self.rig = rig
        self.operator = Operator(domain_id=int(rig.domain), use_sim_time=True, name="foreigner")

    def __enter__(self) -> "Foreigner":
        self.operator.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.operator.__exit__(*error)

    def publish(self, kind: type, topic: str, messages: Iterator[object]) -> None:
        publisher = self.operator.node.create_publisher(kind, topic, QoSProfile(depth=1))
        self.rig.wait_until(lambda: publisher.get_subscription_count() > 0, "the arm hears us")
        for message in messages:
            publisher.publish(message)
            self.rig.pass_time(0.02)
        self.operator.node.destroy_publisher(publisher)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArmRig]:
    with ArmRig(tmp_path_factory.mktemp("rig")) as rig:
        rig.arm()
        yield rig


@pytest.fixture
def foreigner(rig: ArmRig) -> Iterator[Foreigner]:
    if rig.state == "fault":
        rig.operator.trigger("arm/recover")
        rig.wait_for("idle")
    if rig.state != "ready":
        rig.operator.trigger("arm/resume" if rig.state == "stopped" else "arm/arm")
        rig.wait_for("ready")
    with Foreigner(rig) as found:
        yield found


def stands(rig: ArmRig, cycle: int) -> bool:
    joints = rig.trajectory(cycle).joint_positions
    return float((joints.max(axis=0) - joints.min(axis=0)).max()) < 1e-4


@pytest.mark.fault("F42", bound="without a lease no chunk moves the arm")
@pytest.mark.parametrize("guess", [0, 1, 2**63])
def test_a_foreign_chunk_is_refused_by_our_own_node(
    rig: ArmRig, foreigner: Foreigner, guess: int
) -> None:
    cycle, kind = rig.robot.newest_cycle(), TOPICS["policy/action_chunk"]
    fuzzer = Fuzzer(1, foreigner.operator.time_s, lambda: (guess, TASK))
    moving = fuzzer._moving
    before = rig.states[-1].accepted_chunks
    foreigner.publish(
        kind, "policy/action_chunk", (fuzzer.sound_chunk(values=moving()) for _ in range(10))
    )
    assert rig.states[-1].accepted_chunks == before
    assert rig.state == "ready"
    assert stands(rig, cycle)


@pytest.mark.fault("F43", bound="a switch that was never open moves nothing")
def test_a_foreign_hand_on_the_switch_is_refused_by_our_own_node(
    rig: ArmRig, foreigner: Foreigner
) -> None:
    cycle = rig.robot.newest_cycle()

    def commands() -> Iterator[TeleopCommand]:
        for number in range(1, 11):
            msg = TeleopCommand(source="foreign", sequence=number, dead_man=True)
            msg.header.stamp = seconds_to_stamp(foreigner.operator.time_s())
            msg.twist.linear.x, msg.gripper_width = 0.1, float("nan")
            yield msg

    foreigner.publish(TeleopCommand, "teleop/command", commands())
    assert rig.state == "ready"
    assert stands(rig, cycle)


def test_a_foreign_parameter_is_refused_by_our_own_node(rig: ArmRig, foreigner: Foreigner) -> None:
    for name, value in (("use_sim_time", False), ("robot_ip", "10.0.0.1"), ("config_file", "x")):
        change = Parameter(name, value=value).to_parameter_msg()
        for service in ("arm", "gripper"):
            if service == "gripper" and name != "use_sim_time":
                continue
            reply = foreigner.operator.call(
                SetParameters,
                f"{service}/set_parameters",
                SetParameters.Request(parameters=[change]),
            )
            assert not reply.results[0].successful
            assert "read-only" in reply.results[0].reason


# What only SROS2 stops, told here so that SECURITY.md cannot promise more.


def test_a_foreign_operator_is_an_operator_without_sros2(rig: ArmRig, foreigner: Foreigner) -> None:
    request = StartPolicy.Request(task=TASK, max_duration=1.0)
    reply = foreigner.operator.call(StartPolicy, "arm/start_policy", request)
    assert reply.success, "our node tells operators apart now: say so in SECURITY.md"
    foreigner.operator.trigger("arm/stop")
    rig.wait_for("stopped")


def test_a_foreign_stop_is_obeyed_which_is_safe_but_a_nuisance(
    rig: ArmRig, foreigner: Foreigner
) -> None:
    foreigner.publish(Bool, "estop/heartbeat", (Bool(data=False) for _ in range(5)))
    rig.wait_for("estop")
    foreigner.publish(Bool, "estop/heartbeat", (Bool(data=True) for _ in range(5)))
    assert rig.state == "estop", "the latch is the operator's to open"


# With keys, where the middleware has security.


def missing_security() -> str:
    """Return why no secured graph can be made here, "" if one can."""
    if shutil.which("ros2") is None or importlib.util.find_spec("sros2") is None:
        return "ros2 security (package sros2) is not installed; PyPI has no wheel of it"
    return ""


_LISTENER = """
import sys, time, rclpy
from rosidl_runtime_py.utilities import get_message
rclpy.init(args=sys.argv)
node = rclpy.create_node("arm_inputs")
heard = []
for name, kind in (word.split("=") for word in sys.argv[1].split(",")):
    node.create_subscription(get_message(kind), name, lambda m, n=name: heard.append(n), 10)
print("listening", flush=True)
until = time.monotonic() + 10.0
while time.monotonic() < until:
    rclpy.spin_once(node, timeout_sec=0.1)
print(sorted(set(heard)), flush=True)
"""


@pytest.mark.skipif(bool(missing_security()), reason=missing_security())
def test_a_foreign_node_without_keys_is_not_heard(tmp_path: Path) -> None:
    store = tmp_path / "keys"
    for words in (
        ["create_keystore", str(store)],
        ["create_enclave", str(store), enclave("arm")],
        ["create_permission", str(store), enclave("arm"), str(FOLDER / "arm.xml")],
    ):
        subprocess.run(["ros2", "security", *words], check=True, timeout=60)
    kinds = ",".join(
        f"{topic}={kind.__module__.split('.')[0]}/msg/{kind.__name__}"
        for topic, kind in TOPICS.items()
    )
    with claim_domain(tmp_path) as claim:
        variables = {
            **os.environ,
            "ROS_DOMAIN_ID": claim.value,
            "ROS_SECURITY_ENABLE": "true",
            "ROS_SECURITY_STRATEGY": "Enforce",
            "ROS_SECURITY_KEYSTORE": str(store),
        }
        words = [sys.executable, "-c", _LISTENER, kinds, "--ros-args", "--enclave", enclave("arm")]
        listener = subprocess.Popen(words, env=variables, stdout=subprocess.PIPE, text=True)
        assert listener.stdout is not None
        assert listener.stdout.readline().strip() == "listening"
        context = Context()
        rclpy.init(context=context, domain_id=int(claim.value))
        node = Node("foreigner", context=context)
        publishers = [(node.create_publisher(kind, t, 10), kind) for t, kind in TOPICS.items()]
        while listener.poll() is None:
            for publisher, kind in publishers:
                publisher.publish(kind())
            time.sleep(0.05)
        node.destroy_node()
        context.try_shutdown()
    assert listener.stdout.read().strip() == "[]"
