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
        policy_heartbeat_age_s: Age of its newest heartbeat [s], None before the first.
    """

    node_states: Mapping[str, str]
    arm_state: str
    arm_cause: str
    may_move: bool
    policy_waiting_for: str
    policy_heartbeat_age_s: float | None


# The policy beats at 20 Hz; the arm ends its lease long before this [s].
_HEARTBEAT_LIMIT_S = 1.0
_STATE_LEVELS = {"fault": Level.ERROR, "estop": Level.ERROR, "offline": Level.ERROR}
_STATE_LEVELS |= {"stopped": Level.WARN, "hold": Level.WARN, "user_stop": Level.WARN}


def findings(view: StackView) -> list[Finding]:
    """Judge a stack. The first line says whether the arm may move."""
    state = view.arm_state or "unknown: nothing received on arm/state"
    detail = f" ({view.arm_cause})" if view.arm_cause else ""
    level = _STATE_LEVELS.get(view.arm_state, Level.OK if view.arm_state else Level.ERROR)
    lines = [
        Finding("motion: may move", level, _may_move(view, f"{state}{detail}")),
        Finding("motion: state", level, f"{state}{detail}"),
    ]
    for name, node_state in view.node_states.items():
        node_level = Level.OK if node_state == "active" else Level.ERROR
        lines.append(Finding(f"node: {name}", node_level, node_state))
    return [*lines, _policy_finding(view)]


def _may_move(view: StackView, state: str) -> str:
    return "yes" if view.may_move else f"no, because the state of the arm is {state}"


def _policy_finding(view: StackView) -> Finding:
    age_s = view.policy_heartbeat_age_s
    if age_s is None:
        return Finding("policy", Level.OK, "waits for its first heartbeat")
    if age_s > _HEARTBEAT_LIMIT_S:
        return Finding("policy", Level.WARN, f"silent: last heartbeat {age_s:.1f} s ago")
    waiting = view.policy_waiting_for
    doing = f"waits for {waiting}" if waiting else "acts"
    return Finding("policy", Level.OK, f"{doing}, heartbeat {age_s:.2f} s ago")
