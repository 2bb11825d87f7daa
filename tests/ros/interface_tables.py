"""Reads topics, services, actions and parameters off a node, and writes them as tables."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rclpy.action import get_action_server_names_and_types_by_node
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# What every node has, or every lifecycle node: of no interest to a reader.
_COMMON_TYPES = ("lifecycle_msgs/", "rcl_interfaces/", "type_description_interfaces/")
_COMMON_PARAMETERS = ("use_sim_time", "start_type_description_service")
_CAMERA = re.compile(r"camera/\w+/")


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeInterface:
    """What a node offers and wants.

    Attributes:
        name: The node's name.
        written: Topics it writes: name, type, quality of service.
        read: Topics it reads: name, type.
        services: Services it offers: name, type.
        actions: Actions it offers: name, type.
        parameters: Name, default, description.
    """

    name: str
    written: tuple[tuple[str, str, str], ...]
    read: tuple[tuple[str, str], ...]
    services: tuple[tuple[str, str], ...]
    actions: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, str, str], ...]


def interface_of(node: Node, defaults: dict[str, Any], *helpers: Node) -> NodeInterface:
    """Describe a node that is up.

    Args:
        node: The node.
        defaults: Values of its parameters before they were set.
        helpers: More nodes of its process, which only listen.
    """
    publishers = [p for p in node.publishers if _is_own(p.msg_type)]
    subscriptions = [s for n in (node, *helpers) for s in n.subscriptions if _is_own(s.msg_type)]
    services = [s for s in node.services if _is_own(s.srv_type)]
    actions = get_action_server_names_and_types_by_node(node, node.get_name(), node.get_namespace())
    return NodeInterface(
        name=node.get_name(),
        written=_unique(
            (_plain(p.topic), _type(p.msg_type), _qos(p.qos_profile)) for p in publishers
        ),
        read=_unique((_plain(s.topic_name), _type(s.msg_type)) for s in subscriptions),
        services=_unique((_plain(s.srv_name), _type(s.srv_type)) for s in services),
        actions=_unique((_plain(name), kind) for name, (kind, *_) in actions),
        parameters=tuple(
            (name, _value(default), node.describe_parameter(name).description)
            for name, default in defaults.items()
        ),
    )


def defaults_of(node: Node) -> dict[str, Any]:
    """Return the values that a node's parameters have now."""
    names = [name for name in node._parameters if name not in _COMMON_PARAMETERS]
    own = [name for name in names if not name.startswith("qos_overrides.")]
    return {name: node.get_parameter(name).value for name in own}


def render_nodes(nodes: Iterable[NodeInterface]) -> str:
    """Return the sections about topics, services, actions and parameters."""
    nodes = list(nodes)
    topics: dict[tuple[str, str], dict[str, list[str]]] = {}
    for node in nodes:
        for name, kind, qos in node.written:
            row = topics.setdefault((name, kind), {"by": [], "for": [], "qos": []})
            row["by"].append(node.name)
            if qos not in row["qos"]:
                row["qos"].append(qos)
        for name, kind in node.read:
            topics.setdefault((name, kind), {"by": [], "for": [], "qos": []})["for"].append(
                node.name
            )
    lines = [
        "## Topics",
        "",
        "| name | type | written by | read by | quality |",
        "|---|---|---|---|---|",
    ]
    for (name, kind), row in sorted(topics.items()):
        cells = (", ".join(row[key]) for key in ("by", "for", "qos"))
        lines.append(f"| `{name}` | `{kind}` | {' | '.join(cells)} |")
    for title, field in (("Services", "services"), ("Actions", "actions")):
        lines += ["", f"## {title}", "", "| name | type | offered by |", "|---|---|---|"]
        rows = ((name, kind, node.name) for node in nodes for name, kind in getattr(node, field))
        lines += [f"| `{name}` | `{kind}` | {owner} |" for name, kind, owner in sorted(rows)]
    lines += ["", "## Parameters", "", "| node | name | default | meaning |", "|---|---|---|---|"]
    for node in nodes:
        lines += [f"| {node.name} | `{n}` | `{d}` | {text} |" for n, d, text in node.parameters]
    return "\n".join([*lines, ""])


def _is_own(kind: type) -> bool:
    return not _type(kind).startswith(_COMMON_TYPES)


def _type(kind: type) -> str:
    package, interface, *_ = kind.__module__.split(".")
    return f"{package}/{interface}/{kind.__name__}"


def _plain(name: str) -> str:
    """Return a name as it is written in the code: relative, and without a camera's name."""
    absolute = ("/clock", "/diagnostics", "/tf", "/tf_static")
    relative = name if name in absolute else name.lstrip("/")
    return _CAMERA.sub("camera/<name>/", relative)


def _qos(profile: QoSProfile) -> str:
    reliable = profile.reliability == ReliabilityPolicy.RELIABLE
    latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return f"{'reliable' if reliable else 'best effort'}{', latched' if latched else ''}"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unique(rows: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(set(rows)))
