import numpy as np
import pytest

from mail_cameras.health import CameraHealth, Verdict
from mail_policy.core.types import CameraFrame


def frame(sequence: int, captured_at_s: float, age_s: float = 0.03, value: int | None = None):
    image = np.full((32, 32, 3), sequence % 256 if value is None else value, np.uint8)
    return CameraFrame(image, captured_at_s, captured_at_s + age_s, sequence)


@pytest.fixture
def health() -> CameraHealth:
    return CameraHealth(max_age_s=0.1, future_tolerance_s=0.02)


def test_a_steady_stream_has_no_faults(health):
    verdicts = [health.judge(frame(n, n / 20)) for n in range(1, 50)]
    assert set(verdicts) == {Verdict.PUBLISH}
    counts = health.counts
    assert counts.received == 49
    assert (counts.lost, counts.late, counts.frozen, counts.backward, counts.future) == (0,) * 5


def test_a_gap_in_the_numbers_counts_as_lost_pictures(health):
    for number in (1, 2, 6, 7):
        health.judge(frame(number, number / 20))
    assert health.counts.lost == 3


def test_a_picture_that_arrives_too_old_is_published_and_counted(health):
    assert health.judge(frame(1, 1.0, age_s=0.101)) is Verdict.PUBLISH
    assert health.judge(frame(2, 1.05, age_s=0.099)) is Verdict.PUBLISH
    assert health.counts.late == 1


def test_equal_pictures_count_as_frozen_from_the_fifth_on(health):
    for number in range(1, 8):
        health.judge(frame(number, number / 20, value=7))
    assert health.counts.frozen == 3
    health.judge(frame(8, 8 / 20, value=8))
    assert health.counts.frozen == 3


@pytest.mark.parametrize("stamp_s", [1.0, 0.999, 0.5])
def test_a_stamp_that_does_not_grow_is_dropped(health, stamp_s):
    health.judge(frame(1, 1.0))
    assert health.judge(frame(2, stamp_s)) is Verdict.DROP_BACKWARD
    assert health.judge(frame(3, 1.1)) is Verdict.PUBLISH
    assert health.counts.backward == 1


def test_a_clock_that_was_set_back_is_followed_after_three_pictures(health):
    health.judge(frame(1, 100.0))
    verdicts = [health.judge(frame(n, n / 20)) for n in (2, 3, 4, 5)]
    assert verdicts == [Verdict.DROP_BACKWARD, Verdict.DROP_BACKWARD, *[Verdict.PUBLISH] * 2]


def test_a_stamp_in_the_future_is_dropped_and_does_not_spoil_the_next(health):
    health.judge(frame(1, 1.0))
    assert health.judge(frame(2, 1.05, age_s=-0.021)) is Verdict.DROP_FUTURE
    assert health.judge(frame(3, 3600.0, age_s=-3598.0)) is Verdict.DROP_FUTURE
    assert health.judge(frame(4, 1.15, age_s=-0.019)) is Verdict.PUBLISH
    assert health.counts.future == 2


def test_silence_is_measured_from_the_last_usable_picture(health):
    assert health.silent_for_s(5.0) == float("inf")
    health.judge(frame(1, 1.0, age_s=0.03))
    assert health.silent_for_s(2.03) == pytest.approx(1.0)
