"""Writes launch/INTERFACES.md: what the nodes offer, asked of the nodes themselves.

    python -m tests.ros.interfaces

Each node of each stack is brought up in this process with a simulated device, and its topics,
services, actions and parameters are read off. Nothing moves, and no simulator is needed.
"""

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import rclpy
from rclpy.context import Context

from mail_bringup import stack
from mail_bringup.arguments import Argument, resolve
from mail_bringup.claims import claim_domain
from mail_bringup.stack_arguments import STACKS
from tests.ros.interface_nodes import MAKERS
from tests.ros.interface_tables import NodeInterface, interface_of, render_nodes

PAGE = Path(__file__).parents[2] / "launch" / "INTERFACES.md"
COMMAND = "python -m tests.ros.interfaces"
_HEAD = f"""# Interfaces

Made by `{COMMAND}` from the nodes themselves; do not edit. A test fails when it is stale.
`<name>` stands for the name of a camera. All names are relative: `namespace:=left` puts
everything but `/clock` and `/diagnostics` below `/left`. Units and meanings of our own messages
stand in [mail_msgs](../ros2_ws/src/mail_msgs).
"""


def executables() -> set[tuple[str, str]]:
    """Return package and executable of every process of ours in any stack."""
    found = set()
    for name, arguments in STACKS.items():
        given = {"robot_ip": "127.0.0.9", "task": "x", "device": "keyboard"}
        known = {argument.name for argument in arguments}
        values = resolve(arguments, {key: given[key] for key in given.keys() & known})
        found |= {(p.package, p.executable) for p in stack.describe(name, values)}
    return found


@contextlib.contextmanager
def _context() -> Iterator[Context]:
    with tempfile.TemporaryDirectory() as folder, claim_domain(Path(folder)) as claim:
        context = Context()
        rclpy.init(context=context, domain_id=int(claim.value))
        try:
            yield context
        finally:
            context.try_shutdown()


def interfaces() -> list[NodeInterface]:
    """Bring every node up once and return what each offers."""
    found = []
    with _context() as context, tempfile.TemporaryDirectory() as folder:
        for make in MAKERS.values():
            with make(context, Path(folder)) as nodes:
                found.extend(interface_of(*parts) for parts in nodes)
    return found


def render_arguments(stacks: Mapping[str, tuple[Argument, ...]]) -> str:
    """Return one table per stack, with `name:=value` arguments."""
    parts = ["## Launch arguments", ""]
    for name, arguments in stacks.items():
        parts += [
            f"### {name}.launch.py, mailctl up {name}",
            "",
            "| argument | meaning |",
            "|---|---|",
        ]
        for argument in arguments:
            choices = f" ({', '.join(argument.choices)})" if argument.choices else ""
            parts.append(f"| `{argument.name}:={argument.default}` | {argument.help}{choices} |")
        parts.append("")
    return "\n".join(parts)


def page() -> str:
    """Return the whole page."""
    return "\n".join([_HEAD, render_nodes(interfaces()), render_arguments(STACKS)])


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"wrote {PAGE}\n")
