"""The memory tasks: what is shown, what counts, and that the decision cannot be read off."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from mail_policy.core.frames import Array
from mail_policy.core.types import Observation
from mail_policy.evaluation.seeds import FIRST_EVALUATION_SEED
from mail_sim.world.buttons import BUTTONS, ButtonWatch
from mail_sim.world.demonstration import demonstrate
from mail_sim.world.experts import Expert
from mail_sim.world.layout import SceneLayout, sample_arm_start, sample_button_layout
from mail_sim.world.memory_tasks import CUE_STEPS, GREEN_STEP, MEMORY_TASKS, REST_STEPS
from mail_sim.world.scene import CAMERAS
from mail_sim.world.servo import Servo
from mail_sim.world.suites import SUITES, initial_state_seeds
from mail_sim.world.tasks import TASKS, task_for
from mail_sim.world.world import World

CUED, TWICE = MEMORY_TASKS
STAY = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.08])
OTHER = {"left": "right", "right": "left"}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(CUED, render=False) as world:
        yield world


def begin(world: World, seed: int, cued: str) -> Observation:
    """Begin the episode of a seed with the cue of our choice."""
    layout = replace(sample_button_layout(seed), cued_button=cued)
    return world.reset_to(layout, sample_arm_start(seed))


def wait_for_green(world: World) -> None:
    for _ in range(GREEN_STEP):
        world.step(STAY)


def go(world: World, servo: Servo, place: Array, done: Callable[[], bool]) -> None:
    """Move the hand towards a place until something has happened."""
    for _ in range(120):
        pose = world.commanded_pose
        pose[:3, 3] = place
        step = servo.step_towards(pose, world.commanded_pose, world.commanded_joints)
        world.step(np.append(step, 0.08))
        if done():
            return
    raise AssertionError(f"nothing happened on the way to {place}")


def press(world: World, button: str) -> None:
    """Bring the TCP down onto a button, then up until it is released."""
    servo, place = Servo(), BUTTONS[button]
    go(world, servo, np.append(place, 0.075), lambda: bool(world.tcp_pose[2, 3] < 0.09))
    go(world, servo, np.append(place, 0.20), lambda: bool(world.tcp_pose[2, 3] > 0.17))


def rest(world: World) -> None:
    for _ in range(REST_STEPS + 5):
        world.step(STAY)


@pytest.mark.parametrize("task", MEMORY_TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("seed", range(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + 2))
def test_experts_succeed_though_they_are_disturbed(world: World, task: object, seed: int) -> None:
    world.task = task  # type: ignore[assignment]
    assert demonstrate(world, seed, noise=0.25).success


def test_the_suite_of_memory_is_apart_from_the_ten_tasks() -> None:
    assert SUITES["memory"] == MEMORY_TASKS
    assert not set(MEMORY_TASKS) & set(SUITES["drawers10"])
    assert len(SUITES["drawers10"]) == len(TASKS) == 10
    assert task_for("Press the button that lit up.") is CUED


def test_each_answer_is_right_as_often_as_the_other() -> None:
    for seeds in (range(50), initial_state_seeds()):
        answers = [sample_button_layout(seed).cued_button for seed in seeds]
        assert answers.count("left") == answers.count("right") == 25
        # Neither always the even seeds nor always the odd ones.
        assert 5 < answers[::2].count("left") < 20


def test_pictures_joints_and_labels_do_not_reveal_the_answer_once_the_cue_is_gone() -> None:
    with World(CUED, image_size=96) as world:
        shown = {}
        for cued in BUTTONS:
            seen = [begin(world, 8, cued)]
            expert, labels = Expert(world), []
            for _ in range(GREEN_STEP + 1):
                labels.append(expert.act())
                seen.append(world.step(labels[-1]))
            shown[cued] = (seen, labels)
    (left, left_labels), (right, right_labels) = shown["left"], shown["right"]
    for step in range(GREEN_STEP + 1):
        same = {
            camera: np.array_equal(left[step].images[camera], right[step].images[camera])
            for camera in CAMERAS
        }
        assert same == dict.fromkeys(CAMERAS, step >= CUE_STEPS), f"step {step}"
        np.testing.assert_array_equal(left[step].joint_positions, right[step].joint_positions)
    for step in range(GREEN_STEP):
        np.testing.assert_array_equal(left_labels[step], right_labels[step])
    assert (left_labels[GREEN_STEP] != right_labels[GREEN_STEP]).any()


def test_the_cue_is_large_in_the_picture() -> None:
    with World(CUED, image_size=96) as world:
        lit = {cued: begin(world, 3, cued).images["agentview"].astype(int) for cued in BUTTONS}
    changed = np.abs(lit["left"] - lit["right"]).max(axis=2) > 60
    assert changed.sum() > 60


def test_the_cued_button_counts_and_the_other_one_ends_all_hope(world: World) -> None:
    world.task = CUED
    for pressed in BUTTONS:
        begin(world, 1, "left")
        wait_for_green(world)
        press(world, pressed)
        assert world.success() == (pressed == "left")
        assert bool(world.failure()) == (pressed != "left")
    press(world, "left")
    assert not world.success()
    assert world.failure() == "the other button was pressed"


def test_a_hand_that_marks_the_answer_before_the_green_light_has_failed(world: World) -> None:
    world.task = CUED
    begin(world, 1, "left")
    for _ in range(12):
        world.step(np.array([0.0, 0.0125, 0.0, 0.0, 0.0, 0.0, 0.08]))
    assert world.failure() == "the hand moved before the buttons turned green"


@pytest.mark.parametrize(
    ("presses", "success", "failure"),
    [
        (("right",), False, "the button was pressed only once"),
        (("right", "right"), True, ""),
        (("right", "right", "right"), False, "the button was pressed more than 2 times"),
        (("right", "left"), False, "the left button was pressed"),
    ],
)
def test_two_presses_are_neither_one_nor_three(
    world: World, presses: tuple[str, ...], success: bool, failure: str
) -> None:
    world.task = TWICE
    world.reset(2)
    for button in presses:
        press(world, button)
    rest(world)
    assert (world.success(), world.failure()) == (success, failure)


def test_the_arm_looks_the_same_after_the_first_and_the_second_press(world: World) -> None:
    world.task = TWICE
    turns = []
    for seed in range(4):
        world.reset(seed)
        expert, stages = Expert(world), ["above"]
        while stages[-1] != "rest":
            action = expert.act()
            if stages[-1] == "rise" != expert.stage:
                turns.append(world.data.qpos[:7].copy())
            stages.append(expert.stage)
            world.step(action)
    assert len(turns) == 8
    first, second = np.array(turns[::2]), np.array(turns[1::2])
    # Milliradians, without any disturbance; with those of a collection they drown in it.
    assert np.abs((second - first).mean(axis=0)).max() < 0.005


def test_a_hand_that_never_presses_has_neither_succeeded_nor_failed(world: World) -> None:
    world.task = TWICE
    world.reset(2)
    rest(world)
    assert (world.success(), world.failure()) == (False, "")


def test_a_held_button_counts_once() -> None:
    watch = ButtonWatch()
    heights_m = (0.2, 0.09, 0.07, 0.10, 0.08, 0.17, 0.09)
    seen = [watch.newly_pressed(np.append(BUTTONS["left"], height)) for height in heights_m]
    assert seen == [None, "left", None, None, None, None, "left"]


def test_objects_leave_the_buttons_free() -> None:
    for seed in range(200):
        layout: SceneLayout = sample_button_layout(seed)
        for place in layout.objects.values():
            for button in BUTTONS.values():
                assert np.hypot(place.x_m - button[0], place.y_m - button[1]) > 0.14
