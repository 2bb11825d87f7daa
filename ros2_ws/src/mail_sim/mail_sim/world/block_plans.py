"""Plans for blocks: grip one from above, carry it, release it on a spot."""

from collections.abc import Callable

import numpy as np

from mail_policy.core.action_schema import GRIPPER_OPEN_M
from mail_policy.core.frames import Array, make_transform
from mail_sim.world.furniture import BLOCK_SIZE_M, CABINET_HEIGHT_M, FACES_M
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
from mail_sim.world.tasks import body_position
from mail_sim.world.world import World

Spot = Callable[[World], Array]

_HELD_BLOCK_M = 0.025
_ABOVE_M = 0.10


def _block_yaw(world: World, block: str) -> float:
    """Return the turn of the hand, within 45 degrees, that grips a block by its sides [rad]."""
    rotation = world.data.body(block).xmat.reshape(3, 3)
    quarter = np.pi / 2
    yaw_rad = float(np.arctan2(rotation[1, 0], rotation[0, 0]))
    return (yaw_rad + quarter / 2) % quarter - quarter / 2


def _above_block(block: str, height_m: float, width_m: float) -> GoalFor:
    def goal(world: World) -> Goal:
        place = body_position(world.data, block) + np.array([0.0, 0.0, height_m])
        return Goal(make_transform(turn(_block_yaw(world, block)) @ HAND_DOWN, place), width_m)

    return goal


def _lost_block(block: str) -> Condition:
    def is_lost(world: World, steps: int) -> bool:
        del steps
        offset = world.tcp_pose[:3, 3] - body_position(world.data, block)
        return world.gripper_width_m < _HELD_BLOCK_M or float(np.linalg.norm(offset)) > 0.05

    return is_lost


def _carry_to(spot: Spot, block: str, above_m: float, width_m: float) -> GoalFor:
    """Bring a block's middle above a spot, as it lies in the hand."""

    def goal(world: World) -> Goal:
        here = world.tcp_pose
        slip = here[:3, 3] - body_position(world.data, block)
        place = spot(world) + np.array([0.0, 0.0, above_m + BLOCK_SIZE_M / 2])
        yaw_rad = float(np.arctan2(here[1, 0], here[0, 0]))  # The hand keeps its turn.
        return Goal(make_transform(turn(yaw_rad) @ HAND_DOWN, place + slip), width_m)

    return goal


def put_block(
    block: str,
    spot: Spot,
    *,
    drop_m: float = 0.004,
    over_m: float = _ABOVE_M,
    within_m: float = 0.005,
) -> list[Stage]:
    """Grip a block from above and release it on a spot.

    Args:
        block: Name of the block.
        spot: Where its underside goes [m].
        drop_m: How far above the spot it is released [m].
        over_m: How far above the spot it is brought first [m].
        within_m: How near to that it is released [m]. Where a spot is wide, aiming long teaches
            policies to hesitate.
    """
    above = _above_block(block, _ABOVE_M, GRIPPER_OPEN_M)
    at = _above_block(block, 0.0, GRIPPER_OPEN_M)
    grip = _above_block(block, 0.0, CLOSED_WIDTH_M)
    over = _carry_to(spot, block, over_m, CLOSED_WIDTH_M)
    down = _carry_to(spot, block, drop_m, CLOSED_WIDTH_M)
    lost = _lost_block(block)
    return [
        Stage("above", above, arrived(above, 0.015, 0.1), is_entry=True),
        Stage("at", at, arrived(at, 0.006), slowness=1.5),
        Stage("grip", grip, gripped(0.045)),
        Stage("lift", _lifted(spot, over_m), _high_enough(spot, block, over_m), lost),
        Stage("over", over, arrived(over, 0.012), lost),
        Stage("down", down, arrived(down, within_m), lost, slowness=1.5),
        Stage("release", stay_open(0.0), waited(10)),
        Stage("away", stay_open(0.05), waited(12)),
    ]


def fly_to_block(block: str, height_m: float) -> list[Stage]:
    """Come from afar to high above a block, clear of the furniture."""
    high = _above_block(block, height_m, GRIPPER_OPEN_M)
    return [Stage("fly", high, arrived(high, 0.04, 0.3), is_entry=True)]


def _lifted(spot: Spot, over_m: float) -> GoalFor:
    def goal(world: World) -> Goal:
        pose = world.commanded_pose
        pose[2, 3] = spot(world)[2] + over_m + BLOCK_SIZE_M
        return Goal(pose, CLOSED_WIDTH_M)

    return goal


def _high_enough(spot: Spot, block: str, over_m: float) -> Condition:
    return lambda world, steps: bool(
        body_position(world.data, block)[2] > spot(world)[2] + 0.8 * over_m
    )


def in_bowl(world: World) -> Array:
    """Return the spot in the middle of the bowl [m]."""
    spot: Array = body_position(world.data, "bowl") + np.array([0.0, 0.0, 0.006])
    return spot


def on_blue_block(world: World) -> Array:
    """Return the spot on the blue block [m]."""
    spot: Array = body_position(world.data, "blue_block") + np.array([0.0, 0.0, BLOCK_SIZE_M / 2])
    return spot


def on_cabinet(world: World) -> Array:
    """Return a spot on the cabinet, nearer to the robot than its middle [m]."""
    place = cabinet_place(world)
    middle = np.array([place.x_m, place.y_m, CABINET_HEIGHT_M])
    spot: Array = middle + turn(place.yaw_rad) @ np.array([-0.06, 0.0, 0.0])
    return spot


def in_top_drawer(world: World) -> Array:
    """Return a spot on the floor of the top drawer, before the cabinet's face [m]."""
    frame = world.data.body("top_drawer")
    inside = np.array([FACES_M["top"] + 0.075, 0.0, -0.04])
    spot: Array = frame.xpos + frame.xmat.reshape(3, 3) @ inside
    return spot
