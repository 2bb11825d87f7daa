"""One observation per step period, whatever the pace of the camera."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_policy.data.step_grid import StepGrid

PERIOD_S = 0.05
MINUTE_S = 60.0


def steps_of(stamps_s: np.ndarray) -> dict[int, float]:
    """Return the stamp of every step."""
    grid = StepGrid(PERIOD_S)
    taken = [(grid.take(float(stamp_s)), float(stamp_s)) for stamp_s in stamps_s]
    return {step: stamp_s for step, stamp_s in taken if step is not None}


@pytest.mark.parametrize("rate_hz", [20.0, 30.0, 40.0, 60.0, 90.0])
@pytest.mark.parametrize("clock", [0.995, 1.0, 1.005])
@pytest.mark.parametrize("jitter_s", [0.0, 0.002])
def test_cameras_of_any_pace_give_every_step_once(
    rate_hz: float, clock: float, jitter_s: float
) -> None:
    rng = np.random.default_rng(0)
    stamps_s = 5.0 + np.arange(0.0, MINUTE_S, 1.0 / rate_hz) * clock
    stamps_s += jitter_s * rng.uniform(-1.0, 1.0, len(stamps_s))
    steps = steps_of(stamps_s)
    assert sorted(steps) == list(range(len(steps)))
    spacings_s = np.diff(list(steps.values()))
    # Half a camera period on either side; jitter moves both ends, and the expectation of the next.
    assert np.abs(spacings_s - PERIOD_S).max() < min(0.5 * PERIOD_S, 1.0 / rate_hz + 3.0 * jitter_s)
    # Half a percent is what the clocks differ by: the grid keeps to one of them.
    assert spacings_s.mean() == pytest.approx(PERIOD_S, rel=0.006)


def test_a_camera_at_twice_the_pace_keeps_to_every_second_picture() -> None:
    assert list(steps_of(np.arange(9) / 40.0).values()) == [0.0, 0.05, 0.1, 0.15, 0.2]


@given(st.sets(st.integers(1, 60), max_size=20))
def test_lost_pictures_leave_out_exactly_their_steps(lost: set[int]) -> None:
    kept = [index for index in range(61) if index not in lost]
    assert list(steps_of(3.0 + PERIOD_S * np.array(kept))) == kept


def test_an_episode_begins_anywhere_and_anew_after_a_reset() -> None:
    grid = StepGrid(PERIOD_S)
    assert [grid.take(7.0), grid.take(7.05)] == [0, 1]
    grid.reset()
    assert [grid.take(3.013), grid.take(3.063)] == [0, 1]


@pytest.mark.parametrize("period_s", [0.0, -1.0, float("nan")])
def test_a_period_that_is_none_is_refused(period_s: float) -> None:
    with pytest.raises(ValueError, match="period_s must be greater than 0"):
        StepGrid(period_s)
