"""Says in words what a task of the twin lacks at the end of an episode."""

from typing import Any

from mail_sim.world.task import Task
from mail_sim.world.tasks import (
    CLOSED_M,
    OPEN_M,
    body_position,
    drawer_opening_m,
    is_released,
)

TIME_RAN_OUT = "time ran out"
_LIFTED_M = 0.02
# Which body moves and where to, by the name of the task.
_MOVES = {
    "red_in_bowl": ("red_block", "bowl"),
    "blue_in_bowl": ("blue_block", "bowl"),
    "red_on_cabinet": ("red_block", "cabinet"),
    "stack_red_on_blue": ("red_block", "blue_block"),
    "red_in_top": ("red_block", "top_drawer"),
    "open_and_red_in_top": ("red_block", "top_drawer"),
}
_OPENS = {"open_top": "top", "open_bottom": "bottom", "open_and_red_in_top": "top"}
_CLOSES = {"close_top": "top", "close_bottom": "bottom"}


def measure_in_words(task: Task, measure_m: float) -> str:
    """Say what a task's own measure [m] means."""
    if task.name in _MOVES:
        block, goal = map(_plain, _MOVES[task.name])
        return f"{block} {measure_m:.2f} m from the {goal}, seen from above"
    if task.name in _OPENS:
        return f"drawer open {measure_m:.2f} m of {OPEN_M:.2f} m"
    if task.name in _CLOSES:
        return f"drawer still open {measure_m:.2f} m, at most {CLOSED_M:.2f} m allowed"
    if task.has_buttons:
        return f"hand {measure_m:.2f} m from the nearest button"
    return f"measure {measure_m:.3f} m"


class EpisodeWatch:
    """Follows the block of a task through one episode.

    Args:
        task: What is to be done.
        data: State of the world at the start.
    """

    def __init__(self, task: Task, data: Any) -> None:
        self._task = task
        self._block, self._goal = _MOVES.get(task.name, ("", ""))
        self._start_height_m = self._height_m(data) if self._block else 0.0
        self._was_touched = self._was_lifted = False

    def advance(self, model: Any, data: Any) -> None:
        """Look at the world after a step."""
        if not self._block or self._was_lifted or is_released(model, data, self._block):
            return
        self._was_touched = True
        self._was_lifted = self._height_m(data) > self._start_height_m + _LIFTED_M

    def explain(self, model: Any, data: Any) -> str:
        """Say what is missing now."""
        measured = measure_in_words(self._task, self._task.measure(model, data))
        if not self._block:
            return measured
        block = _plain(self._block)
        drawer = _OPENS.get(self._task.name)
        if drawer and (opening_m := drawer_opening_m(data, drawer)) <= OPEN_M:
            return f"drawer open {opening_m:.2f} m of {OPEN_M:.2f} m; {measured}"
        if not self._was_touched:
            return f"gripper never touched the {block}; {measured}"
        if not self._was_lifted:
            return f"{block} touched but never lifted; {measured}"
        if not is_released(model, data, self._block):
            return f"{block} still in the gripper; {measured}"
        return f"{block} lifted and released elsewhere; {measured}"

    def _height_m(self, data: Any) -> float:
        return float(body_position(data, self._block)[2])


def _plain(body: str) -> str:
    return body.replace("_", " ")
