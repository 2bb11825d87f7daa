"""What a plan is made of: where the hand should go, and when the next stage begins.

A plan is a list of stages. Each looks at the true state of the world at every step, so that it
follows things that move, and says when it has lost what it holds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mail_policy.core.action_schema import GRIPPER_OPEN_M
from mail_policy.core.frames import Array, rotation_from_vector
from mail_sim.world.layout import Place
from mail_sim.world.world import World

CLOSED_WIDTH_M = 0.0
# Hand pointing straight down, fingers opening along y.
HAND_DOWN = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True, slots=True, eq=False)
class Goal:
    """Where the hand should be.

    Attributes:
        pose: transform_tcp_to_base, shape (4, 4).
        width_m: Wanted distance between the fingers [m].
    """

    pose: Array
    width_m: float


GoalFor = Callable[[World], Goal]
Condition = Callable[[World, int], bool]


def _never(world: World, steps: int) -> bool:
    del world, steps
    return False


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a plan.

    Attributes:
        name: For logs and tests.
        goal: Where the hand should be, given the world.
        is_done: True when the next stage may begin; gets the steps made in this stage.
        is_lost: True when the plan must go back to the last entry.
        slowness: Divides the largest speed.
        is_entry: The plan can begin again here.
    """

    name: str
    goal: GoalFor
    is_done: Condition
    is_lost: Condition = field(default=_never)
    slowness: float = 1.0
    is_entry: bool = False


def arrived(goal: GoalFor, within_m: float, within_rad: float = 0.08) -> Condition:
    """Wait until the TCP is near a goal, in place [m] and in direction [rad]."""

    def is_done(world: World, steps: int) -> bool:
        del steps
        wanted, here = goal(world).pose, world.tcp_pose
        distance_m = float(np.linalg.norm(wanted[:3, 3] - here[:3, 3]))
        cosine = (np.trace(wanted[:3, :3] @ here[:3, :3].T) - 1.0) / 2.0
        return distance_m < within_m and float(cosine) > np.cos(within_rad)

    return is_done


def waited(steps_wanted: int) -> Condition:
    """Wait for some steps."""
    return lambda world, steps: steps >= steps_wanted


def turn(yaw_rad: float) -> Array:
    """Return a turn about the vertical [rad] as a matrix."""
    return rotation_from_vector(np.array([0.0, 0.0, yaw_rad]))


def cabinet_place(world: World) -> Place:
    """Return where the cabinet stands in this episode."""
    assert world.layout is not None, "experts act in an episode"
    return world.layout.cabinet


def gripped(still_open_m: float) -> Condition:
    """Wait until the fingers have closed onto something, or give them time enough."""
    return lambda world, steps: (steps >= 8 and world.gripper_width_m < still_open_m) or steps >= 18


def stay_open(rise_m: float) -> GoalFor:
    """Keep the hand open, standing still or rising [m]."""

    def goal(world: World) -> Goal:
        pose = world.commanded_pose
        pose[2, 3] += rise_m
        return Goal(pose, GRIPPER_OPEN_M)

    return goal
