"""The scene of the twin, in both ways of running it."""

import xml.etree.ElementTree as ET
from typing import Any

import mujoco
import numpy as np
import pytest
from franky_sim.mujoco_simulator import MujocoSimulator

from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_policy.evaluation.seeds import FIRST_EVALUATION_SEED
from mail_sim.world.graphics import GraphicsError, choose_graphics, require_graphics
from mail_sim.world.layout import (
    DRAWERS,
    OBJECTS,
    apply_layout,
    sample_arm_start,
    sample_layout,
)
from mail_sim.world.meshes import Mesh, merge_vertices, read_obj
from mail_sim.world.scene import ARM_JOINTS, CAMERAS, PREFIX, direct_scene_xml, furnish
from mail_sim.world.tasks import TASKS, drawer_opening_m
from mail_sim.world.visible_state import show_state, visible_state


@pytest.fixture(scope="module")
def model() -> Any:
    return mujoco.MjModel.from_xml_string(direct_scene_xml())


def furnished_model() -> Any:
    """Build the scene as the twin's server does."""
    simulator = MujocoSimulator()
    simulator.add_robot(initial_q=tuple(HOME_JOINT_POSITIONS))
    furnish(simulator)
    return mujoco.MjModel.from_xml_string(ET.tostring(simulator.scene, encoding="unicode"))


def test_our_kinematics_are_those_of_the_simulated_arm(model: Any) -> None:
    data = mujoco.MjData(model)
    random = np.random.default_rng(0)
    for _ in range(20):
        q = HOME_JOINT_POSITIONS + random.uniform(-0.6, 0.6, 7)
        data.qpos[:7] = q
        mujoco.mj_kinematics(model, data)
        hand = data.body(f"{PREFIX}hand")
        rotation, tcp = hand.xmat.reshape(3, 3), forward_kinematics(q)
        np.testing.assert_allclose(tcp[:3, :3], rotation, atol=1e-6)
        np.testing.assert_allclose(tcp[:3, 3], hand.xpos + 0.1034 * rotation[:, 2], atol=1e-6)


def test_both_ways_of_running_have_the_same_state(model: Any) -> None:
    other = furnished_model()
    assert (other.nq, other.nv, other.nmocap) == (model.nq, model.nv, model.nmocap)
    names = [model.joint(i).name for i in range(model.njnt)]
    assert [other.joint(i).name for i in range(other.njnt)] == names
    assert tuple(names[:7]) == ARM_JOINTS
    assert set(CAMERAS) <= {other.camera(i).name for i in range(other.ncam)}
    np.testing.assert_allclose(other.body_mass, model.body_mass)
    np.testing.assert_allclose(other.geom_friction, model.geom_friction)


def test_the_direct_scene_holds_the_arm_against_gravity(model: Any) -> None:
    data = mujoco.MjData(model)
    data.qpos[:7] = data.ctrl[:7] = HOME_JOINT_POSITIONS
    apply_layout(model, data, sample_layout(0))
    mujoco.mj_step(model, data, 500)
    np.testing.assert_allclose(data.qpos[:7], HOME_JOINT_POSITIONS, atol=1e-3)


def test_things_stay_where_the_layout_puts_them(model: Any) -> None:
    for seed in range(5):
        data = mujoco.MjData(model)
        data.qpos[:7] = data.ctrl[:7] = HOME_JOINT_POSITIONS
        layout = sample_layout(seed)
        apply_layout(model, data, layout)
        mujoco.mj_step(model, data, 500)
        for name in OBJECTS:
            place, position = layout.objects[name], data.body(name).xpos
            assert np.hypot(*(position[:2] - (place.x_m, place.y_m))) < 2e-3
        for drawer in DRAWERS:
            assert drawer_opening_m(data, drawer) == pytest.approx(
                layout.openings_m[drawer], abs=1e-3
            )
        position = data.body("cabinet").xpos
        assert position[:2].tolist() == pytest.approx([layout.cabinet.x_m, layout.cabinet.y_m])


def test_a_layout_leaves_the_arm_alone(model: Any) -> None:
    data = mujoco.MjData(model)
    data.qpos[:9] = np.arange(9.0)
    data.qvel[:9] = 1.0
    apply_layout(model, data, sample_layout(3))
    assert data.qpos[:9].tolist() == list(range(9))
    assert data.qvel[:9].tolist() == [1.0] * 9


def test_a_layout_is_the_same_for_the_same_seed_only() -> None:
    assert sample_layout(7) == sample_layout(7)
    assert sample_layout(7) != sample_layout(8)
    assert sample_layout(7) != sample_layout(FIRST_EVALUATION_SEED + 7)
    np.testing.assert_array_equal(sample_arm_start(7), sample_arm_start(7))
    with pytest.raises(ValueError, match="seed must not be negative, got -1"):
        sample_layout(-1)


def test_no_task_is_done_at_the_start_so_the_layout_gives_none_away(model: Any) -> None:
    data = mujoco.MjData(model)
    for seed in range(40):
        apply_layout(model, data, sample_layout(seed))
        mujoco.mj_forward(model, data)
        assert [task.name for task in TASKS if task.succeeded(model, data)] == []


def test_the_visible_state_is_all_that_a_picture_needs(model: Any) -> None:
    data, copy = mujoco.MjData(model), mujoco.MjData(furnished_model())
    data.qpos[:7] = sample_arm_start(5)
    apply_layout(model, data, sample_layout(5))
    mujoco.mj_forward(model, data)
    show_state(copy.model, copy, visible_state(data))
    np.testing.assert_allclose(copy.geom_xpos, data.geom_xpos, atol=1e-12)
    np.testing.assert_allclose(copy.cam_xpos, data.cam_xpos, atol=1e-12)


def test_merging_keeps_the_outline_and_drops_most_faces() -> None:
    side = np.linspace(-0.05, 0.05, 41)
    x, y = np.meshgrid(side, side, indexing="ij")
    corner = (np.arange(40)[:, None] * 41 + np.arange(40)).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + 41], 1),
            np.stack([corner + 1, corner + 42, corner + 41], 1),
        ]
    )
    fine = Mesh(np.stack([x.ravel(), y.ravel(), 0.02 * np.cos(30 * x.ravel())], 1), faces)
    coarse = merge_vertices(fine, 0.01)
    assert 0 < len(coarse.faces) < 0.15 * len(fine.faces)
    assert coarse.faces.max() < len(coarse.vertices)
    np.testing.assert_allclose(coarse.vertices.min(0), fine.vertices.min(0), atol=0.01)
    np.testing.assert_allclose(coarse.vertices.max(0), fine.vertices.max(0), atol=0.01)


def test_obj_polygons_become_triangles() -> None:
    mesh = read_obj("# c\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvn 0 0 1\nf 1//1 2//1 3//1 4//1\n")
    assert mesh.vertices.shape == (4, 3)
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_missing_graphics_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr("mail_sim.world.graphics.ctypes.CDLL", refuse)
    monkeypatch.setenv("MUJOCO_GL", "egl")
    choose_graphics()
    with pytest.raises(GraphicsError, match="apt install libegl1"):
        require_graphics()
