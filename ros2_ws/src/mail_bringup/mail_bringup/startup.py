"""The order in which a stack comes to life, without ROS.

`bring_up` configures and activates the lifecycle nodes; `make_ready` arms and homes, `start_task`
starts a task, as an operator would. All stop at the first failure and name it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


class StartupError(RuntimeError):
    """The stack did not come up. The text names the node and the remedy."""


class Nodes(Protocol):
    """What bringing up needs of the nodes."""

    def wait_for_node(self, name: str, limit_s: float) -> bool:
        """Wait until a lifecycle node can be asked; False if it never could."""
        ...

    def change_state(self, name: str, transition: str, limit_s: float) -> bool:
        """Ask for a transition, "configure" or "activate"; False if it failed."""
        ...


class Operations(Protocol):
    """What starting a task needs. Each raises an error that says why it was refused."""

    def arm(self) -> str:
        """Make the arm ready; it does not move."""
        ...

    def home(self) -> str:
        """Move to the home posture and wait until there."""
        ...

    def set_task(self, sentence: str) -> str:
        """Tell the policy what to do; return the sentence that it will follow."""
        ...

    def start_recording(self, task: str) -> str:
        """Begin an episode; return its folder."""
        ...

    def start(self, task: str, max_duration_s: float) -> int:
        """Let the policy move the arm; return the number of its lease."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class StartupLimits:
    """How long each step may take [s], on the wall clock.

    Attributes:
        appear_s: From the start of a process until its node answers.
        configure_s: Loading files, connecting devices.
        activate_s: Starting to work.
    """

    appear_s: float = 30.0
    configure_s: float = 90.0
    activate_s: float = 20.0


def bring_up(
    nodes: Nodes, names: Sequence[str], limits: StartupLimits, say: Callable[[str], None]
) -> None:
    """Wait for all nodes, then configure all, then activate all, in order.

    Args:
        nodes: Access to the nodes.
        names: Lifecycle nodes in the order of activation.
        limits: Time limits.
        say: Called with one line per step.

    Raises:
        StartupError: Names the node and the step that failed.
    """
    silent = [name for name in names if not nodes.wait_for_node(name, limits.appear_s)]
    if silent:
        raise StartupError(
            f"node {', '.join(silent)} did not appear within {limits.appear_s:.0f} s; its own "
            f"output above says why"
        )
    for transition, limit_s in (("configure", limits.configure_s), ("activate", limits.activate_s)):
        for name in names:
            if not nodes.change_state(name, transition, limit_s):
                raise StartupError(
                    f"node {name} failed to {transition}; its own output above says why"
                )
            say(f"{name}: {transition}d")


def make_ready(operations: Operations, say: Callable[[str], None]) -> None:
    """Arm and home.

    Args:
        operations: What an operator can do.
        say: Called with one line per step.
    """
    say(operations.arm())
    say(operations.home())


def start_task(
    operations: Operations,
    task: str,
    *,
    max_duration_s: float,
    record: bool,
    say: Callable[[str], None],
) -> None:
    """Set the task, record, and let the policy move.

    Args:
        operations: What an operator can do.
        task: The sentence as the user wrote it.
        max_duration_s: The arm stops the policy after this time [s].
        record: Record the run.
        say: Called with one line per step.
    """
    resolved = operations.set_task(task)
    say(f"task {task!r} means {resolved!r}" if resolved != task else f"task {task!r}")
    if record:
        say(f"recording to {operations.start_recording(resolved)}")
    epoch = operations.start(resolved, max_duration_s)
    say(f"the policy moves the arm now (lease {epoch}); stop it with: mailctl stop")
