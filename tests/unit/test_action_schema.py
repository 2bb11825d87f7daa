"""Rows become targets and targets become the same rows; ids tell schemas apart."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_policy.core.action_schema import (
    EE_DELTA,
    EE_RELATIVE,
    JOINT_POSITION,
    MAX_TURN_RAD,
    SCHEMAS,
    ActionSchema,
    cartesian_steps,
    limited_step,
    rotations_from_vectors,
    rows_from_targets,
    schema_named,
    schema_with_id,
    targets_from_rows,
    turn_angles,
)
from mail_policy.core.frames import (
    make_transform,
    move_pose,
    pose_error,
    rotation_from_vector,
)
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics

ANCHOR = forward_kinematics(HOME_JOINT_POSITIONS)
CARTESIAN = (EE_DELTA, EE_RELATIVE)
schemas = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=lambda schema: schema.name)
cartesian = pytest.mark.parametrize("schema", CARTESIAN, ids=lambda schema: schema.name)


def for_any_seed(test: Callable[..., None]) -> Callable[..., None]:
    """Try many seeds. No deadline: a busy machine is no failure."""
    seeds = st.integers(min_value=0, max_value=2**32 - 1)
    return settings(deadline=None)(given(seed=seeds)(test))


def random_rows(schema: ActionSchema, seed: int, steps: int = 6) -> np.ndarray:
    """Return rows whose turns are anything that a row may hold."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0.0, 0.3, (steps, schema.size))
    if schema.is_cartesian:
        axes = values[:, 3:6] / np.linalg.norm(values[:, 3:6], axis=1, keepdims=True)
        values[:, 3:6] = axes * rng.uniform(0.0, 0.999 * MAX_TURN_RAD, (steps, 1))
    values[:, -1] = rng.uniform(0.0, 0.08, steps)
    return values


def random_anchor(seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, 1])
    return move_pose(ANCHOR, rng.normal(0.0, 0.5, 6))


@schemas
@for_any_seed
def test_rows_and_targets_are_inverses(schema: ActionSchema, seed: int) -> None:
    anchor, values = random_anchor(seed), random_rows(schema, seed)
    targets = targets_from_rows(schema, anchor, values)
    again = rows_from_targets(schema, anchor, targets, values[:, -1])
    np.testing.assert_allclose(again, values, atol=1e-9)
    np.testing.assert_allclose(targets_from_rows(schema, anchor, again), targets, atol=1e-9)


@cartesian
@for_any_seed
def test_targets_are_poses(schema: ActionSchema, seed: int) -> None:
    poses = targets_from_rows(schema, random_anchor(seed), random_rows(schema, seed))
    turns = poses[:, :3, :3]
    identities = np.broadcast_to(np.eye(3), turns.shape)
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), identities, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(turns), 1.0, atol=1e-9)
    np.testing.assert_array_equal(poses[:, 3], np.tile([0.0, 0.0, 0.0, 1.0], (len(poses), 1)))


def test_delta_rows_add_up_from_the_anchor() -> None:
    values = np.zeros((3, EE_DELTA.size))
    values[:, 0] = [0.01, 0.02, -0.005]
    poses = targets_from_rows(EE_DELTA, ANCHOR, values)
    np.testing.assert_allclose(poses[:, 0, 3] - ANCHOR[0, 3], [0.01, 0.03, 0.025])
    np.testing.assert_allclose(poses[:, :3, :3], np.broadcast_to(ANCHOR[:3, :3], (3, 3, 3)))


def test_delta_rotations_are_about_the_axes_of_the_base() -> None:
    values = np.zeros((2, EE_DELTA.size))
    values[:, 5] = np.pi / 4
    poses = targets_from_rows(EE_DELTA, ANCHOR, values)
    quarter_turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(poses[-1, :3, :3], quarter_turn @ ANCHOR[:3, :3], atol=1e-12)
    np.testing.assert_allclose(poses[-1, :3, 3], ANCHOR[:3, 3])


@for_any_seed
def test_delta_rows_move_a_pose_as_the_twin_does(seed: int) -> None:
    anchor, values = random_anchor(seed), random_rows(EE_DELTA, seed)
    pose = anchor
    for value, target in zip(values, targets_from_rows(EE_DELTA, anchor, values), strict=True):
        pose = move_pose(pose, value[:6])
        np.testing.assert_allclose(target, pose, atol=1e-12)


@for_any_seed
def test_relative_rows_are_poses_in_the_frame_of_the_anchor(seed: int) -> None:
    anchor, values = random_anchor(seed), random_rows(EE_RELATIVE, seed)
    for value, target in zip(values, targets_from_rows(EE_RELATIVE, anchor, values), strict=True):
        seen_from_anchor = make_transform(rotation_from_vector(value[3:6]), value[:3])
        np.testing.assert_allclose(target, anchor @ seen_from_anchor, atol=1e-12)


def test_a_relative_row_moves_along_the_hand_wherever_the_hand_points() -> None:
    sideways = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    anchor = make_transform(sideways, np.array([0.4, 0.0, 0.3]))
    forwards = np.zeros((1, EE_RELATIVE.size))
    forwards[0, 2] = 0.1
    (pose,) = targets_from_rows(EE_RELATIVE, anchor, forwards)
    np.testing.assert_allclose(pose[:3, 3], [0.5, 0.0, 0.3], atol=1e-12)


def test_joint_rows_need_no_anchor() -> None:
    values = np.column_stack([np.tile(HOME_JOINT_POSITIONS, (2, 1)), [0.08, 0.0]])
    targets = targets_from_rows(JOINT_POSITION, np.full((4, 4), np.nan), values)
    np.testing.assert_array_equal(targets, values[:, :7])


@cartesian
@pytest.mark.parametrize("turn_rad", [MAX_TURN_RAD + 0.01, np.pi])
def test_a_turn_whose_rotation_vector_is_a_matter_of_chance_is_refused(
    schema: ActionSchema, turn_rad: float
) -> None:
    turned = move_pose(ANCHOR, np.array([0.0, 0.0, 0.0, turn_rad, 0.0, 0.0]))
    with pytest.raises(ValueError, match=rf"{schema.name} cannot turn by 3\.\d\d rad"):
        rows_from_targets(schema, ANCHOR, turned[None], np.zeros(1))


@cartesian
@for_any_seed
def test_steps_are_the_distances_between_targets(schema: ActionSchema, seed: int) -> None:
    anchor, values = random_anchor(seed), random_rows(schema, seed)
    poses = np.concatenate([anchor[None], targets_from_rows(schema, anchor, values)])
    translations_m, rotations_rad = cartesian_steps(schema, values)
    for before, after, shift_m, turn_rad in zip(
        poses[:-1], poses[1:], translations_m, rotations_rad, strict=True
    ):
        error = pose_error(before, after)
        assert np.linalg.norm(error[:3]) == pytest.approx(shift_m, abs=1e-9)
        assert np.linalg.norm(error[3:]) == pytest.approx(turn_rad, abs=1e-7)


@for_any_seed
def test_a_limited_step_keeps_its_direction_and_its_limits(seed: int) -> None:
    step = np.random.default_rng(seed).normal(0.0, 0.1, (4, 6))
    limited = limited_step(step, 0.03, 0.15)
    for part, limit in ((slice(0, 3), 0.03), (slice(3, 6), 0.15)):
        before, after = (np.linalg.norm(s[:, part], axis=1) for s in (step, limited))
        np.testing.assert_allclose(after, np.minimum(before, limit))
        directions = step[:, part] / before[:, None]
        np.testing.assert_allclose(limited[:, part] / after[:, None], directions, atol=1e-9)


@pytest.mark.parametrize("angle_rad", [0.0, 1e-13, 1e-9, 1e-4, 1.0, 3.1, np.pi])
def test_rotation_matrices_of_many_vectors_at_once(angle_rad: float) -> None:
    axes = np.random.default_rng(0).normal(size=(5, 3))
    vectors = angle_rad * axes / np.linalg.norm(axes, axis=1, keepdims=True)
    rotations = rotations_from_vectors(vectors)
    one_by_one = [rotation_from_vector(vector) for vector in vectors]
    np.testing.assert_allclose(rotations, one_by_one, atol=1e-12)
    np.testing.assert_allclose(turn_angles(rotations), angle_rad, atol=1e-9)


def test_an_unknown_schema_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown action schema 'ee_dleta'; known: ee_delta, ee"):
        schema_named("ee_dleta")


@schemas
def test_an_id_names_its_schema(schema: ActionSchema) -> None:
    schema_id = schema.id_at(20.0)
    assert len(schema_id) <= 64
    assert schema_with_id(schema_id, 20.0) is schema


@schemas
@pytest.mark.parametrize(
    "change",
    [
        lambda s: {"units": (*s.units[:-1], "mm")},
        lambda s: {"units": tuple("deg" if unit == "rad" else unit for unit in s.units)},
        lambda s: {"names": (s.names[-1], *s.names[:-1])},
        lambda s: {"names": s.names[1:], "units": s.units[1:]},
        lambda s: {"frame": "camera"},
        lambda s: {"counted_from": "the wall"},
    ],
    ids=["millimetres", "degrees", "order", "length", "frame", "reference"],
)
def test_every_part_of_the_content_is_in_the_id(schema: ActionSchema, change: object) -> None:
    other = replace(schema, **change(schema))  # type: ignore[operator]
    assert other.name == schema.name
    with pytest.raises(ValueError, match="has other names, units, frame or rate"):
        schema_with_id(other.id_at(20.0), 20.0)


@schemas
@pytest.mark.parametrize("schema_id", ["{}", "{}:", "{}:00000000", "{}:{}"])
def test_a_name_without_the_right_hash_is_refused(schema: ActionSchema, schema_id: str) -> None:
    with pytest.raises(ValueError, match="has other names"):
        schema_with_id(schema_id.replace("{}", schema.name), 20.0)


def test_a_policy_of_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="at 20 Hz"):
        schema_with_id(EE_DELTA.id_at(10.0), 20.0)


def test_ids_do_not_change_from_release_to_release() -> None:
    """Checkpoints and recorded chunks carry them."""
    assert [schema.id_at(20.0) for schema in SCHEMAS.values()] == [
        "ee_delta:7de031e5",
        "ee_relative:0a0e6027",
        "joint_position:da532760",
    ]
