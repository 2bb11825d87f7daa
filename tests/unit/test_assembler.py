"""Observations are joined by capture time, whatever the order of arrival."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_policy.core.types import Observation
from mail_policy.inference.assembler import ObservationAssembler

CAMERAS = ("agentview", "wrist")


def picture(value: int) -> np.ndarray:
    return np.full((2, 2, 3), value, np.uint8)


@pytest.fixture
def assembler() -> ObservationAssembler:
    return ObservationAssembler(CAMERAS, tolerance_s=0.02)


def feed_joints(assembler: ObservationAssembler, *stamps_s: float) -> list[Observation]:
    return [
        o for s in stamps_s for o in assembler.add_joints(s, np.full(7, s), gripper_width_m=s / 100)
    ]


def test_an_observation_needs_every_camera_and_later_joints(
    assembler: ObservationAssembler,
) -> None:
    assert feed_joints(assembler, 0.99) == []
    assert assembler.add_frame("agentview", 1.0, picture(1)) == []
    assert assembler.add_frame("wrist", 1.0, picture(2)) == []
    (observation,) = feed_joints(assembler, 1.01)
    assert observation.captured_at_s == 1.0
    assert {name: int(i[0, 0, 0]) for name, i in observation.images.items()} == {
        "agentview": 1,
        "wrist": 2,
    }


def test_joints_are_interpolated_to_the_capture_time(assembler: ObservationAssembler) -> None:
    feed_joints(assembler, 0.996, 1.006)
    assembler.add_frame("agentview", 1.0, picture(0))
    (observation,) = assembler.add_frame("wrist", 1.001, picture(0))
    np.testing.assert_allclose(observation.joint_positions, 1.0)
    assert observation.gripper_width_m == pytest.approx(0.01)


def test_a_missing_picture_leaves_a_gap_instead_of_an_older_one(
    assembler: ObservationAssembler,
) -> None:
    feed_joints(assembler, 0.99)
    assembler.add_frame("wrist", 1.0, picture(0))
    assembler.add_frame("agentview", 1.0, picture(0))
    assembler.add_frame("agentview", 1.05, picture(1))
    assembler.add_frame("agentview", 1.10, picture(2))
    assembler.add_frame("wrist", 1.10, picture(2))
    stamps = [o.captured_at_s for o in feed_joints(assembler, 1.02, 1.06, 1.11)]
    assert stamps == [1.0, 1.10]
    assert assembler.counters.unmatched == 1


def test_a_hole_in_the_joint_states_is_not_bridged(assembler: ObservationAssembler) -> None:
    feed_joints(assembler, 0.8, 1.2)
    assembler.add_frame("wrist", 1.0, picture(0))
    assert assembler.add_frame("agentview", 1.0, picture(0)) == []
    assert assembler.counters.unmatched == 1


def test_stamps_that_do_not_advance_are_dropped_and_counted(
    assembler: ObservationAssembler,
) -> None:
    for stamp_s in (1.0, 1.0, 0.5):
        assembler.add_frame("wrist", stamp_s, picture(0))
    assert assembler.counters.not_newer == 2


def test_silent_streams_are_named(assembler: ObservationAssembler) -> None:
    assembler.add_frame("wrist", 1.0, picture(0))
    assert assembler.silent_streams() == ["agentview", "joint_states"]
    assembler.clear()
    assert assembler.silent_streams() == ["agentview", "wrist", "joint_states"]


@given(st.lists(st.sampled_from(["agentview", "wrist", "joints"]), min_size=30, max_size=90))
def test_any_interleaving_gives_the_same_observations(order: list[str]) -> None:
    assembler = ObservationAssembler(CAMERAS, tolerance_s=0.02)
    ticks = {"agentview": 0, "wrist": 0, "joints": 0}
    got: list[Observation] = []
    largest_lead = 0
    for stream in order:
        stamp_s = 0.05 * ticks[stream]
        ticks[stream] += 1
        largest_lead = max(largest_lead, max(ticks.values()) - min(ticks.values()))
        if stream == "joints":
            got += assembler.add_joints(stamp_s, np.full(7, stamp_s), 0.0)
        else:
            got += assembler.add_frame(stream, stamp_s, picture(ticks[stream] - 1))
    complete = min(ticks.values())
    # Buffers are bounded: a stream that runs far ahead may lose old pictures, never mix them.
    if largest_lead < 16:
        assert [o.captured_at_s for o in got] == [0.05 * i for i in range(complete)]
    for o in got:
        index = round(o.captured_at_s / 0.05)
        assert {int(i[0, 0, 0]) for i in o.images.values()} == {index}
