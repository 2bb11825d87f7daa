"""Plans for buttons: wait, press, and rise again."""

import numpy as np

from mail_policy.core.action_schema import GRIPPER_OPEN_M
from mail_policy.core.frames import make_transform
from mail_sim.world.buttons import BUTTON_HEIGHT_M, BUTTONS, RELEASE_HEIGHT_M
from mail_sim.world.memory_tasks import GREEN_STEP, HOME_TCP_POSE, PRESSES, REST_STEPS
from mail_sim.world.plans import HAND_DOWN, Goal, GoalFor, Stage, arrived, waited
from mail_sim.world.world import World

_PRESSED_M = BUTTON_HEIGHT_M + 0.015
_RISEN_M = RELEASE_HEIGHT_M + 0.04


def _over(button: str, height_m: float) -> GoalFor:
    """Aim above a button, at a height above the table."""
    pose = make_transform(HAND_DOWN, np.append(BUTTONS[button], height_m))
    return lambda world: Goal(pose, GRIPPER_OPEN_M)


def _over_cued(world: World) -> Goal:
    assert world.layout is not None, "experts act in an episode"
    return _over(world.layout.cued_button, _PRESSED_M)(world)


def press_cued() -> list[Stage]:
    """Wait at home until the buttons turn green, then press the one that had been lit.

    Until then nothing depends on the cue, so that no trace of it is left in the arm.
    """
    return [
        Stage("wait", lambda world: Goal(HOME_TCP_POSE, GRIPPER_OPEN_M), waited(GREEN_STEP)),
        Stage("press", _over_cued, arrived(_over_cued, 0.004), is_entry=True),
    ]


def press_twice() -> list[Stage]:
    """Press the right button twice and stay above it.

    The hand comes to rest above the button first, so that the second press is like the first.
    """
    press, rise = _over("right", _PRESSED_M), _over("right", _RISEN_M)
    once = [
        Stage("press", press, arrived(press, 0.015, 0.15)),
        Stage("rise", rise, arrived(rise, 0.03, 0.15)),
    ]
    return [
        Stage("above", rise, arrived(rise, 0.015, 0.04), is_entry=True),
        *once * PRESSES,
        Stage("rest", rise, waited(REST_STEPS)),
    ]
