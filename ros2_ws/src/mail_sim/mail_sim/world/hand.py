"""How the hand follows wanted widths, the same way as the real one is driven.

The Franka Hand knows two useful commands, open and grasp, and moves at a fixed speed. A policy's
width is turned into one of them with hysteresis, as the arm node does.
"""

from dataclasses import dataclass

from mail_policy.core.action_schema import (
    GRIPPER_CLOSE_BELOW_M,
    GRIPPER_OPEN_ABOVE_M,
    GRIPPER_OPEN_M,
)

# How fast the width changes [m/s].
SPEED_M_S = 0.1


@dataclass(frozen=True, slots=True)
class HandState:
    """Where the hand is driven.

    Attributes:
        goal_m: Width that the last command asked for [m]: 0 or wide open.
        target_m: Width that the fingers are driven to right now [m].
    """

    goal_m: float = GRIPPER_OPEN_M
    target_m: float = GRIPPER_OPEN_M


def choose_goal(state: HandState, wanted_m: float) -> HandState:
    """Turn a wanted width into open, close or as before."""
    if wanted_m < GRIPPER_CLOSE_BELOW_M:
        return HandState(0.0, state.target_m)
    if wanted_m > GRIPPER_OPEN_ABOVE_M:
        return HandState(GRIPPER_OPEN_M, state.target_m)
    return state


def advance(state: HandState, period_s: float) -> HandState:
    """Move the target towards the goal at the hand's speed."""
    reach_m = SPEED_M_S * period_s
    step_m = min(max(state.goal_m - state.target_m, -reach_m), reach_m)
    return HandState(state.goal_m, state.target_m + step_m)
