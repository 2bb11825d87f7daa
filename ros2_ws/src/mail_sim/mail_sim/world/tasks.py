"""The tasks of the benchmark: their sentences, and when they are done.

Predicates read the simulator's state only. They work on the directly stepped world and on the
one behind the robot's protocol, and cost some tens of microseconds.
"""

import difflib
from typing import Any

import numpy as np

from mail_policy.core.frames import Array
from mail_sim.world.furniture import BLOCK_SIZE_M, CABINET_HEIGHT_M, FACES_M, PANEL_M
from mail_sim.world.memory_tasks import MEMORY_TASKS
from mail_sim.world.scene import FINGER_BODIES
from mail_sim.world.task import LONG_STEPS, Measure, Predicate, StateTask, Task

OPEN_M = 0.14
CLOSED_M = 0.01

_IN_BOWL_M = 0.045
_IN_BOWL_HEIGHT_M = 0.06
_ON_CABINET_M = 0.11
_ON_CABINET_HEIGHT_M = 0.010
_STACKED_M = 0.025
_STACKED_HEIGHT_M = 0.008
# A drawer's inside, in its own frame [m], behind its front panel: between the sides, on its floor.
_DRAWER_LOWER = np.array([PANEL_M, -0.095, -0.05])
_DRAWER_UPPER = np.array([0.30, 0.095, 0.03])


def drawer_opening_m(data: Any, drawer: str) -> float:
    """Return how far a drawer is open [m]."""
    return float(data.joint(f"{drawer}_drawer_slide").qpos[0])


def body_position(data: Any, name: str) -> Array:
    """Return the position of a body's frame in the base frame [m], shape (3,)."""
    position: Array = data.body(name).xpos
    return position


def is_released(model: Any, data: Any, name: str) -> bool:
    """Return True if no finger touches a body."""
    if data.ncon == 0:
        return True
    body = model.body(name).id
    fingers = [model.body(finger).id for finger in FINGER_BODIES]
    touching = model.geom_bodyid[data.contact.geom[: data.ncon]]
    pairs = touching[(touching == body).any(axis=1)]
    return not np.isin(pairs, fingers).any()


def _open(drawer: str) -> tuple[Measure, Predicate]:
    def measure(model: Any, data: Any) -> float:
        del model
        return drawer_opening_m(data, drawer)

    return measure, lambda model, data: measure(model, data) > OPEN_M


def _close(drawer: str) -> tuple[Measure, Predicate]:
    measure, _ = _open(drawer)
    return measure, lambda model, data: measure(model, data) < CLOSED_M


def _distance_to(block: str, goal: str) -> Measure:
    """Measure the horizontal distance of two bodies [m]."""

    def measure(model: Any, data: Any) -> float:
        del model
        return float(np.linalg.norm((body_position(data, block) - body_position(data, goal))[:2]))

    return measure


def _in_bowl(block: str) -> tuple[Measure, Predicate]:
    measure = _distance_to(block, "bowl")

    def succeeded(model: Any, data: Any) -> bool:
        return (
            measure(model, data) < _IN_BOWL_M
            and body_position(data, block)[2] < _IN_BOWL_HEIGHT_M
            and is_released(model, data, block)
        )

    return measure, succeeded


def _on_cabinet(block: str) -> tuple[Measure, Predicate]:
    measure = _distance_to(block, "cabinet")

    def succeeded(model: Any, data: Any) -> bool:
        resting_m = CABINET_HEIGHT_M + BLOCK_SIZE_M / 2
        return (
            measure(model, data) < _ON_CABINET_M
            and abs(body_position(data, block)[2] - resting_m) < _ON_CABINET_HEIGHT_M
            and is_released(model, data, block)
        )

    return measure, succeeded


def _stacked(block: str, below: str) -> tuple[Measure, Predicate]:
    measure = _distance_to(block, below)

    def succeeded(model: Any, data: Any) -> bool:
        height_m = body_position(data, block)[2] - body_position(data, below)[2]
        return (
            measure(model, data) < _STACKED_M
            and abs(height_m - BLOCK_SIZE_M) < _STACKED_HEIGHT_M
            and is_released(model, data, block)
        )

    return measure, succeeded


def _in_drawer(block: str, drawer: str) -> tuple[Measure, Predicate]:
    measure = _distance_to(block, f"{drawer}_drawer")

    def succeeded(model: Any, data: Any) -> bool:
        frame = data.body(f"{drawer}_drawer")
        inside = frame.xmat.reshape(3, 3).T @ (body_position(data, block) - frame.xpos)
        inside[0] -= FACES_M[drawer]
        return bool(
            (inside > _DRAWER_LOWER).all()
            and (inside < _DRAWER_UPPER).all()
            and is_released(model, data, block)
        )

    return measure, succeeded


def _open_and_put_in(block: str, drawer: str) -> tuple[Measure, Predicate]:
    measure, is_inside = _in_drawer(block, drawer)
    _, is_open = _open(drawer)
    return measure, lambda model, data: is_open(model, data) and is_inside(model, data)


TASKS = (
    StateTask("open_top", "open the top drawer of the cabinet", *_open("top")),
    StateTask("open_bottom", "open the bottom drawer of the cabinet", *_open("bottom")),
    StateTask("close_top", "close the top drawer of the cabinet", *_close("top")),
    StateTask("close_bottom", "close the bottom drawer of the cabinet", *_close("bottom")),
    StateTask("red_in_bowl", "put the red block in the bowl", *_in_bowl("red_block")),
    StateTask("blue_in_bowl", "put the blue block in the bowl", *_in_bowl("blue_block")),
    StateTask(
        "red_on_cabinet",
        "put the red block on top of the cabinet",
        *_on_cabinet("red_block"),
    ),
    StateTask(
        "stack_red_on_blue",
        "stack the red block on the blue block",
        *_stacked("red_block", "blue_block"),
    ),
    StateTask(
        "red_in_top",
        "put the red block in the top drawer",
        *_in_drawer("red_block", "top"),
        LONG_STEPS,
    ),
    StateTask(
        "open_and_red_in_top",
        "open the top drawer and put the red block inside",
        *_open_and_put_in("red_block", "top"),
        LONG_STEPS,
    ),
)

ALL_TASKS: tuple[Task, ...] = (*TASKS, *MEMORY_TASKS)


def task_for(sentence: str) -> Task:
    """Return the task of a sentence. Raises ValueError that names the nearest ones."""
    wanted = " ".join(sentence.lower().split()).rstrip(".")
    for task in ALL_TASKS:
        if wanted in (task.sentence, task.name):
            return task
    sentences = [task.sentence for task in ALL_TASKS]
    close = difflib.get_close_matches(wanted, sentences, n=2, cutoff=0.4) or sentences
    raise ValueError(f"unknown task {sentence!r}; did you mean: {'; '.join(close)}")
