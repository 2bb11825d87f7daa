"""Tasks that need a memory: what is seen when the hand must decide does not say what to do.

One hides a cue before it may be used, one looks the same after the first and the second press.
A policy that sees less than `DARK_STEPS` steps of the past can only guess. Both exist in the
directly stepped world only: the twin behind the robot's protocol does not light the buttons.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_policy.core.types import NUM_JOINTS
from mail_sim.world.buttons import (
    BUTTON_HEIGHT_M,
    BUTTONS,
    GREEN,
    RELEASE_HEIGHT_M,
    YELLOW,
    ButtonWatch,
    paint,
)
from mail_sim.world.layout import SceneLayout, sample_button_layout
from mail_sim.world.task import Referee

# The cue is lit for so many steps, then all is dark: longer than the chunks of a policy, so that
# no chunk begun at the cue lasts until the buttons turn green and may be pressed.
CUE_STEPS, DARK_STEPS = 10, 16
GREEN_STEP = CUE_STEPS + DARK_STEPS
# A hand that leaves home by more than this [m] before, and so could mark the answer, has failed.
WAITING_RADIUS_M = 0.08
PRESSES = 2
# So many steps in the air mean that the hand will not press again.
REST_STEPS = 30
MAX_STEPS = 200

HOME_TCP_POSE = forward_kinematics(HOME_JOINT_POSITIONS)


@dataclass(frozen=True, slots=True)
class ButtonTask:
    """A task with two buttons, judged by what happened during the episode.

    Attributes:
        name: Short, for files and tables.
        sentence: What the policy is told.
        new_referee: Makes the referee of an episode with a layout.
        max_steps: After so many steps without success an attempt counts as failed.
    """

    name: str
    sentence: str
    new_referee: Callable[[SceneLayout], Referee]
    max_steps: int = MAX_STEPS

    @property
    def has_buttons(self) -> bool:
        """Buttons are all it is about."""
        return True

    def layout(self, seed: int) -> SceneLayout:
        """Draw a start with free buttons."""
        return sample_button_layout(seed)

    def begin(self, model: Any, data: Any, layout: SceneLayout) -> Referee:
        """Return the referee of a new episode; the buttons show its first lights."""
        referee = self.new_referee(layout)
        referee.advance(model, data)
        return referee

    def measure(self, model: Any, data: Any) -> float:
        """Return the distance of the TCP to the top of the nearest button [m]."""
        del model
        tops = [np.append(place, BUTTON_HEIGHT_M) for place in BUTTONS.values()]
        return float(min(np.linalg.norm(_tcp(data) - top) for top in tops))


class CueReferee:
    """Shows a cue, hides it, and sees which button is pressed once they are green."""

    def __init__(self, layout: SceneLayout) -> None:
        self._cued = layout.cued_button
        self._watch = ButtonWatch()
        self._steps = -1
        self.succeeded, self.failure = False, ""

    def advance(self, model: Any, data: Any) -> None:
        """Light the buttons for the next step and judge the last one."""
        self._steps += 1
        if self._steps < CUE_STEPS:
            paint(model, {self._cued: YELLOW})
        elif self._steps < GREEN_STEP:
            paint(model, {})
        else:
            paint(model, dict.fromkeys(BUTTONS, GREEN))
        if not self.succeeded and not self.failure:
            self._judge(_tcp(data))

    def _judge(self, tcp: Array) -> None:
        if self._steps <= GREEN_STEP:
            if np.linalg.norm(tcp - HOME_TCP_POSE[:3, 3]) > WAITING_RADIUS_M:
                self.failure = "the hand moved before the buttons turned green"
            return
        pressed = self._watch.newly_pressed(tcp)
        self.succeeded = pressed == self._cued
        if pressed and not self.succeeded:
            self.failure = "the other button was pressed"


class PressReferee:
    """Counts presses of the right button; the verdict falls when the hand rests in the air."""

    def __init__(self, layout: SceneLayout) -> None:
        del layout
        self._watch = ButtonWatch()
        self._presses = self._rested_steps = 0
        self.succeeded, self.failure = False, ""

    def advance(self, model: Any, data: Any) -> None:
        """Judge the last step. The buttons are green all the time and tell nothing."""
        paint(model, dict.fromkeys(BUTTONS, GREEN))
        if not self.succeeded and not self.failure:
            self._judge(_tcp(data))

    def _judge(self, tcp: Array) -> None:
        pressed = self._watch.newly_pressed(tcp)
        self._presses += pressed is not None
        self._rested_steps = self._rested_steps + 1 if tcp[2] > RELEASE_HEIGHT_M else 0
        if pressed == "left":
            self.failure = "the left button was pressed"
        elif self._presses > PRESSES:
            self.failure = f"the button was pressed more than {PRESSES} times"
        elif self._presses and self._rested_steps >= REST_STEPS:
            self.succeeded = self._presses == PRESSES
            self.failure = "" if self.succeeded else "the button was pressed only once"


def _tcp(data: Any) -> Array:
    """Return the position of the TCP in the base frame [m], shape (3,)."""
    position: Array = forward_kinematics(data.qpos[:NUM_JOINTS])[:3, 3]
    return position


MEMORY_TASKS = (
    ButtonTask("press_cued", "press the button that lit up", CueReferee),
    ButtonTask("press_twice", "press the right button twice", PressReferee),
)
