"""Plans for drawers: grip a handle and pull, let go, or push."""

from collections.abc import Callable

import numpy as np

from mail_policy.core.action_schema import GRIPPER_OPEN_M
from mail_policy.core.frames import make_transform, rotation_from_vector
from mail_sim.world.plans import (
    CLOSED_WIDTH_M,
    HAND_DOWN,
    Condition,
    Goal,
    GoalFor,
    Stage,
    arrived,
    cabinet_place,
    gripped,
    stay_open,
    turn,
    waited,
)
from mail_sim.world.tasks import drawer_opening_m
from mail_sim.world.world import World

# How far the hand tilts forward from straight down at a handle [rad]. Much more would align hand
# and forearm, where the wrist is singular and the elbow swings wildly.
_TILT_RAD = {"top": 0.32, "bottom": 0.10}
_OPEN_GOAL_M = 0.158
_SHUT_M = 0.004
_PUSH_FROM_M = 0.06
_HELD_HANDLE_M = 0.008


def _handle_goal(drawer: str, before_m: float, width_m: float) -> GoalFor:
    """Aim at a handle from a distance before it, along the hand's direction."""

    def goal(world: World) -> Goal:
        tilt = rotation_from_vector(np.array([0.0, -_TILT_RAD[drawer], 0.0]))
        rotation = turn(cabinet_place(world).yaw_rad) @ tilt @ HAND_DOWN
        handle = world.data.site(f"{drawer}_handle").xpos
        return Goal(make_transform(rotation, handle - before_m * rotation[:, 2]), width_m)

    return goal


def _moved_goal(goal: GoalFor, move_m: Callable[[World], float]) -> GoalFor:
    """Shift a goal in the direction in which drawers open."""

    def moved(world: World) -> Goal:
        at = goal(world)
        pose = at.pose.copy()
        out = turn(cabinet_place(world).yaw_rad) @ np.array([-1.0, 0.0, 0.0])
        pose[:3, 3] += move_m(world) * out
        return Goal(pose, at.width_m)

    return moved


def _lost_handle(drawer: str) -> Condition:
    def is_lost(world: World, steps: int) -> bool:
        del steps
        offset = world.tcp_pose[:3, 3] - world.data.site(f"{drawer}_handle").xpos
        return world.gripper_width_m < _HELD_HANDLE_M or float(np.linalg.norm(offset)) > 0.03

    return is_lost


def open_drawer(drawer: str) -> list[Stage]:
    """Grip a handle and pull the drawer open."""
    before = _handle_goal(drawer, 0.09, GRIPPER_OPEN_M)
    at = _handle_goal(drawer, -0.004, GRIPPER_OPEN_M)
    grip = _handle_goal(drawer, -0.004, CLOSED_WIDTH_M)
    pull = _moved_goal(
        grip, lambda world: _OPEN_GOAL_M + 0.01 - drawer_opening_m(world.data, drawer)
    )
    return [
        Stage("before", before, arrived(before, 0.02, 0.15), is_entry=True),
        Stage("at", at, arrived(at, 0.006), slowness=1.5),
        Stage("grip", grip, gripped(0.02)),
        Stage(
            "pull",
            pull,
            lambda world, steps: drawer_opening_m(world.data, drawer) > _OPEN_GOAL_M,
            _lost_handle(drawer),
        ),
    ]


def let_go(drawer: str) -> list[Stage]:
    """Release a handle and rise from it, above all that stands there."""
    away = _handle_goal(drawer, 0.15, GRIPPER_OPEN_M)
    return [
        Stage("release", stay_open(0.0), waited(10), is_entry=True),
        Stage("away", away, arrived(away, 0.03, 0.2)),
    ]


def close_drawer(drawer: str) -> list[Stage]:
    """Push a drawer shut at its handle, with closed fingers."""
    at = _handle_goal(drawer, 0.0, CLOSED_WIDTH_M)
    before = _moved_goal(at, lambda world: _PUSH_FROM_M)
    # The goal lies behind the closed handle, so that the fingertips keep pushing.
    push = _moved_goal(at, lambda world: -0.01 - drawer_opening_m(world.data, drawer))
    return [
        Stage("before", before, arrived(before, 0.015, 0.15), is_entry=True),
        Stage(
            "push",
            push,
            lambda world, steps: drawer_opening_m(world.data, drawer) < _SHUT_M,
            _left_front(drawer),
        ),
    ]


def _left_front(drawer: str) -> Condition:
    """Notice fingers that have slipped past the handle."""

    def is_lost(world: World, steps: int) -> bool:
        del steps
        offset = world.tcp_pose[:3, 3] - world.data.site(f"{drawer}_handle").xpos
        aside = turn(cabinet_place(world).yaw_rad)[:, 1] @ offset
        return abs(float(aside)) > 0.025 or abs(float(offset[2])) > 0.05

    return is_lost
