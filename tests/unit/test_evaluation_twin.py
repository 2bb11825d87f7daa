"""Why an episode in the twin failed, in words."""

import numpy as np
import pytest

from mail_sim import failure_words
from mail_sim.direct_evaluation import SteppedTwin
from mail_sim.failure_words import EpisodeWatch
from mail_sim.world.suites import SUITES
from mail_sim.world.task import Task
from mail_sim.world.tasks import ALL_TASKS, task_for
from mail_sim.world.world import World

HOLD = np.array([0, 0, 0, 0, 0, 0, 0.08])


def explained(task: str, drawer_m: float | None = None) -> str:
    with World(task, render=False) as world:
        twin = SteppedTwin(world)
        twin.reset(3)
        if drawer_m is not None:
            world.data.joint("top_drawer_slide").qpos[0] = drawer_m
        twin.step(HOLD)
        return twin.explain()


def test_a_drawer_says_how_far_it_is_open() -> None:
    assert explained("open_top", 0.09) == "time ran out: drawer open 0.09 m of 0.14 m"
    told = explained("close_top", 0.05)
    assert told == "time ran out: drawer still open 0.05 m, at most 0.01 m allowed"


def test_a_block_that_was_never_touched_says_so_and_how_far_it_is_away() -> None:
    told = explained("red_in_bowl")
    assert told.startswith("time ran out: gripper never touched the red block; red block 0.")
    assert told.endswith("m from the bowl, seen from above")


@pytest.mark.parametrize(
    ("lifted_m", "is_held", "told"),
    [
        (0.0, True, "red block touched but never lifted"),
        (0.1, True, "red block still in the gripper"),
        (0.1, False, "red block lifted and released elsewhere"),
    ],
)
def test_how_far_the_hand_got_with_the_block_is_said(
    monkeypatch: pytest.MonkeyPatch, lifted_m: float, is_held: bool, told: str
) -> None:
    with World("red_in_bowl", render=False) as world:
        world.reset(3)
        watch = EpisodeWatch(task_for("red_in_bowl"), world.data)
        world.data.body("red_block").xpos[2] += lifted_m
        monkeypatch.setattr(failure_words, "is_released", lambda *which: False)
        watch.advance(world.model, world.data)
        monkeypatch.setattr(failure_words, "is_released", lambda *which: not is_held)
        assert watch.explain(world.model, world.data).startswith(f"{told}; red block 0.")


def test_a_task_of_two_stages_names_the_first_that_is_missing() -> None:
    assert "drawer open 0.02 m of 0.14 m; red block" in explained("open_and_red_in_top", 0.02)
    assert "gripper never touched the red block" in explained("open_and_red_in_top", 0.16)


def test_a_memory_task_gives_its_own_verdict() -> None:
    with World("press_cued", render=False) as world:
        twin = SteppedTwin(world)
        twin.reset(0)
        for _ in range(12):
            twin.step(np.array([0, 0, -0.02, 0, 0, 0, 0.08]))
        assert twin.explain() == "the hand moved before the buttons turned green"


@pytest.mark.parametrize("task", ALL_TASKS, ids=lambda task: task.name)
def test_every_task_can_be_explained_in_words(task: Task) -> None:
    assert "measure" not in explained(task.name)


def test_every_suite_can_be_evaluated() -> None:
    names = [task.name for suite in SUITES.values() for task in suite]
    assert len(names) == len(set(names))
    assert all(name.isidentifier() for name in names)
