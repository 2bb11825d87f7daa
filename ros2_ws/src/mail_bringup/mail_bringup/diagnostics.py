"""What the supervisor says about the stack once a second, without ROS."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad it is; numbers as in diagnostic_msgs."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of diagnostics."""

    name: str
    level: Level
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StackView:
    """What is known about the stack at one instant.

    Attributes:
        node_states: Lifecycle state by node name; "missing" if the node is gone.
        arm_state: State of the arm, "" if none was received.
        arm_cause: Why it is in that state.
        may_move: The arm may move now.
        policy_waiting_for: What keeps the policy from acting, "" if nothing.
    """

    node_states: Mapping[str, str]
    arm_state: str
    arm_cause: str
    may_move: bool
    policy_waiting_for: str


_STATE_LEVELS = {"fault": Level.ERROR, "estop": Level.ERROR, "offline": Level.ERROR}
_STATE_LEVELS |= {"stopped": Level.WARN, "hold": Level.WARN, "user_stop": Level.WARN}


def findings(view: StackView) -> list[Finding]:
    """Judge a stack. The first line says whether the arm may move."""
    moves = "the arm MAY MOVE" if view.may_move else "the arm does not move"
    state = view.arm_state or "unknown: nothing received on arm/state"
    detail = f" ({view.arm_cause})" if view.arm_cause else ""
    level = _STATE_LEVELS.get(view.arm_state, Level.OK if view.arm_state else Level.ERROR)
    lines = [
        Finding("motion: may move", level, moves),
        Finding("motion: state", level, f"{state}{detail}"),
    ]
    for name, node_state in view.node_states.items():
        node_level = Level.OK if node_state == "active" else Level.ERROR
        lines.append(Finding(f"node: {name}", node_level, node_state))
    waiting = view.policy_waiting_for
    lines.append(Finding("policy", Level.OK, f"waits for {waiting}" if waiting else "acts"))
    return lines
