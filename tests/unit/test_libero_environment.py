"""LIBERO as an environment: units, pictures, initial states, success, and what is missing."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from data_collection.libero_layout import STEP_AT_ONE, ImageConvention, rows_from_actions
from mail_policy.data.normalisation import statistics_of
from mail_policy.evaluation.libero_environment_driver import (
    LiberoEnvironment,
    LiberoError,
    LiberoView,
    action_from_row,
    tasks_of,
)
from mail_policy.evaluation.libero_protocol import (
    LIBERO,
    MAIL,
    OPENPI,
    PROTOCOLS,
    LiberoProtocol,
    Suite,
)
from tests.unit import libero_rig as rig
from tests.unit.test_architecture import LIBRARIES, NODES, modules_imported_by, python_files

STAY = np.array([0, 0, 0, 0, 0, 0, 0.08])
FORWARD = np.array([0.05, 0, 0, 0, 0, 0, 0.08])


@pytest.fixture(autouse=True)
def paths_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return rig.install(monkeypatch, tmp_path)


def opened(protocol: LiberoProtocol = MAIL, task: int = 0, **options) -> LiberoEnvironment:
    return LiberoEnvironment(Suite.GOAL, task, protocol, **options)


def world() -> rig.World:
    return rig.World.opened[-1]


def test_the_file_of_paths_is_there_before_libero_asks_for_it(paths_folder: Path) -> None:
    tasks_of(Suite.GOAL)
    paths = yaml.safe_load((paths_folder / "config.yaml").read_text())
    assert set(paths) == {"benchmark_root", "bddl_files", "init_states", "datasets", "assets"}
    assert Path(paths["init_states"]).is_dir()


def test_a_file_of_paths_that_is_there_stays(paths_folder: Path) -> None:
    paths_folder.mkdir()
    (paths_folder / "config.yaml").write_text("init_states: /mine\n")
    tasks_of(Suite.GOAL)
    assert (paths_folder / "config.yaml").read_text() == "init_states: /mine\n"


def test_tasks_are_named_by_their_files() -> None:
    sentences = [task.sentence for task in tasks_of(Suite.GOAL)]
    assert sentences == ["push the block forward", "push the block far"]


def test_the_task_and_the_size_of_pictures_are_chosen() -> None:
    opened(task=1, view=LiberoView(height=64, width=96))
    arguments = world().arguments
    assert arguments["bddl_file_name"].endswith(f"bddl_files/libero_goal/{rig.TASKS[1]}.bddl")
    assert (arguments["camera_heights"], arguments["camera_widths"]) == (64, 96)


@pytest.mark.parametrize(
    ("protocol", "steps", "gripper"), [(MAIL, 5, -1), (LIBERO, 5, 0), (OPENPI, 10, -1)]
)
def test_an_episode_begins_at_a_fixed_state_and_settles(
    protocol: LiberoProtocol, steps: int, gripper: float
) -> None:
    environment = opened(protocol, seed=2)
    for state in (3, 17, 3):
        world().calls.clear()
        observation = environment.reset(state)
        before, settling = world().calls[:3], world().calls[3:]
        assert before == [("seed", 2), "reset", ("state", pytest.approx(0.001 * state))]
        np.testing.assert_array_equal(settling, [[0] * 6 + [gripper]] * steps)
        assert observation.captured_at_s == 0.0
        assert observation.joint_positions[0] == pytest.approx(0.001 * state)


def test_a_step_is_scaled_to_the_controllers_range_and_takes_a_twentieth_of_a_second() -> None:
    environment = opened()
    environment.reset(0)
    observation = environment.step(np.array([0.05, -0.025, 0.0, 0.5, -0.25, 0.1, 0.0]))
    np.testing.assert_allclose(world().calls[-1], [1, -0.5, 0, 1, -0.5, 0.2, 1], atol=1e-12)
    assert observation.captured_at_s == pytest.approx(0.05)
    assert observation.joint_positions[0] == pytest.approx(0.05)
    # The fingers were open at 0.08 m and have begun to close.
    assert observation.gripper_width_m == pytest.approx(0.06)


def test_a_step_beyond_the_range_is_cut_as_robosuite_would() -> None:
    action = action_from_row(np.array([0.2, -0.2, 0.0, 5.0, 0.0, 0.0, 0.08]))
    np.testing.assert_array_equal(action, [1, -1, 0, 1, 0, 0, -1])


def test_the_gripper_changes_its_mind_half_open() -> None:
    signs = [np.sign(action_from_row(np.append(np.zeros(6), w))[6]) for w in (0.0, 0.039, 0.041)]
    assert signs == [1, 1, -1]


def published_actions() -> np.ndarray:
    rng = np.random.default_rng(5)
    actions = rng.uniform(-1, 1, (400, 7)) * [1, 0.7, 1, 0.1, 0.2, 0.3, 1]
    actions[:, 6] = np.where(rng.random(400) < 0.4, 1.0, -1.0)
    return actions


def test_actions_come_back_from_our_units() -> None:
    actions = published_actions()
    rows = rows_from_actions(actions, np.array(STEP_AT_ONE))
    back = np.array([action_from_row(row) for row in rows])
    np.testing.assert_allclose(back, actions, atol=1e-12)


def test_scaling_to_unit_spread_undoes_the_change_of_units() -> None:
    """A policy learns the same numbers as the published code, but for the gripper's sign."""
    actions = published_actions()
    rows = rows_from_actions(actions, np.array(STEP_AT_ONE))
    ours = statistics_of(rows)
    mean, std = actions.mean(axis=0), actions.std(axis=0)
    sign = np.array([1, 1, 1, 1, 1, 1, -1])
    np.testing.assert_allclose(ours.normalise(rows), sign * (actions - mean) / std, atol=2e-6)
    # And whatever the policy answers reaches robosuite as it would have there.
    answers = np.random.default_rng(6).normal(size=(300, 7)).astype(np.float32)
    restored = ours.restore((sign * answers).astype(np.float32))
    reached = np.array([action_from_row(row) for row in restored])
    np.testing.assert_allclose(reached, (answers * std + mean).clip(-1, 1), atol=1e-6)


def test_pictures_are_upright_unless_a_policy_wants_them_otherwise() -> None:
    upright = rig.picture(np.zeros(3))
    wanted = {
        ImageConvention.UPRIGHT: upright,
        ImageConvention.OPENGL: upright[::-1],
        # What OpenVLA, openpi and LeRobot do with what LIBERO draws.
        ImageConvention.ROT180: upright[::-1][::-1, ::-1],
    }
    for convention, image in wanted.items():
        observation = opened(view=LiberoView(convention=convention)).reset(0)
        np.testing.assert_array_equal(observation.images["agentview"], image)
        np.testing.assert_array_equal(observation.images["wrist"], image // 2)
        assert observation.images["wrist"].flags.c_contiguous


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=list(PROTOCOLS))
def test_success_is_kept_until_the_next_reset(protocol: LiberoProtocol) -> None:
    environment = opened(protocol)
    environment.reset(0)
    for _ in range(5):
        environment.step(FORWARD)
        assert not environment.success()
    environment.step(FORWARD)
    assert environment.success()
    environment.step(-FORWARD + 2 * STAY)
    environment.step(-FORWARD + 2 * STAY)
    assert not world().check_success()
    assert environment.success()
    environment.reset(0)
    assert not environment.success()


def test_mails_success_is_a_reward_of_one_and_nothing_less() -> None:
    environment = opened(MAIL)
    environment.reset(0)
    world().reward_scale = 0.5
    for _ in range(8):
        environment.step(FORWARD)
    assert world().check_success()
    assert not environment.success()


def test_the_renderer_is_freed_also_after_an_error() -> None:
    with pytest.raises(LiberoError, match="not joint positions"), opened() as environment:
        environment.step_joints(np.zeros(8))
    assert not world().is_open


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(LiberoError, match="has tasks 0 to 1, got 2"):
        opened(task=2)
    shutil.rmtree(tmp_path / "site" / "libero" / "libero" / "assets")
    with pytest.raises(LiberoError, match="meshes are missing"):
        opened()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LiberoError, match=r"pip install -e '\.\[libero\]'"):
        tasks_of(Suite.GOAL)


def test_only_the_driver_knows_libero() -> None:
    knowing = {
        file.name
        for file in python_files((*LIBRARIES, *NODES))
        for module in modules_imported_by(file.read_text())
        if module.split(".")[0] in {"libero", "robosuite"}
    }
    assert knowing == {"libero_environment_driver.py"}
