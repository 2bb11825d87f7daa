"""Which chunks may move the arm."""

import numpy as np
import pytest

from tests.unit.motion_rig import TASK, Rig, straight


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


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"lease_epoch": 999}, "lease"),
        ({"sequence": -1}, "sequence"),
        ({"schema": "joint_position"}, "schema"),
        ({"values": np.zeros((16, 8))}, "size"),
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


def test_a_mode_flip_is_refused_and_the_old_chunk_goes_on(rig: Rig) -> None:
    rig.step(chunk=rig.chunk(straight((0.0, 0.012, 0.0))))
    rig.wait(25)
    # Seen from 0.2 s ago, this one wants to be on the other side by now.
    decision = rig.step(chunk=rig.chunk(straight((0.0, -0.012, 0.0)), age_s=0.2)).decision
    assert decision is not None
    assert decision.rule == "join"
    assert rig.last.state == "policy"


def test_nan_twice_in_a_row_stops_the_arm(rig: Rig) -> None:
    rig.step(chunk=rig.chunk(wrong_rows(0, 0, np.nan)))
    assert rig.last.state == "policy"
    rig.step(chunk=rig.chunk(wrong_rows(0, 0, np.nan)))
    assert rig.last.state == "stopped"
    assert "finite" in rig.last.cause


def test_a_wrong_schema_stops_the_arm_at_once(rig: Rig) -> None:
    rig.step(chunk=rig.chunk(schema="ee_relative"))
    assert rig.last.state == "stopped"


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
