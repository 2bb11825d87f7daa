"""One rule for windows: by capture time, padded only at the start, the same everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_policy.core.types import Hold, Observation
from mail_policy.data.dataset import WindowRule, make_decisions
from mail_policy.data.episodes import EpisodeArrays
from mail_policy.data.windows import Window, target_rows, window_indices
from mail_policy.inference.history import HistoryBuffer
from mail_policy.models.config import Windows

PERIOD_S = 0.05


def observation(stamp_s: float, mark: int = 0) -> Observation:
    image = np.full((2, 2, 3), mark, dtype=np.uint8)
    return Observation(stamp_s, {"camera": image}, np.full(7, float(mark)), 0.08)


def indices(
    stamps_s: list[float], *, history: int = 3, start_s: float | None = 0.0
) -> list[int] | Hold:
    found = window_indices(
        stamps_s, len(stamps_s) - 1, history=history, period_s=PERIOD_S, start_s=start_s
    )
    return found if isinstance(found, Hold) else found.tolist()


@pytest.mark.parametrize(
    ("steps", "expected"), [(1, [0, 0, 0]), (2, [0, 0, 1]), (3, [0, 1, 2]), (6, [3, 4, 5])]
)
def test_the_first_observation_is_repeated_at_the_start_only(
    steps: int, expected: list[int]
) -> None:
    assert indices([PERIOD_S * i for i in range(steps)]) == expected


def test_without_a_start_nothing_is_repeated() -> None:
    assert isinstance(indices([0.0, 0.05], start_s=None), Hold)
    assert indices([0.0, 0.05, 0.10], start_s=None) == [0, 1, 2]


def test_a_gap_invalidates_the_windows_that_reach_over_it() -> None:
    stamps_s = [0.0, 0.05, 0.10, 0.20, 0.25, 0.30]
    verdicts = [isinstance(indices(stamps_s[: n + 1]), Hold) for n in range(len(stamps_s))]
    assert verdicts == [False, False, False, True, True, False]
    held = indices(stamps_s[:4])
    assert isinstance(held, Hold)
    assert "no observation 0.050 s before the newest" in held.reason


def test_a_gap_right_after_the_start_is_not_padded_over() -> None:
    assert isinstance(indices([0.0, 0.10]), Hold)


def test_a_faster_camera_is_sampled_on_the_grid() -> None:
    stamps_s = [i / 40 for i in range(10)]
    assert indices(stamps_s, history=4) == [3, 5, 7, 9]


@given(
    st.lists(st.floats(-0.45, 0.45), min_size=4, max_size=12),
    st.integers(1, 4),
)
def test_stamps_with_less_than_half_a_period_of_jitter_give_the_grid_or_a_hold(
    jitter: list[float], history: int
) -> None:
    stamps_s = [PERIOD_S * (i + share / 2) for i, share in enumerate(jitter)]
    found = indices(stamps_s, history=history, start_s=stamps_s[0])
    newest = len(stamps_s) - 1
    assert found == [max(newest - history + 1 + k, 0) for k in range(history)]


def test_targets_start_with_the_action_of_the_decision_and_are_never_invented() -> None:
    stamps_s = 3.0 + PERIOD_S * np.arange(5)
    rows, exist = target_rows(stamps_s, 3, chunk=4, period_s=PERIOD_S)
    assert rows.tolist() == [3, 4, 4, 4]
    assert exist.tolist() == [True, True, False, False]


def test_targets_after_a_gap_belong_to_their_time() -> None:
    stamps_s = PERIOD_S * np.array([0.0, 1.0, 4.0, 5.0, 6.0])
    rows, exist = target_rows(stamps_s, 0, chunk=6, period_s=PERIOD_S)
    assert exist.tolist() == [True, True, False, False, True, True]
    assert rows[exist].tolist() == [0, 1, 2, 3]


def replay(stamps_s: list[float], history: int) -> list[Window | Hold]:
    buffer = HistoryBuffer(history, PERIOD_S)
    windows = []
    for mark, stamp_s in enumerate(stamps_s):
        buffer.push(observation(stamp_s, mark))
        windows.append(buffer.window())
    return windows


@given(
    st.lists(st.sampled_from([1, 1, 1, 1, 2, 3]), min_size=0, max_size=25),
    st.integers(1, 5),
)
def test_the_live_history_sees_what_training_saw(gaps: list[int], history: int) -> None:
    stamps_s = (10.0 + PERIOD_S * np.cumsum([0, *gaps])).tolist()
    steps = len(stamps_s)
    episode = EpisodeArrays(
        id="replayed",
        task="any",
        times_s=np.array(stamps_s),
        images={"camera": np.zeros((steps, 2, 2, 3), dtype=np.uint8)},
        joint_positions=np.zeros((steps, 7)),
        gripper_widths_m=np.zeros(steps),
        actions=np.zeros((steps, 7)),
    )
    decisions = make_decisions([episode], WindowRule(history, 2, PERIOD_S), ("any",))
    for step, live in enumerate(replay(stamps_s, history)):
        assert decisions.valid[step] == isinstance(live, Window)
        if isinstance(live, Window):
            marks = [int(seen.joint_positions[0]) for seen in live.observations]
            assert marks == decisions.windows[step].tolist()


def test_history_starts_anew_after_a_reset() -> None:
    buffer = HistoryBuffer(3, PERIOD_S)
    assert isinstance(buffer.window(), Hold)
    buffer.push(observation(1.0, 1))
    buffer.reset()
    assert isinstance(buffer.window(), Hold)
    buffer.push(observation(0.5, 2))
    window = buffer.window()
    assert isinstance(window, Window)
    assert [seen.captured_at_s for seen in window.observations] == [0.5, 0.5, 0.5]


def test_an_observation_that_is_not_newer_is_dropped() -> None:
    buffer = HistoryBuffer(2, PERIOD_S)
    assert buffer.push(observation(1.0))
    assert not buffer.push(observation(1.0))
    assert not buffer.push(observation(0.9))
    assert buffer.push(observation(1.05))
    window = buffer.window()
    assert isinstance(window, Window)
    assert [seen.captured_at_s for seen in window.observations] == [1.0, 1.05]


def test_a_clock_that_jumped_back_flushes_the_history_without_padding() -> None:
    buffer = HistoryBuffer(3, PERIOD_S)
    for i in range(5):
        buffer.push(observation(100.0 + PERIOD_S * i))
    windows = []
    for i in range(6):
        buffer.push(observation(1.0 + PERIOD_S * i))
        windows.append(buffer.window())
    # Two are dropped while the old history still stands, then it takes three to fill again.
    assert [isinstance(window, Window) for window in windows[2:]] == [False, False, True, True]


def test_history_keeps_no_more_than_a_window_reaches() -> None:
    buffer = HistoryBuffer(5, PERIOD_S)
    for i in range(1000):
        buffer.push(observation(PERIOD_S * i))
    assert len(buffer._observations) <= 7


def test_a_published_window_is_short_at_the_start_and_whole_later() -> None:
    buffer = HistoryBuffer(3, PERIOD_S, Windows.PUBLISHED)
    lengths = []
    for step in range(5):
        buffer.push(observation(step * PERIOD_S))
        window = buffer.window()
        assert isinstance(window, Window)
        lengths.append(len(window.observations))
    assert lengths == [1, 2, 3, 3, 3]
    buffer.reset()
    buffer.push(observation(9.0))
    window = buffer.window()
    assert isinstance(window, Window)
    assert len(window.observations) == 1
