"""The directly stepped world: determinism, actions, success, pictures."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest

from mail_policy.core.frames import Array
from mail_sim.world.hand import HandState, advance, choose_goal
from mail_sim.world.layout import Place
from mail_sim.world.tasks import TASKS, is_released, task_for
from mail_sim.world.world import PERIOD_S, World, WorldError

STAY = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.08])


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(render=False) as world:
        yield world


def state_hash(world: World) -> str:
    return hashlib.sha256(world.data.qpos.tobytes() + world.data.qvel.tobytes()).hexdigest()


def wander(world: World, seed: int) -> str:
    random = np.random.default_rng(seed)
    world.reset(seed)
    for _ in range(20):
        world.step(np.append(random.uniform(-0.01, 0.01, 6), random.uniform(0.0, 0.08)))
    return state_hash(world)


def test_the_same_seed_and_actions_give_the_same_state(world: World) -> None:
    first = wander(world, 4)
    wander(world, 5)
    assert wander(world, 4) == first
    with World(render=False) as another:
        assert wander(another, 4) == first


def test_another_seed_gives_another_state(world: World) -> None:
    assert wander(world, 4) != wander(world, 6)


def test_a_step_takes_one_period(world: World) -> None:
    began_s = world.reset(0).captured_at_s
    for k in range(1, 4):
        assert world.step(STAY).captured_at_s == pytest.approx(began_s + k * PERIOD_S, abs=1e-9)
    assert (began_s / PERIOD_S) % 1.0 == pytest.approx(0.0, abs=1e-6)


def test_the_arm_reaches_the_commanded_pose_one_period_later(world: World) -> None:
    world.reset(0)
    before = world.commanded_pose
    for _ in range(10):
        world.step(np.array([0.0, -0.008, 0.004, 0.0, 0.0, 0.05, 0.08]))
    np.testing.assert_allclose(
        world.commanded_pose[:3, 3] - before[:3, 3], [0.0, -0.08, 0.04], atol=1e-9
    )
    np.testing.assert_allclose(world.tcp_pose[:3, 3], world.commanded_pose[:3, 3], atol=2e-3)
    np.testing.assert_allclose(world.tcp_pose[:3, :3], world.commanded_pose[:3, :3], atol=2e-2)


def test_rows_add_to_the_commanded_pose_and_not_to_the_measured_one(world: World) -> None:
    world.reset(0)
    start = world.commanded_pose
    for _ in range(40):
        world.step(STAY)
    np.testing.assert_array_equal(world.commanded_pose, start)


def test_a_command_against_the_table_stops_at_the_end_of_its_leash(world: World) -> None:
    world.reset(0)
    for _ in range(60):
        world.step(np.array([0.0, 0.0, -0.0125, 0.0, 0.0, 0.0, 0.0]))
    lead_m = np.linalg.norm(world.commanded_pose[:3, 3] - world.tcp_pose[:3, 3])
    assert 0.01 < lead_m < 0.075


@pytest.mark.parametrize("action", [np.zeros(6), np.full(7, np.nan), np.zeros((2, 7))])
def test_a_malformed_action_is_refused(world: World, action: Array) -> None:
    world.reset(0)
    with pytest.raises(WorldError, match="action must be 7 finite numbers"):
        world.step(action)


def test_nothing_works_before_the_first_reset() -> None:
    with World(render=False) as fresh:
        for call in (fresh.observe, fresh.success, fresh.measure, lambda: fresh.step(STAY)):
            with pytest.raises(WorldError, match="call reset first"):
                call()


def test_success_is_kept_until_the_reset(world: World) -> None:
    world.reset(0)
    assert not world.success()
    slide = world.data.joint("top_drawer_slide")
    slide.qpos[0] = 0.16
    world.step(STAY)
    assert world.success()
    assert world.measure() == pytest.approx(0.16, abs=5e-3)
    slide.qpos[0] = 0.02
    world.step(STAY)
    assert world.success()
    world.reset(0)
    assert not world.success()


def test_pictures_are_asked_for_only_where_there_are_some(world: World) -> None:
    assert world.reset(0).images == {}
    with pytest.raises(WorldError, match="render=True"):
        world.image("agentview")


def test_pictures_show_what_moves_and_repeat_exactly() -> None:
    with World(image_size=64) as world:
        first = world.reset(2).images
        assert {name: image.shape for name, image in first.items()} == {
            "agentview": (64, 64, 3),
            "wrist": (64, 64, 3),
        }
        for image in first.values():
            assert image.dtype == np.uint8
            assert image.std() > 10
        for _ in range(10):
            moved = world.step(np.array([0.0, 0.0, -0.01, 0.0, 0.0, 0.0, 0.0])).images
        again = world.reset(2).images
        for name, image in first.items():
            assert (moved[name] != image).any()
            np.testing.assert_array_equal(again[name], image)


def put(world: World, name: str, place: Place, height_m: float) -> None:
    """Put a block somewhere and let it settle."""
    joint = world.data.joint(f"{name}_free")
    joint.qpos[:3] = (place.x_m, place.y_m, height_m)
    joint.qpos[3:] = (1.0, 0.0, 0.0, 0.0)
    joint.qvel[:] = 0.0
    for _ in range(8):
        world.step(STAY)


def succeeded(world: World, name: str) -> bool:
    task = next(task for task in TASKS if task.name == name)
    return task.succeeded(world.model, world.data)


def test_a_block_in_the_bowl_counts_and_one_beside_it_does_not(world: World) -> None:
    world.reset(1)
    bowl = world.layout.objects["bowl"] if world.layout else None
    assert bowl is not None
    put(world, "red_block", Place(bowl.x_m, bowl.y_m, 0.0), 0.04)
    assert succeeded(world, "red_in_bowl")
    assert not succeeded(world, "blue_in_bowl")
    put(world, "red_block", Place(bowl.x_m + 0.12, bowl.y_m - 0.1, 0.0), 0.02)
    assert not succeeded(world, "red_in_bowl")


def test_a_stacked_block_counts_and_the_other_way_round_does_not(world: World) -> None:
    world.reset(1)
    blue = world.data.body("blue_block").xpos.copy()
    world.data.joint("blue_block_free").qpos[3:] = (1.0, 0.0, 0.0, 0.0)
    put(world, "red_block", Place(blue[0], blue[1], 0.0), 0.061)
    assert succeeded(world, "stack_red_on_blue")
    world.reset(1)
    red = world.data.body("red_block").xpos.copy()
    put(world, "blue_block", Place(red[0], red[1], 0.0), 0.061)
    assert not succeeded(world, "stack_red_on_blue")


def test_a_block_on_the_cabinet_counts(world: World) -> None:
    world.reset(1)
    cabinet = world.data.body("cabinet").xpos
    put(world, "red_block", Place(cabinet[0], cabinet[1], 0.0), 0.256)
    assert succeeded(world, "red_on_cabinet")


def test_a_block_in_the_drawer_counts_and_under_it_does_not(world: World) -> None:
    world.reset(1)
    world.data.joint("top_drawer_slide").qpos[0] = 0.16
    world.step(STAY)
    drawer = world.data.body("top_drawer")
    spot = drawer.xpos + drawer.xmat.reshape(3, 3) @ [-0.04, 0.0, 0.0]
    put(world, "red_block", Place(spot[0], spot[1], 0.0), 0.16)
    assert succeeded(world, "red_in_top")
    assert succeeded(world, "open_and_red_in_top")
    world.data.joint("top_drawer_slide").qpos[0] = 0.10
    world.data.joint("top_drawer_slide").qvel[0] = 0.0
    assert not succeeded(world, "open_and_red_in_top")
    put(world, "red_block", Place(0.45, -0.15, 0.0), 0.02)
    assert not succeeded(world, "red_in_top")


def test_a_block_between_the_fingers_is_not_released(world: World) -> None:
    world.reset(1)
    put(world, "red_block", Place(0.45, -0.15, 0.0), 0.02)
    assert is_released(world.model, world.data, "red_block")
    tcp = world.tcp_pose[:3, 3]
    joint = world.data.joint("red_block_free")
    for _ in range(16):  # The fingers close around a block that is held in the air.
        joint.qpos[:3], joint.qvel[:] = tcp, 0.0
        world.step(np.zeros(7))
    assert world.gripper_width_m == pytest.approx(0.04, abs=4e-3)
    assert not is_released(world.model, world.data, "red_block")


def test_sentences_and_names_find_their_task() -> None:
    for task in TASKS:
        assert task_for(task.sentence) is task
        assert task_for(task.name) is task
    assert task_for("  Open the TOP drawer of the cabinet. ") is TASKS[0]
    assert len({task.sentence for task in TASKS}) == 10


def test_an_unknown_sentence_is_refused_with_the_nearest_ones() -> None:
    with pytest.raises(ValueError, match="did you mean: open the top drawer of the cabinet"):
        task_for("open the top drawer")


def test_the_hand_keeps_its_command_between_the_thresholds() -> None:
    state = HandState()
    assert choose_goal(state, 0.04).goal_m == 0.08
    closing = choose_goal(state, 0.029)
    assert closing.goal_m == 0.0
    assert choose_goal(closing, 0.049).goal_m == 0.0
    assert choose_goal(closing, 0.051).goal_m == 0.08


def test_the_hand_moves_no_faster_than_the_real_one() -> None:
    state = choose_goal(HandState(), 0.0)
    assert advance(state, 0.05).target_m == pytest.approx(0.075)
    assert advance(state, 10.0).target_m == 0.0
