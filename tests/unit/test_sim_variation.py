"""Varied looks, and the pictures they are seen in."""

import mujoco
import numpy as np
import pytest

from mail_policy.core.types import Observation
from mail_sim.world.demonstration import demonstrate
from mail_sim.world.experts import Expert
from mail_sim.world.scene import CAMERAS
from mail_sim.world.tasks import TASKS
from mail_sim.world.variation import Variation
from mail_sim.world.world import World

ALL = Variation(camera=True, light=True, texture=True)
SIZE = 64


def first_look(variation: Variation | None, seed: int, played_before: int = 0) -> Observation:
    with World(TASKS[0], image_size=SIZE, variation=variation) as world:
        for other in range(played_before):
            world.reset(other)
        return world.reset(seed)


def assert_same_pictures(one: Observation, other: Observation) -> None:
    for camera in CAMERAS:
        np.testing.assert_array_equal(one.images[camera], other.images[camera])


@pytest.mark.parametrize("kind", ["camera", "light", "texture"])
def test_each_kind_changes_both_pictures(kind: str) -> None:
    plain, varied = first_look(None, 4), first_look(Variation.parse(kind), 4)
    for camera in CAMERAS:
        change = np.abs(plain.images[camera].astype(int) - varied.images[camera].astype(int))
        assert change.mean() > 1.0, camera


def test_nothing_varies_by_default() -> None:
    assert_same_pictures(first_look(None, 4), first_look(Variation(), 4))


def test_a_seed_has_one_look_whatever_was_played_before() -> None:
    assert_same_pictures(first_look(ALL, 4), first_look(ALL, 4, played_before=3))
    with pytest.raises(AssertionError):
        assert_same_pictures(first_look(ALL, 4), first_look(ALL, 5))


def test_a_kind_keeps_its_look_when_another_one_joins_it() -> None:
    worlds = [
        World(variation=Variation.parse(text), render=False) for text in ("light", "light,camera")
    ]
    for world in worlds:
        world.reset(9)
    one, other = worlds
    np.testing.assert_array_equal(one.model.light_pos, other.model.light_pos)
    assert (one.model.cam_pos != other.model.cam_pos).any()


def test_looks_do_not_change_what_the_expert_does() -> None:
    ends = []
    for variation in (None, ALL):
        with World(TASKS[2], render=False, variation=variation) as world:
            demonstrate(world, 6, noise=0.25)
            ends.append(world.data.qpos.copy())
    np.testing.assert_array_equal(*ends)


def test_tasks_keep_the_colours_that_they_name() -> None:
    world = World(variation=ALL, render=False)
    before = {name: world.model.material(name).rgba.copy() for name in ("red_paint", "blue_paint")}
    world.reset(3)
    for name, rgba in before.items():
        np.testing.assert_array_equal(world.model.material(name).rgba, rgba)


def test_words_name_kinds_and_unknown_ones_are_refused() -> None:
    assert Variation.parse(" camera, texture") == Variation(camera=True, texture=True)
    assert Variation.parse("") == Variation()
    assert Variation.parse(str(ALL)) == ALL
    with pytest.raises(ValueError, match="must be of camera, light, texture, got 'weather'"):
        Variation.parse("camera,weather")


def test_leaving_out_what_no_camera_sees_changes_no_pixel() -> None:
    with World(TASKS[0], image_size=SIZE, variation=ALL) as world:
        everything = mujoco.Renderer(world.model, SIZE, SIZE)
        everything.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        everything.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        for seed in range(3):
            world.reset(seed)
            expert = Expert(world)
            for _ in range(8):
                for _ in range(5):
                    observation = world.step(expert.act())
                for camera, image in observation.images.items():
                    everything.update_scene(world.data, camera=camera)
                    np.testing.assert_array_equal(everything.render(), image)
        everything.close()
