"""Stages of the tasks: where the hand should go, and when the next stage begins.

A plan is a list of stages. Each looks at the true state of the world at every step, so that it
follows things that move, and says when it has lost what it holds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mail_policy.core.frames import Array, make_transform, rotation_from_vector
from mail_sim.world.furniture import BLOCK_SIZE_M, CABINET_HEIGHT_M, FACES_M
from mail_sim.world.hand import OPEN_WIDTH_M
from mail_sim.world.layout import Place
from mail_sim.world.tasks import body_position, drawer_opening_m
from mail_sim.world.world import World

CLOSED_WIDTH_M = 0.0

# Hand pointing straight down, fingers opening along y.
_DOWN = np.diag([1.0, -1.0, -1.0])
# How far the hand tilts forward from straight down at a handle [rad]. Much more would align hand
# and forearm, where the wrist is singular and the elbow swings wildly.
_TILT_RAD = {"top": 0.32, "bottom": 0.2}
_OPEN_GOAL_M = 0.158
_SHUT_M = 0.004
_PUSH_FROM_M = 0.06
_HELD_HANDLE_M = 0.008
_HELD_BLOCK_M = 0.025
_ABOVE_M = 0.10


@dataclass(frozen=True, slots=True, eq=False)
class Goal:
    """Where the hand should be.

    Attributes:
        pose: transform_tcp_to_base, shape (4, 4).
        width_m: Wanted distance between the fingers [m].
    """

    pose: Array
    width_m: float


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
        is_lost: True when the plan must start again.
        slowness: Divides the largest speed.
    """

    name: str
    goal: Callable[[World], Goal]
    is_done: Condition
    is_lost: Condition = field(default=_never)
    slowness: float = 1.0


def _arrived(goal: Callable[[World], Goal], within_m: float, within_rad: float = 0.08) -> Condition:
    def is_done(world: World, steps: int) -> bool:
        del steps
        wanted, here = goal(world).pose, world.tcp_pose
        distance_m = float(np.linalg.norm(wanted[:3, 3] - here[:3, 3]))
        cosine = (np.trace(wanted[:3, :3] @ here[:3, :3].T) - 1.0) / 2.0
        return distance_m < within_m and float(cosine) > np.cos(within_rad)

    return is_done


def _waited(steps_wanted: int) -> Condition:
    return lambda world, steps: steps >= steps_wanted


def _turn(yaw_rad: float) -> Array:
    return rotation_from_vector(np.array([0.0, 0.0, yaw_rad]))


def _cabinet(world: World) -> Place:
    assert world.layout is not None, "experts act in an episode"
    return world.layout.cabinet


def _handle_goal(drawer: str, before_m: float, width_m: float) -> Callable[[World], Goal]:
    """Aim at a handle from a distance before it, along the hand's direction."""

    def goal(world: World) -> Goal:
        tilt = rotation_from_vector(np.array([0.0, -_TILT_RAD[drawer], 0.0]))
        rotation = _turn(_cabinet(world).yaw_rad) @ tilt @ _DOWN
        handle = world.data.site(f"{drawer}_handle").xpos
        return Goal(make_transform(rotation, handle - before_m * rotation[:, 2]), width_m)

    return goal


def _moved_goal(
    goal: Callable[[World], Goal], move_m: Callable[[World], float]
) -> Callable[[World], Goal]:
    """Shift a goal in the direction in which drawers open."""

    def moved(world: World) -> Goal:
        at = goal(world)
        pose = at.pose.copy()
        out = _turn(_cabinet(world).yaw_rad) @ np.array([-1.0, 0.0, 0.0])
        pose[:3, 3] += move_m(world) * out
        return Goal(pose, at.width_m)

    return moved


def _lost_handle(drawer: str) -> Condition:
    def is_lost(world: World, steps: int) -> bool:
        del steps
        offset = world.tcp_pose[:3, 3] - world.data.site(f"{drawer}_handle").xpos
        return world.gripper_width_m < _HELD_HANDLE_M or float(np.linalg.norm(offset)) > 0.03

    return is_lost


def _gripped(still_open_m: float) -> Condition:
    """Wait until the fingers have closed onto something, or give them time enough."""
    return lambda world, steps: steps >= 8 and world.gripper_width_m < still_open_m or steps >= 18


def open_drawer(drawer: str) -> list[Stage]:
    """Grip a handle and pull the drawer open."""
    before = _handle_goal(drawer, 0.09, OPEN_WIDTH_M)
    at = _handle_goal(drawer, -0.004, OPEN_WIDTH_M)
    grip = _handle_goal(drawer, -0.004, CLOSED_WIDTH_M)
    pull = _moved_goal(
        grip, lambda world: _OPEN_GOAL_M + 0.01 - drawer_opening_m(world.data, drawer)
    )
    return [
        Stage("before", before, _arrived(before, 0.02, 0.15)),
        Stage("at", at, _arrived(at, 0.006), slowness=1.5),
        Stage("grip", grip, _gripped(0.02)),
        Stage(
            "pull",
            pull,
            lambda world, steps: drawer_opening_m(world.data, drawer) > _OPEN_GOAL_M,
            _lost_handle(drawer),
        ),
    ]


def close_drawer(drawer: str) -> list[Stage]:
    """Push a drawer shut at its handle, with closed fingers."""
    at = _handle_goal(drawer, 0.0, CLOSED_WIDTH_M)
    before = _moved_goal(at, lambda world: _PUSH_FROM_M)
    # The goal lies behind the closed handle, so that the fingertips keep pushing.
    push = _moved_goal(at, lambda world: -0.01 - drawer_opening_m(world.data, drawer))
    return [
        Stage("before", before, _arrived(before, 0.015, 0.15)),
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
        aside = _turn(_cabinet(world).yaw_rad)[:, 1] @ offset
        return abs(float(aside)) > 0.025 or abs(float(offset[2])) > 0.05

    return is_lost


def _block_yaw(world: World, block: str) -> float:
    """Return the turn of the hand, within 45 degrees, that grips a block by its sides [rad]."""
    rotation = world.data.body(block).xmat.reshape(3, 3)
    quarter = np.pi / 2
    yaw_rad = float(np.arctan2(rotation[1, 0], rotation[0, 0]))
    return (yaw_rad + quarter / 2) % quarter - quarter / 2


def _above_block(block: str, height_m: float, width_m: float) -> Callable[[World], Goal]:
    def goal(world: World) -> Goal:
        place = body_position(world.data, block) + np.array([0.0, 0.0, height_m])
        return Goal(make_transform(_turn(_block_yaw(world, block)) @ _DOWN, place), width_m)

    return goal


def _lost_block(block: str) -> Condition:
    def is_lost(world: World, steps: int) -> bool:
        del steps
        offset = world.tcp_pose[:3, 3] - body_position(world.data, block)
        return world.gripper_width_m < _HELD_BLOCK_M or float(np.linalg.norm(offset)) > 0.05

    return is_lost


Spot = Callable[[World], Array]


def _carry_to(spot: Spot, block: str, above_m: float, width_m: float) -> Callable[[World], Goal]:
    """Bring a block's middle above a spot, as it lies in the hand."""

    def goal(world: World) -> Goal:
        here = world.tcp_pose
        slip = here[:3, 3] - body_position(world.data, block)
        place = spot(world) + np.array([0.0, 0.0, above_m + BLOCK_SIZE_M / 2])
        yaw_rad = _nearest_quarter(here)
        return Goal(make_transform(_turn(yaw_rad) @ _DOWN, place + slip), width_m)

    return goal


def _nearest_quarter(pose: Array) -> float:
    """Return the present turn of a hand that points down [rad]."""
    return float(np.arctan2(pose[1, 0], pose[0, 0]))


def put_block(block: str, spot: Spot, drop_m: float = 0.004) -> list[Stage]:
    """Grip a block from above and release it on a spot.

    Args:
        block: Name of the block.
        spot: Where its underside goes [m].
        drop_m: How far above the spot it is released [m].
    """
    above = _above_block(block, _ABOVE_M, OPEN_WIDTH_M)
    at = _above_block(block, 0.0, OPEN_WIDTH_M)
    grip = _above_block(block, 0.0, CLOSED_WIDTH_M)
    over = _carry_to(spot, block, _ABOVE_M, CLOSED_WIDTH_M)
    down = _carry_to(spot, block, drop_m, CLOSED_WIDTH_M)
    lost = _lost_block(block)
    return [
        Stage("above", above, _arrived(above, 0.015, 0.1)),
        Stage("at", at, _arrived(at, 0.006), slowness=1.5),
        Stage("grip", grip, _gripped(0.045)),
        Stage("lift", _lifted(spot), _high_enough(spot, block), lost),
        Stage("over", over, _arrived(over, 0.012), lost),
        Stage("down", down, _arrived(down, 0.005), lost, slowness=1.5),
        Stage("release", _stay_open(0.0), _waited(10)),
        Stage("away", _stay_open(0.05), _waited(12)),
    ]


def _lifted(spot: Spot) -> Callable[[World], Goal]:
    def goal(world: World) -> Goal:
        pose = world.commanded_pose
        pose[2, 3] = spot(world)[2] + _ABOVE_M + BLOCK_SIZE_M
        return Goal(pose, CLOSED_WIDTH_M)

    return goal


def _high_enough(spot: Spot, block: str) -> Condition:
    return lambda world, steps: bool(
        body_position(world.data, block)[2] > spot(world)[2] + 0.8 * _ABOVE_M
    )


def _stay_open(rise_m: float) -> Callable[[World], Goal]:
    def goal(world: World) -> Goal:
        pose = world.commanded_pose
        pose[2, 3] += rise_m
        return Goal(pose, OPEN_WIDTH_M)

    return goal


def in_bowl(world: World) -> Array:
    """Return the spot in the middle of the bowl [m]."""
    return body_position(world.data, "bowl") + np.array([0.0, 0.0, 0.006])


def on_blue_block(world: World) -> Array:
    """Return the spot on the blue block [m]."""
    return body_position(world.data, "blue_block") + np.array([0.0, 0.0, BLOCK_SIZE_M / 2])


def on_cabinet(world: World) -> Array:
    """Return a spot on the cabinet, nearer to the robot than its middle [m]."""
    place = _cabinet(world)
    towards = _turn(place.yaw_rad) @ np.array([-0.06, 0.0, 0.0])
    return np.array([place.x_m, place.y_m, CABINET_HEIGHT_M]) + towards


def in_top_drawer(world: World) -> Array:
    """Return a spot on the floor of the top drawer, before the cabinet's face [m]."""
    frame = world.data.body("top_drawer")
    inside = np.array([FACES_M["top"] + 0.06, 0.0, -0.04])
    spot: Array = frame.xpos + frame.xmat.reshape(3, 3) @ inside
    return spot
