"""Which chunks may move the arm."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_policy.core.action_schema import (
    EE_DELTA,
    EE_RELATIVE,
    JOINT_POSITION,
    SCHEMAS,
    ActionSchema,
    cartesian_steps,
    rows_from_targets,
    targets_from_rows,
)
from mail_policy.core.kinematics import (
    HOME_JOINT_POSITIONS,
    forward_kinematics,
    inverse_kinematics,
)
from mail_policy.core.motion import admission, chunk_planner
from mail_policy.core.motion.admission import LeaseView, Rejection, judge
from mail_policy.core.motion.chunk_planner import (
    Anchor,
    ChunkPlan,
    ChunkPlanner,
    PathCheck,
)
from mail_policy.core.motion.chunk_targets import TargetLimiter
from mail_policy.core.motion.config import AdmissionConfig, EnvelopeConfig
from mail_policy.core.robot_limits import LimitShares, RobotType, joint_limits, tightened
from mail_policy.core.types import ActionChunk
from tests.unit.motion_rig import TASK, Rig, straight

RATE_HZ = 20.0
ADMISSION = AdmissionConfig()
LIMITS = tightened(joint_limits(RobotType.FR3), LimitShares())
LEASE = LeaseView(
    active=True,
    epoch=1,
    task=TASK,
    granted_at_s=99.0,
    last_sequence=0,
    last_observed_at_s=99.0,
)
NOW_S = 100.05
START = Anchor(1.0, HOME_JOINT_POSITIONS)
schemas = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=lambda schema: schema.name)


def for_any_seed(test: Callable[..., None]) -> Callable[..., None]:
    """Try many seeds. No deadline: a busy machine is no failure."""
    seeds = st.integers(min_value=0, max_value=2**32 - 1)
    return settings(deadline=None)(given(seed=seeds)(test))


def rows_in(schema: ActionSchema, deltas: np.ndarray) -> np.ndarray:
    """Express rows of EE_DELTA, counted from home, in another schema."""
    home = forward_kinematics(HOME_JOINT_POSITIONS)
    targets, joints = targets_from_rows(EE_DELTA, home, deltas), HOME_JOINT_POSITIONS
    if not schema.is_cartesian:
        followed = []
        for target in targets:
            joints = inverse_kinematics(target, joints).joint_positions
            followed.append(joints)
        targets = np.array(followed)
    return rows_from_targets(schema, home, targets, deltas[:, 6])


def chunk_of(schema: ActionSchema, values: np.ndarray, **changes: object) -> ActionChunk:
    chunk = ActionChunk(
        values=values,
        schema=schema.id_at(RATE_HZ),
        observed_at_s=100.0,
        step_period_s=0.05,
        lease_epoch=1,
        sequence=1,
        task=TASK,
        inference_s=0.02,
    )
    return replace(chunk, **changes)  # type: ignore[arg-type]


def rule_of(chunk: ActionChunk, **arguments: object) -> str:
    """Return the rule by which a chunk is refused without geometry, "" if it passes."""
    rejection = judge(chunk, LEASE, NOW_S, ADMISSION, **arguments)  # type: ignore[arg-type]
    return rejection.rule if rejection else ""


def plan(
    chunk: ActionChunk,
    path_check: PathCheck | None = None,
    age_s: float = 0.02,
    from_rest: bool = False,
) -> ChunkPlan | Rejection:
    planner = ChunkPlanner(ADMISSION, EnvelopeConfig(), LIMITS, path_check)
    current = Anchor(START.progress_s + age_s, HOME_JOINT_POSITIONS)
    return planner.plan(chunk, START, current, 0.01, from_rest=from_rest)


def planned_rule(chunk: ActionChunk, **arguments: object) -> str:
    result = plan(chunk, **arguments)  # type: ignore[arg-type]
    return result.rule if isinstance(result, Rejection) else ""


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.start_policy()
    rig.wait(10)
    return rig


def wrong_rows(row: int, column: int, value: float) -> np.ndarray:
    values = straight()
    values[row, column] = value
    return values


def test_a_sound_chunk_moves_the_arm(rig: Rig) -> None:
    outputs = rig.step(chunk=rig.chunk())
    assert outputs.decision is not None
    assert (outputs.decision.accepted, outputs.decision.rule) == (True, "")
    start = rig.positions
    rig.wait(30)
    assert np.abs(rig.positions - start).max() > 0.02


@pytest.mark.fault("F36", bound="late: refused")
@pytest.mark.fault("F38", bound="older sequence: refused")
@pytest.mark.fault("F41", bound="other schema, size or unit: refused")
@pytest.mark.fault("F47", bound="another task: refused")
@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"lease_epoch": 999}, "lease"),
        ({"sequence": -1}, "sequence"),
        ({"schema": "joint_position"}, "schema"),
        ({"schema": EE_DELTA.id_at(10.0)}, "schema"),
        ({"values": np.zeros((16, 8))}, "schema"),
        ({"values": np.zeros((16, 6))}, "schema"),
        ({"values": np.zeros((1, 7))}, "size"),
        ({"values": np.zeros((65, 7))}, "size"),
        ({"values": wrong_rows(3, 2, np.nan)}, "finite"),
        ({"values": wrong_rows(15, 6, np.inf)}, "finite"),
        ({"age_s": -0.03}, "future"),
        ({"age_s": 0.26}, "age"),
        ({"step_period_s": 0.1}, "period"),
        ({"values": straight(steps=3), "age_s": 0.04}, ""),
        ({"values": wrong_rows(0, 0, 0.07)}, "step_size"),
        ({"values": wrong_rows(0, 5, 0.4)}, "step_size"),
        ({"values": wrong_rows(0, 5, 30.0)}, "rotation"),
        ({"values": wrong_rows(2, 6, 0.2)}, "gripper"),
        ({"values": wrong_rows(2, 6, -0.05)}, "gripper"),
        ({"task": "something else"}, "task"),
        ({"values": straight((0.0, 0.0, -0.05), steps=16)}, "workspace"),
    ],
)
def test_the_first_rule_that_fails_is_named(
    rig: Rig, changes: dict[str, object], rule: str
) -> None:
    decision = rig.step(chunk=rig.chunk(**changes)).decision  # type: ignore[arg-type]
    assert decision is not None
    assert decision.rule == rule
    assert decision.accepted == (rule == "")
    assert bool(decision.detail) == (rule != "")


def test_a_chunk_without_a_lease_moves_nothing() -> None:
    rig = Rig()
    rig.arm()
    start = rig.positions
    outputs = rig.step(chunk=rig.chunk())
    assert outputs.decision is not None
    assert outputs.decision.rule == "lease"
    rig.wait(20)
    np.testing.assert_array_equal(rig.positions, start)


@pytest.mark.fault("F39", bound="ignored and counted")
def test_a_duplicate_is_ignored(rig: Rig) -> None:
    chunk = rig.chunk()
    assert rig.step(chunk=chunk).decision.accepted  # type: ignore[union-attr]
    assert rig.step(chunk=chunk).decision.rule == "sequence"  # type: ignore[union-attr]
    assert rig.last.state == "policy"


def test_an_older_observation_never_replaces_a_newer_one(rig: Rig) -> None:
    rig.step(chunk=rig.chunk(age_s=0.02))
    decision = rig.step(chunk=rig.chunk(age_s=0.08)).decision
    assert decision is not None
    assert decision.rule == "order"


@pytest.mark.fault("F40", bound="0.15 rad or 5 cm at the join: refused")
def test_a_mode_flip_is_refused_and_the_old_chunk_goes_on(rig: Rig) -> None:
    rig.step(chunk=rig.chunk(straight((0.0, 0.012, 0.0))))
    rig.wait(25)
    # Seen from 0.2 s ago, this one wants to be on the other side by now.
    decision = rig.step(chunk=rig.chunk(straight((0.0, -0.012, 0.0)), age_s=0.2)).decision
    assert decision is not None
    assert decision.rule == "join"
    assert rig.last.state == "policy"


@pytest.mark.fault("F35", bound="refused; the second in a row stops")
def test_nan_twice_in_a_row_stops_the_arm(rig: Rig) -> None:
    rig.step(chunk=rig.chunk(wrong_rows(0, 0, np.nan)))
    assert rig.last.state == "policy"
    rig.step(chunk=rig.chunk(wrong_rows(0, 0, np.nan)))
    assert rig.last.state == "stopped"
    assert "finite" in rig.last.cause


@pytest.mark.fault("F41", bound="stopped at once")
@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "ee_delta"},
        {"schema": "ee_delta:01234567"},
        {"schema": "cartesian"},
        {"values": np.zeros((16, 8))},
    ],
)
def test_a_wrong_schema_stops_the_arm_at_once(rig: Rig, changes: dict[str, object]) -> None:
    rig.step(chunk=rig.chunk(**changes))  # type: ignore[arg-type]
    assert rig.last.state == "stopped"
    assert "schema" in rig.last.cause


@schemas
def test_the_arm_goes_the_same_way_in_every_schema(rig: Rig, schema: ActionSchema) -> None:
    start = forward_kinematics(rig.positions)
    values = rows_in(schema, straight((0.0, 0.008, 0.0)))
    decision = rig.step(chunk=rig.chunk(values, schema=schema.id_at(RATE_HZ))).decision
    assert decision is not None
    assert (decision.accepted, decision.rule) == (True, "")
    rig.wait(200)
    moved = forward_kinematics(rig.positions)[:3, 3] - start[:3, 3]
    np.testing.assert_allclose(moved, [0.0, 16 * 0.008, 0.0], atol=2e-3)


def test_a_flood_of_refused_chunks_stops_the_arm(rig: Rig) -> None:
    for _ in range(6):
        rig.step(chunk=rig.chunk(age_s=0.5))
    assert rig.last.state == "stopped"
    assert "age" in rig.last.cause


def test_counts_say_how_many_chunks_were_taken(rig: Rig) -> None:
    rig.step(chunk=rig.chunk())
    rig.step(chunk=rig.chunk(task="other"))
    assert (rig.last.accepted_chunks, rig.last.rejected_chunks) == (1, 1)


def test_the_armed_task_is_reported(rig: Rig) -> None:
    assert rig.last.task == TASK
    assert rig.last.lease_holder == "policy"


@schemas
def test_rows_of_another_schema_are_refused(schema: ActionSchema) -> None:
    for other in SCHEMAS.values():
        chunk = chunk_of(other, rows_in(other, straight()))
        assert rule_of(chunk) == ""
        if other.size != schema.size:
            assert rule_of(replace(chunk, schema=schema.id_at(RATE_HZ))) == "schema"


def test_a_schema_that_the_arm_does_not_want_is_refused() -> None:
    chunk = chunk_of(EE_RELATIVE, rows_in(EE_RELATIVE, straight()))
    only_steps = AdmissionConfig(schemas=("ee_delta",))
    rejection = judge(chunk, LEASE, NOW_S, only_steps)
    assert rejection is not None
    assert rejection.rule == "schema"
    with pytest.raises(ValueError, match="unknown action schema 'ee_dleta'"):
        AdmissionConfig(schemas=("ee_dleta",))


@pytest.mark.fault("F9", bound="chunks refused at 50 ms of offset")
@pytest.mark.parametrize(
    ("offset_s", "rule"),
    [
        (0.0, ""),
        (0.049, ""),
        (-0.049, ""),
        (0.051, "clock"),
        (-0.051, "clock"),
        (None, "clock"),
        (float("nan"), "clock"),
        (float("inf"), "clock"),
    ],
)
def test_the_clocks_must_agree(offset_s: float | None, rule: str) -> None:
    assert rule_of(chunk_of(EE_DELTA, straight()), clock_offset_s=offset_s) == rule


@pytest.mark.parametrize(
    ("period_s", "rule"), [(0.0451, ""), (0.0549, ""), (0.0449, "period"), (0.0551, "period")]
)
def test_the_period_may_differ_by_a_tenth(period_s: float, rule: str) -> None:
    assert rule_of(chunk_of(EE_DELTA, straight(), step_period_s=period_s)) == rule


@pytest.mark.parametrize("schema", [EE_DELTA, EE_RELATIVE], ids=lambda schema: schema.name)
@pytest.mark.parametrize(
    ("column", "step", "rule"),
    [
        (0, 0.059, ""),
        (0, -0.059, ""),
        (1, 0.061, "step_size"),
        (2, -0.061, "step_size"),
        (3, 0.29, ""),
        (4, 0.31, "step_size"),
        (5, -0.31, "step_size"),
    ],
)
@pytest.mark.parametrize("row", [0, 7, 15])
def test_a_step_may_be_twice_too_long(
    schema: ActionSchema, row: int, column: int, step: float, rule: str
) -> None:
    deltas = straight((0.0, 0.0, 0.0))
    deltas[row, column] = step
    assert rule_of(chunk_of(schema, rows_in(schema, deltas))) == rule


@pytest.mark.parametrize(("step_rad", "rule"), [(0.19, ""), (0.21, "step_size")])
@pytest.mark.parametrize("joint", range(7))
def test_a_step_of_a_joint_may_be_twice_too_long(joint: int, step_rad: float, rule: str) -> None:
    values = rows_in(JOINT_POSITION, straight((0.0, 0.0, 0.0)))
    values[5:, joint] += step_rad
    assert rule_of(chunk_of(JOINT_POSITION, values)) == rule


def test_the_first_joint_row_must_be_near_the_arm() -> None:
    values = rows_in(JOINT_POSITION, straight((0.0, 0.0, 0.0)))
    values[:, 0] += 0.21
    assert planned_rule(chunk_of(JOINT_POSITION, values)) == "step_size"
    values[:, 0] -= 0.02
    assert planned_rule(chunk_of(JOINT_POSITION, values)) == ""


@schemas
@for_any_seed
def test_no_step_is_longer_than_the_limit(schema: ActionSchema, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if schema.is_cartesian:
        deltas = straight((0.0, 0.0, 0.0), steps=6)
        deltas[:, :3] = rng.uniform(-1.0, 1.0, (6, 3)) * 0.055 / np.sqrt(3.0)
        deltas[:, 3:6] = rng.uniform(-1.0, 1.0, (6, 3)) * 0.28 / np.sqrt(3.0)
        values = rows_in(schema, deltas)
    else:
        # No further than the range of a joint: that is another rule.
        values = np.tile(np.append(HOME_JOINT_POSITIONS, 0.08), (3, 1))
        values[:, :7] += np.cumsum(rng.uniform(-0.19, 0.19, (3, 7)), axis=0)
    chunk = chunk_of(schema, values)
    assert rule_of(chunk) == ""
    everywhere = EnvelopeConfig(tcp_lower_m=(-2.0, -2.0, -2.0), tcp_upper_m=(2.0, 2.0, 2.0))
    limiter = TargetLimiter(ADMISSION, everywhere, LIMITS)
    targets = limiter.targets(chunk, HOME_JOINT_POSITIONS)
    assert not isinstance(targets, Rejection)
    if not schema.is_cartesian:
        way = np.vstack([HOME_JOINT_POSITIONS, targets])
        assert np.abs(np.diff(way, axis=0)).max() <= ADMISSION.max_joint_step_rad + 1e-9
        return
    home = forward_kinematics(HOME_JOINT_POSITIONS)
    steps = rows_from_targets(EE_DELTA, home, targets, np.zeros(len(targets)))
    translations_m, rotations_rad = cartesian_steps(EE_DELTA, steps)
    assert translations_m.max() <= ADMISSION.max_translation_step_m + 1e-9
    assert rotations_rad.max() <= ADMISSION.max_rotation_step_rad + 1e-9


@pytest.mark.parametrize("schema", [EE_RELATIVE, JOINT_POSITION], ids=lambda schema: schema.name)
def test_places_that_one_row_cannot_reach_are_reached_by_the_next(schema: ActionSchema) -> None:
    deltas = straight((0.0, 0.0, 0.0))
    deltas[4, 1] = 0.05
    if not schema.is_cartesian:
        deltas[4, 1] = 0.08
    values = rows_in(schema, deltas)
    result = plan(chunk_of(schema, values))
    assert isinstance(result, ChunkPlan)
    end = forward_kinematics(result.path.positions[-1])[:3, 3]
    wanted = forward_kinematics(HOME_JOINT_POSITIONS)[:3, 3] + deltas[:, :3].sum(axis=0)
    np.testing.assert_allclose(end, wanted, atol=1e-3)


@schemas
@pytest.mark.parametrize(
    ("widths_m", "rule"),
    [
        ([0.08] * 8 + [0.0] * 8, ""),
        ([0.08, 0.0, 0.08] + [0.08] * 13, ""),
        ([0.08, 0.0, 0.08, 0.0] + [0.0] * 12, "gripper_rate"),
        ([0.0] * 5 + [0.08] * 5 + [0.0] * 5 + [0.08], "gripper_rate"),
        # Between the two thresholds the hand stays as it is: noise is no command.
        ([0.045, 0.035] * 8, ""),
        ([0.08, 0.04] * 8, ""),
        # A second later it may change again.
        ([0.08] + [0.0] * 10 + [0.08] * 10 + [0.0] * 5, ""),
        ([0.08] + [0.0] * 10 + [0.08] * 9 + [0.0] * 6, "gripper_rate"),
        ([-0.0101] * 16, "gripper"),
        ([0.0901] * 16, "gripper"),
        ([-0.0099, 0.0899] + [0.08] * 14, ""),
    ],
)
def test_the_gripper_has_a_range_and_a_rate(
    schema: ActionSchema, widths_m: list[float], rule: str
) -> None:
    deltas = straight((0.0, 0.001, 0.0), steps=len(widths_m))
    deltas[:, 6] = widths_m
    assert rule_of(chunk_of(schema, rows_in(schema, deltas))) == rule


@pytest.mark.fault("F21", bound="first target beyond 2 cm: refused")
@schemas
@pytest.mark.parametrize("age_s", [0.0, 0.06, 0.2])
@pytest.mark.parametrize(
    ("first", "rule"),
    [
        ((0.0, 0.019, 0.0, 0.0, 0.0, 0.0), ""),
        ((0.0, 0.0, -0.022, 0.0, 0.0, 0.0), "start"),
        # A turn about the hand's axis is one of joint 7 alone.
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0.14), "start"),
    ],
)
def test_a_jump_from_rest_is_refused_however_late_the_chunk_is(
    schema: ActionSchema, first: tuple[float, ...], rule: str, age_s: float
) -> None:
    deltas = straight((0.0, 0.005, 0.0))
    deltas[0, :6] = first
    chunk = chunk_of(schema, rows_in(schema, deltas))
    assert planned_rule(chunk, age_s=age_s, from_rest=True) == rule
    assert planned_rule(chunk, age_s=age_s, from_rest=False) == ""


@pytest.mark.fault("F23", bound="clipped; above 30 % of the rows refused")
def test_rows_beyond_the_range_of_a_joint_are_clipped() -> None:
    values = np.tile(np.append(HOME_JOINT_POSITIONS, 0.08), (16, 1))
    values[:, 6] += 0.09 * np.arange(16)
    home = LIMITS.upper[6] - values[-4, 6] + 1e-3
    anchor = HOME_JOINT_POSITIONS.copy()
    anchor[6] += home
    values[:, 6] += home
    planner = ChunkPlanner(ADMISSION, EnvelopeConfig(), LIMITS)
    start = Anchor(1.0, anchor)
    result = planner.plan(chunk_of(JOINT_POSITION, values), start, start, 0.01)
    assert isinstance(result, ChunkPlan)
    assert result.path.positions[-1, 6] == pytest.approx(LIMITS.upper[6])
    assert (result.path.positions <= LIMITS.upper + 1e-9).all()
    # Five of sixteen are more than 30 %.
    values[:, 6] += 0.09
    refused = planner.plan(chunk_of(JOINT_POSITION, values), start, start, 0.01)
    assert isinstance(refused, Rejection)
    assert refused.rule == "joint_range"


@pytest.mark.fault("F24", bound="above 30 % of the rows: refused")
@schemas
@pytest.mark.parametrize(("rows_outside", "rule"), [(4, ""), (5, "workspace")])
def test_too_many_rows_outside_the_workspace_are_refused(
    schema: ActionSchema, rows_outside: int, rule: str
) -> None:
    deltas = straight((0.0, 0.0, 0.0))
    home_m = forward_kinematics(HOME_JOINT_POSITIONS)[:3, 3]
    lower_m = home_m + np.array([-0.2, -0.2, 16 * -0.012])
    deltas[:, 2] = -0.012
    lower_m[2] += (rows_outside - 0.5) * 0.012
    envelope = EnvelopeConfig(tcp_lower_m=tuple(lower_m.tolist()))
    planner = ChunkPlanner(ADMISSION, envelope, LIMITS)
    result = planner.plan(chunk_of(schema, rows_in(schema, deltas)), START, START, 0.01)
    assert (result.rule if isinstance(result, Rejection) else "") == rule
    if schema.is_cartesian and isinstance(result, ChunkPlan):
        end_m = forward_kinematics(result.path.positions[-1])[2, 3]
        assert end_m == pytest.approx(lower_m[2], abs=1e-3)


@pytest.mark.fault("F27", bound="left out; three in a row refused")
@pytest.mark.parametrize(
    ("missed", "rule"),
    [([], ""), ([5], ""), ([5, 6], ""), ([3, 7, 8, 12], ""), ([5, 6, 7], "reach")],
)
def test_rows_out_of_reach_are_left_out_but_not_three_in_a_row(
    monkeypatch: pytest.MonkeyPatch, missed: list[int], rule: str
) -> None:
    follow = chunk_planner.follow_pose
    asked: list[np.ndarray] = []

    def sometimes(pose: np.ndarray, *rest: object) -> tuple[np.ndarray, float]:
        positions, error_m = follow(pose, *rest)  # type: ignore[arg-type]
        if not asked or pose is not asked[-1]:
            asked.append(pose)
        return positions, 0.02 if len(asked) - 1 in missed else error_m

    monkeypatch.setattr(chunk_planner, "follow_pose", sometimes)
    result = plan(chunk_of(EE_DELTA, straight()))
    if rule:
        assert isinstance(result, Rejection)
        assert result.rule == rule
        return
    assert isinstance(result, ChunkPlan)
    assert result.unreachable_steps == len(missed)
    assert len(result.path.positions) == 17 - len(missed)
    wanted = targets_from_rows(EE_DELTA, forward_kinematics(HOME_JOINT_POSITIONS), straight())
    for end_s, pose in zip(result.row_ends_s, wanted, strict=True):
        there = forward_kinematics(result.path.positions_at(np.array([end_s]))[0])
        np.testing.assert_allclose(there[:3, 3], pose[:3, 3], atol=2e-3)


def test_a_chunk_that_leads_out_of_reach_is_refused() -> None:
    envelope = EnvelopeConfig(tcp_upper_m=(2.0, 1.0, 2.0))
    planner = ChunkPlanner(ADMISSION, envelope, LIMITS)
    chunk = chunk_of(EE_DELTA, straight((0.03, 0.0, 0.0), steps=40))
    result = planner.plan(chunk, START, START, 0.01)
    assert isinstance(result, Rejection)
    assert result.rule == "reach"


@schemas
def test_the_path_is_checked_every_20_ms_from_now_to_its_end(schema: ActionSchema) -> None:
    seen: list[np.ndarray] = []

    def note(positions: np.ndarray) -> str:
        seen.append(positions)
        return ""

    result = plan(chunk_of(schema, rows_in(schema, straight())), note, age_s=0.07)
    assert isinstance(result, ChunkPlan)
    (positions,) = seen
    instants_s = np.append(np.arange(1.07, 1.8, 0.02), 1.8)
    expected = [result.path.at(float(instant_s)).positions for instant_s in instants_s]
    np.testing.assert_allclose(positions, expected, atol=1e-12)


@pytest.mark.fault("F25", bound="checked every 20 ms: refused")
@schemas
def test_a_path_through_something_is_refused(schema: ActionSchema) -> None:
    def touches(positions: np.ndarray) -> str:
        return "hand touches link 1"

    result = plan(chunk_of(schema, rows_in(schema, straight())), touches)
    assert result == Rejection("collision", "hand touches link 1")


def test_every_rule_is_documented() -> None:
    """The operator looks them up by name."""
    table = set(re.findall(r"^\| (\w+) +\|", admission.__doc__ or "", re.MULTILINE)) - {"Rule"}
    folder = Path(admission.__file__).parent
    used: set[str] = set()
    for file in folder.glob("*.py"):
        used |= set(re.findall(r'Rejection\(\s*"(\w+)"', file.read_text()))
        used |= set(re.findall(r'_share_rejection\(\s*"(\w+)"', file.read_text()))
    assert used == table
