"""Writes launch/security/policies/*.xml: what each process may say and hear, asked of the nodes.

    python -m tests.ros.security_policies

A process gets exactly what its nodes use. Only what clients ask for is told here, because our
operators make a client when they first need it. Format: `ros2 security create_permission`.
"""

import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as ET

import rclpy
from rclpy.context import Context
from rclpy.node import Node

from mail_bringup.claims import claim_domain
from mail_bringup.security import enclave
from tests.ros.interface_nodes import MAKERS

FOLDER = Path(__file__).parents[2] / "launch" / "security" / "policies"
COMMAND = "python -m tests.ros.security_policies"
# By executable: the name of the process in a stack.
PROCESSES = {"arm_process": "arm", "sim_node": "twin"}
LIFECYCLE = ("camera", "arm", "policy", "recorder", "teleop")
_STATE = tuple(f"{node}/{name}" for node in LIFECYCLE for name in ("change_state", "get_state"))
# Our clients ask it once, to see whether a node hears them; see operator_node.
_PING = tuple(f"{node}/get_parameters" for node in (*LIFECYCLE, "gripper", "twin"))
_ARM = (
    "arm",
    "disarm",
    "home",
    "resume",
    "stop",
    "start_policy",
    "recover",
    "estop",
    "reset_estop",
)
_OPERATED = (
    *(f"arm/{name}" for name in _ARM),
    *("policy/set_task", "recorder/start", "recorder/save", "twin/reset", "twin/check_success"),
)
# What a process asks of others. Nobody may set a parameter.
REQUESTS = {
    "supervisor": (*_OPERATED, *_PING, *_STATE),
    "operator": (*_OPERATED, *_PING, "estop/trigger", "estop/reset", "camera/get_state"),
}
# mailctl's own node, and the topics that it hears.
_OPERATOR_HEARS = ("arm/state", "policy/status", "policy/action_chunk", "clock")
# Every node writes and reads these by itself.
_EVERYBODY_WRITES = {"rosout", "parameter_events"}
_CAMERA = re.compile(r"^camera/\w+/")
_ACTION = re.compile(r"^(.*)/_action/")


def _names(found: Iterable[tuple[str, list[str]]]) -> set[str]:
    return {_CAMERA.sub("camera/*/", name.lstrip("/")) for name, _ in found}


def used_by(node: Node) -> dict[str, set[str]]:
    """Return what a node uses, from the graph: also what rcl makes for it unasked."""
    name, space = node.get_name(), node.get_namespace()
    return {
        "publish": _names(node.get_publisher_names_and_types_by_node(name, space)),
        "subscribe": _names(node.get_subscriber_names_and_types_by_node(name, space)),
        "reply": _names(node.get_service_names_and_types_by_node(name, space)),
        "request": _names(node.get_client_names_and_types_by_node(name, space)),
    }


def used_by_processes() -> dict[str, dict[str, dict[str, set[str]]]]:
    """Bring every node up once; return what is used, by process and node."""
    found: dict[str, dict[str, dict[str, set[str]]]] = {}
    with tempfile.TemporaryDirectory() as folder, claim_domain(Path(folder)) as claim:
        context = Context()
        rclpy.init(context=context, domain_id=int(claim.value))
        for (_, executable), make in MAKERS.items():
            process = PROCESSES.get(executable, executable.removesuffix("_node"))
            with make(context, Path(folder)) as described:
                nodes = [n for parts in described for n in parts if isinstance(n, Node)]
                found[process] = {node.get_name(): used_by(node) for node in nodes}
        context.try_shutdown()
    if "supervisor" in found:
        # It watches the nodes of its stack; the node that was asked watched nobody.
        events = {f"{node}/transition_event" for node in LIFECYCLE}
        found["supervisor"]["supervisor"]["subscribe"] |= events | {"clock"}
    found["operator"] = {"operator_*": {"publish": set(_EVERYBODY_WRITES)}}
    found["operator"]["operator_*"]["subscribe"] = {*_OPERATOR_HEARS, "parameter_events"}
    for process, nodes_of_process in found.items():
        for used in nodes_of_process.values():
            # The time of a twin; on a robot nobody may write it.
            used.setdefault("subscribe", set()).update({"clock"} if process != "twin" else ())
    for process, services in REQUESTS.items():
        for used in found[process].values():
            used["request"] = used.get("request", set()) | set(services)
    return found


def policy_of(process: str, nodes: dict[str, dict[str, set[str]]]) -> str:
    """Return the policy of one process as XML."""
    root = ET.Element("policy", version="0.2.0")
    place = ET.SubElement(ET.SubElement(root, "enclaves"), "enclave", path=enclave(process))
    profiles = ET.SubElement(place, "profiles")
    for name, used in sorted(nodes.items()):
        profile = ET.SubElement(profiles, "profile", ns="/", node=name)
        executed = {m[1] for service in used.get("reply", ()) if (m := _ACTION.match(service))}
        _allow(profile, "actions", "action", "execute", executed)
        for kind, tag, verb in (
            ("services", "service", "reply"),
            ("services", "service", "request"),
            ("topics", "topic", "publish"),
            ("topics", "topic", "subscribe"),
        ):
            # An action brings its topics and services with it.
            plain = {name for name in used.get(verb, ()) if not _ACTION.match(name)}
            _allow(profile, kind, tag, verb, plain)
    ET.indent(root)
    head = f"<!-- Made by `{COMMAND}` from the nodes themselves; do not edit. -->\n"
    return f"{head}{ET.tostring(root, encoding='unicode')}\n"


def _allow(profile: ET.Element, kind: str, tag: str, verb: str, names: set[str]) -> None:
    if names:
        group = ET.SubElement(profile, kind, {verb: "ALLOW"})
        for name in sorted(names):
            ET.SubElement(group, tag).text = name


def policies() -> dict[str, str]:
    """Return the text of every policy, by process."""
    return {process: policy_of(process, nodes) for process, nodes in used_by_processes().items()}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for process_name, policy in policies().items():
        (FOLDER / f"{process_name}.xml").write_text(policy)
        sys.stdout.write(f"wrote {FOLDER / process_name}.xml\n")
