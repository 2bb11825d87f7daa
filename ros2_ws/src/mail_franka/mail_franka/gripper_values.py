"""What a hand is asked to do, within its limits and ours, and what is known of it."""

import math
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mail_franka.arm_config import GripperConfig
from mail_policy.core.devices import HAND_WIDTH_M, GraspGoal, Gripper, MoveGoal
from mail_policy.core.types import GripperReading

# Fingers this near to a width have reached it [m].
REACHED_M = 0.002
NOT_HOMED = "the hand does not know its largest width; call gripper/homing with empty fingers"


class Grip(StrEnum):
    """What a policy can make a hand do."""

    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class HomingGoal:
    """Close and open the empty hand to learn its largest width."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApproachGoal:
    """Get to a width from either side; fingers that meet an object hold it.

    Attributes:
        width_m: Distance between the fingers [m].
        force_n: Largest force [N]; 0 or less for the usual one.
    """

    width_m: float
    force_n: float

    def __post_init__(self) -> None:
        """Refuse what no hand can do, and what is not a number."""
        if not 0.0 <= self.width_m <= HAND_WIDTH_M:
            raise ValueError(f"width must be in [0, {HAND_WIDTH_M}] m, got {self.width_m}")
        if not math.isfinite(self.force_n):
            raise ValueError(f"force must be a number, got {self.force_n}")


HandGoal = MoveGoal | GraspGoal | HomingGoal | ApproachGoal


@dataclass(frozen=True, slots=True)
class GripperView:
    """What is known of the gripper.

    Attributes:
        reading: The newest reading, None before the first.
        target_width_m: Width of the last command [m].
        is_moving: A command runs.
        fault: What is wrong with the hand or was with its last command, "" if nothing.
        grasp_lost: What was grasped has gone without a command of ours; the next one clears it.
    """

    reading: GripperReading | None = None
    target_width_m: float = 0.0
    is_moving: bool = False
    fault: str = ""
    grasp_lost: bool = False


@dataclass(frozen=True, slots=True)
class GripperResult:
    """How a command ended.

    Attributes:
        success: Whether the hand did what it was asked.
        message: Why not, for the operator; "" if it did.
        reading: The newest reading then, None if there is none.
    """

    success: bool
    message: str
    reading: GripperReading | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Order:
    """One command on its way to the hand.

    Attributes:
        name: For messages.
        target_width_m: Where the fingers go [m].
        allowed_s: After this time the command is given up [s].
        run: Carries it out.
        grip: The wish of the arm that it fulfils, None if an operator or a program asked.
        answer: Resolved when the command has ended or was given up.
    """

    name: str
    target_width_m: float
    allowed_s: float
    run: Callable[[Gripper], bool]
    grip: Grip | None = None
    answer: Future[GripperResult] = field(default_factory=Future)


def decide_grip(width_m: float, now: Grip | None, config: GripperConfig) -> Grip | None:
    """Turn a wanted width into a grip, with hysteresis.

    Args:
        width_m: Wanted width [m].
        now: The grip that holds now, None before the first command.
        config: The thresholds.
    """
    if width_m < config.close_below_m:
        return Grip.CLOSE
    if width_m > config.open_above_m:
        return Grip.OPEN
    return now


def grip_order(grip: Grip, reading: GripperReading | None, config: GripperConfig) -> Order:
    """Return the command that fulfils a wish of the arm."""
    goal: MoveGoal | GraspGoal
    if grip is Grip.CLOSE:
        goal = _grasp_anything(0.0, config.force_n, config)
    else:
        goal = MoveGoal(width_m=config.max_width_m, speed_m_s=config.speed_m_s)
    return replace(order_for(goal, reading, config), name=grip.value, grip=grip)


def order_for(goal: HandGoal, reading: GripperReading | None, config: GripperConfig) -> Order:
    """Return the command for a goal, tightened to the limits of this hand and of the settings.

    Args:
        goal: What somebody asked for.
        reading: Where the fingers are, None if unknown.
        config: Our limits.
    """
    if isinstance(goal, HomingGoal):
        return Order(
            name="homing",
            target_width_m=config.max_width_m,
            allowed_s=config.homing_timeout_s,
            run=lambda gripper: gripper.homing(),
        )
    if isinstance(goal, ApproachGoal):
        width_m = _tightened_width_m(goal.width_m, reading, config)
        # Opening must not squeeze, and `move` onto an object never ends.
        if reading is None or width_m < reading.width_m:
            order = order_for(_grasp_anything(width_m, goal.force_n, config), reading, config)
        else:
            open_up = MoveGoal(width_m=width_m, speed_m_s=config.speed_m_s)
            order = order_for(open_up, reading, config)
        return replace(order, name="gripper_action", run=lambda hand: _arrives(hand, order))
    tight = _tightened(goal, reading, config)
    way_m = HAND_WIDTH_M if reading is None else abs(reading.width_m - tight.width_m)
    return Order(
        name="grasp" if isinstance(tight, GraspGoal) else "move",
        target_width_m=tight.width_m,
        allowed_s=max(config.command_timeout_s, 2.0 * way_m / tight.speed_m_s),
        run=lambda hand: hand.grasp(tight) if isinstance(tight, GraspGoal) else hand.move(tight),
    )


def _tightened(
    goal: MoveGoal | GraspGoal, reading: GripperReading | None, config: GripperConfig
) -> MoveGoal | GraspGoal:
    width_m = _tightened_width_m(goal.width_m, reading, config)
    speed_m_s = min(goal.speed_m_s, config.max_speed_m_s)
    if isinstance(goal, MoveGoal):
        return replace(goal, width_m=width_m, speed_m_s=speed_m_s)
    force_n = min(goal.force_n, config.max_force_n)
    return replace(goal, width_m=width_m, speed_m_s=speed_m_s, force_n=force_n)


def _tightened_width_m(
    width_m: float, reading: GripperReading | None, config: GripperConfig
) -> float:
    # A hand that was not homed reports a largest width of 0.
    known_m = reading.max_width_m if reading is not None else 0.0
    return min(width_m, config.max_width_m, known_m or HAND_WIDTH_M)


def _arrives(gripper: Gripper, order: Order) -> bool:
    """Carry out an order that has also succeeded when no object was in the way."""
    return order.run(gripper) or abs(gripper.read().width_m - order.target_width_m) <= REACHED_M


def _grasp_anything(width_m: float, force_n: float, config: GripperConfig) -> GraspGoal:
    return GraspGoal(
        width_m=width_m,
        speed_m_s=config.speed_m_s,
        force_n=config.force_n if force_n <= 0.0 else min(force_n, config.max_force_n),
        epsilon_inner_m=HAND_WIDTH_M,
        epsilon_outer_m=HAND_WIDTH_M,
    )
