"""Scripted experts: they solve the tasks from the true state of the world.

They see what no camera shows, act through the same actions as a policy, and look again at every
step, so that noise and bumps are corrected and a lost grip is taken again.
"""

from collections.abc import Callable

import numpy as np

from mail_policy.core.frames import Array
from mail_sim.world import block_plans, button_plans, drawer_plans
from mail_sim.world.plans import Stage
from mail_sim.world.servo import Servo
from mail_sim.world.world import World

# A stage that takes longer than this is stuck, and the plan starts again.
_STAGE_LIMIT_STEPS = 80


def _open_top_and_put_in() -> list[Stage]:
    """Open the drawer, which always starts too little open for a block, and put the block in."""
    return [
        *drawer_plans.open_drawer("top"),
        *drawer_plans.let_go("top"),
        *block_plans.fly_to_block("red_block", 0.26),
        *block_plans.put_block("red_block", block_plans.in_top_drawer, drop_m=0.04, over_m=0.18),
    ]


def _open_top_and_put_in_and_leave_open() -> list[Stage]:
    """Do the same, and open the drawer again if the hand has pushed it in on its way."""
    return [*_open_top_and_put_in(), *drawer_plans.open_drawer("top")]


def _put_in_bowl(block: str) -> list[Stage]:
    return block_plans.put_block(block, block_plans.in_bowl, drop_m=0.02, within_m=0.015)


PLANS: dict[str, Callable[[], list[Stage]]] = {
    "open_top": lambda: drawer_plans.open_drawer("top"),
    "open_bottom": lambda: drawer_plans.open_drawer("bottom"),
    "close_top": lambda: drawer_plans.close_drawer("top"),
    "close_bottom": lambda: drawer_plans.close_drawer("bottom"),
    "red_in_bowl": lambda: _put_in_bowl("red_block"),
    "blue_in_bowl": lambda: _put_in_bowl("blue_block"),
    "red_on_cabinet": lambda: block_plans.put_block("red_block", block_plans.on_cabinet),
    "stack_red_on_blue": lambda: block_plans.put_block("red_block", block_plans.on_blue_block),
    "red_in_top": _open_top_and_put_in,
    "open_and_red_in_top": _open_top_and_put_in_and_leave_open,
    "press_cued": button_plans.press_cued,
    "press_twice": button_plans.press_twice,
}


class Expert:
    """Solves the task of a world. Make a new one for every episode, after the reset."""

    def __init__(self, world: World) -> None:
        """Prepare to act.

        Raises:
            ValueError: There is no expert for the world's task.
        """
        if world.task.name not in PLANS:
            raise ValueError(
                f"there is no expert for {world.task.sentence!r} yet; "
                f"there are experts for: {', '.join(PLANS)}"
            )
        self._world = world
        self._stages = PLANS[world.task.name]()
        self._servo = Servo()
        self._index = self._steps = 0

    @property
    def stage(self) -> str:
        """Name of the stage that the expert is in; "done" after the last one."""
        return self._stages[self._index].name if self._index < len(self._stages) else "done"

    def act(self) -> Array:
        """Return the next action: a row of EE_DELTA, shape (7,)."""
        self._choose_stage()
        stage = self._stages[min(self._index, len(self._stages) - 1)]
        goal = stage.goal(self._world)
        step = self._servo.step_towards(
            goal.pose, self._world.commanded_pose, self._world.commanded_joints, stage.slowness
        )
        self._steps += 1
        return np.append(step, goal.width_m)

    def _choose_stage(self) -> None:
        if self._index == len(self._stages):
            return
        stage = self._stages[self._index]
        if stage.is_lost(self._world, self._steps) or self._steps > _STAGE_LIMIT_STEPS:
            self._index, self._steps = self._last_entry(), 0
        elif stage.is_done(self._world, self._steps):
            self._index, self._steps = self._index + 1, 0

    def _last_entry(self) -> int:
        """Return where the plan begins again: the last entry up to this stage."""
        return max(i for i in range(self._index + 1) if self._stages[i].is_entry)
