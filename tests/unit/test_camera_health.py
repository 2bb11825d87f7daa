"""What is said of each picture, with the times and numbers that it carries."""

from dataclasses import replace

import numpy as np
import pytest

from mail_cameras.config import CameraConfig, CameraKind, DepthKind
from mail_cameras.health import CameraHealth, Verdict
from mail_policy.core.types import CameraFrame

RATE_HZ = 30.0
GENERATOR = np.random.default_rng(0)
SIZE = 32


def make_health(**changes: object) -> CameraHealth:
    values = {
        "name": "wrist",
        "driver": CameraKind.REALSENSE,
        "serial": "1",
        "image_width": SIZE,
        "image_height": SIZE,
        "rate_hz": RATE_HZ,
        "frame_id": "wrist_color_optical_frame",
    }
    return CameraHealth(CameraConfig(**{**values, **changes}))


def noise() -> np.ndarray:
    return GENERATOR.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def frame(
    sequence: int,
    captured_at_s: float | None = None,
    age_s: float = 0.03,
    image: np.ndarray | None = None,
) -> CameraFrame:
    if captured_at_s is None:
        captured_at_s = sequence / RATE_HZ
    image = noise() if image is None else image
    return CameraFrame(image, captured_at_s, captured_at_s + age_s, sequence)


@pytest.fixture
def health() -> CameraHealth:
    return make_health()


def test_a_steady_stream_has_no_faults(health):
    verdicts = [health.judge(frame(n)) for n in range(1, 50)]
    assert set(verdicts) == {Verdict.USABLE}
    assert (health.counts.received, health.counts.published) == (49, 49)
    faults = set(health.counts.__dataclass_fields__) - {"received", "published"}
    assert {getattr(health.counts, name) for name in faults} == {0}
    assert not health.is_slow
    assert health.rate_hz == pytest.approx(RATE_HZ)


# Numbers.


def test_a_gap_in_the_numbers_counts_as_lost_pictures(health):
    for number in (1, 2, 6, 7):
        health.judge(frame(number))
    assert health.counts.lost == 3


@pytest.mark.parametrize("verdict", [Verdict.FUTURE, Verdict.BACKWARD, Verdict.WRONG_SIZE])
def test_a_picture_that_was_dropped_is_not_counted_as_lost_as_well(health, verdict):
    bad = {
        Verdict.FUTURE: frame(2, age_s=-1.0),
        Verdict.BACKWARD: frame(2, captured_at_s=0.0),
        Verdict.WRONG_SIZE: frame(2, image=np.zeros((4, 4, 3), np.uint8)),
    }
    assert health.judge(frame(1)) is Verdict.USABLE
    assert health.judge(bad[verdict]) is verdict
    assert health.judge(frame(5)) is Verdict.USABLE
    assert health.counts.lost == 2


def test_a_counter_that_begins_anew_loses_nothing_and_goes_on_counting(health):
    pictures = [(500, 1.0), (501, 1.03), (1, 1.06), (2, 1.09), (4, 1.15)]
    verdicts = [health.judge(frame(number, stamp_s)) for number, stamp_s in pictures]
    assert set(verdicts) == {Verdict.USABLE}
    assert (health.counts.lost, health.counts.counter_resets) == (1, 1)


def test_an_opened_camera_counts_anew_without_losses(health):
    health.judge(frame(500))
    health.note_reopening()
    assert health.judge(frame(1, 20.0)) is Verdict.USABLE
    health.judge(frame(3, 20.1))
    assert (health.counts.lost, health.counts.counter_resets, health.counts.reopened) == (1, 0, 1)


# Frozen.


@pytest.mark.fault("F2", bound="5 equal pictures, 170 ms at 30 Hz")
def test_equal_pictures_are_missing_from_the_fifth_on(health, measured):
    image = noise()
    verdicts = [health.judge(frame(n, image=image)) for n in range(1, 8)]
    assert verdicts == [Verdict.USABLE] * 4 + [Verdict.FROZEN] * 3
    detected_ms = 1000.0 * verdicts.index(Verdict.FROZEN) / RATE_HZ
    measured(f"{detected_ms:.0f} ms after the first of the equal pictures")
    assert detected_ms <= 170.0
    assert health.judge(frame(8)) is Verdict.USABLE
    assert health.counts.frozen == 3


@pytest.mark.fault("F2", bound="5 pictures with one number, 170 ms at 30 Hz")
def test_a_counter_that_stands_still_is_a_frozen_camera(health):
    verdicts = [health.judge(frame(7, n / RATE_HZ)) for n in range(1, 7)]
    assert verdicts == [Verdict.USABLE] * 4 + [Verdict.FROZEN] * 2


def test_a_frozen_camera_that_was_opened_again_is_still_frozen(health):
    image = noise()
    for number in range(1, 7):
        health.judge(frame(number, image=image))
    health.note_reopening()
    assert health.judge(frame(1, 10.0, image=image)) is Verdict.FROZEN
    assert health.judge(frame(2, 10.1)) is Verdict.USABLE


@pytest.mark.parametrize("driver", [CameraKind.TWIN, CameraKind.SIMULATED])
def test_a_still_scene_of_a_rendered_camera_is_counted_but_published(driver):
    health = make_health(driver=driver, serial="")
    image = noise()
    verdicts = [health.judge(frame(n, image=image)) for n in range(1, 8)]
    assert set(verdicts) == {Verdict.USABLE}
    assert health.counts.frozen == 3


def test_a_rendered_camera_can_be_told_that_equal_pictures_are_a_fault():
    health = make_health(driver=CameraKind.TWIN, serial="", frozen_is_missing=True)
    image = noise()
    assert [health.judge(frame(n, image=image)) for n in range(1, 6)][-1] is Verdict.FROZEN


# Black, saturated, featureless.

BLIND = {
    "black": lambda: GENERATOR.integers(0, 5, (SIZE, SIZE, 3), dtype=np.uint8),
    "saturated": lambda: GENERATOR.integers(252, 256, (SIZE, SIZE, 3), dtype=np.uint8),
    "grey": lambda: GENERATOR.integers(127, 130, (SIZE, SIZE, 3), dtype=np.uint8),
    "red": lambda: noise() % 2 + np.array([200, 0, 0], np.uint8),
}


@pytest.mark.fault("F4", bound="5 pictures")
@pytest.mark.parametrize("kind", BLIND)
def test_pictures_that_show_nothing_are_missing_from_the_fifth_on(health, kind):
    verdicts = [health.judge(frame(n, image=BLIND[kind]())) for n in range(1, 8)]
    assert verdicts == [Verdict.USABLE] * 4 + [Verdict.BLIND] * 3
    assert health.judge(frame(8)) is Verdict.USABLE
    assert health.counts.blind == 3


def test_a_black_picture_now_and_then_is_published(health):
    for number in range(1, 21):
        image = BLIND["black"]() if number % 5 else noise()
        assert health.judge(frame(number, image=image)) is Verdict.USABLE


def test_a_camera_may_look_into_the_dark_if_it_is_told_to():
    health = make_health(detect_black=False)
    verdicts = [health.judge(frame(n, image=BLIND["black"]())) for n in range(1, 8)]
    assert set(verdicts) == {Verdict.USABLE}
    assert health.counts.blind == 3


# Late and slow.


@pytest.mark.fault("F3", bound="100 ms")
def test_a_picture_that_arrives_too_old_is_published_and_counted(health):
    assert health.judge(frame(1, 1.0, age_s=0.101)) is Verdict.USABLE
    assert health.judge(frame(2, 1.05, age_s=0.099)) is Verdict.USABLE
    assert health.counts.late == 1


@pytest.mark.fault("F3", bound="rate below 0.8 of the nominal one over 1 s")
@pytest.mark.parametrize(("rate_hz", "is_slow"), [(29.0, False), (25.0, False), (23.0, True)])
def test_a_camera_that_delivers_too_few_pictures_is_slow(health, rate_hz, is_slow):
    for number in range(1, 40):
        health.judge(frame(number, number / rate_hz))
    assert health.is_slow == is_slow
    assert health.rate_hz == pytest.approx(rate_hz)


def test_a_camera_is_not_called_slow_before_its_rate_is_known(health):
    for number in range(1, 25):
        health.judge(frame(number, number / 10.0))
    assert not health.is_slow


def test_a_picture_without_the_depth_that_was_asked_for_is_published_and_counted():
    health = make_health(depth=DepthKind.ALIGNED)
    depth_mm = np.zeros((SIZE, SIZE), np.uint16)
    assert health.judge(replace(frame(1), depth_mm=depth_mm)) is Verdict.USABLE
    assert health.judge(frame(2)) is Verdict.USABLE
    assert health.counts.without_depth == 1


# Stamps.


@pytest.mark.fault("F5", bound="every stamp that does not grow")
@pytest.mark.parametrize("step_s", [0.0, -0.001, -0.1])
def test_a_stamp_that_does_not_grow_is_dropped(health, step_s):
    health.judge(frame(1, 1.0))
    late = CameraFrame(noise(), 1.0 + step_s, 1.06, 2)
    assert health.judge(late) is Verdict.BACKWARD
    assert health.judge(frame(3, 1.1)) is Verdict.USABLE
    assert health.counts.backward == 1


@pytest.mark.fault("F5", bound="3 pictures")
def test_a_clock_that_was_set_back_is_followed_after_three_pictures(health):
    health.judge(frame(1, 100.0))
    verdicts = [health.judge(frame(n, n / 20)) for n in (2, 3, 4, 5)]
    assert verdicts == [Verdict.BACKWARD, Verdict.BACKWARD, Verdict.USABLE, Verdict.USABLE]
    assert health.counts.resyncs == 1
    health.judge(frame(7, 7 / 20))
    assert health.counts.lost == 1


@pytest.mark.fault("F5", bound="every picture until the camera is opened again")
def test_a_device_clock_that_begins_anew_after_71_minutes_makes_pictures_unusable(health):
    health.judge(frame(1, 5000.0))
    verdicts = {health.judge(frame(n, 5000.0 + n / 30 - 4294.967, 4294.997)) for n in range(2, 9)}
    assert verdicts == {Verdict.STALE}
    assert Verdict.STALE.reopening_may_help
    assert health.counts.stale == 7


@pytest.mark.fault("F6", bound="20 ms")
def test_a_stamp_in_the_future_is_dropped_and_does_not_spoil_the_next(health):
    health.judge(frame(1, 1.0))
    assert health.judge(frame(2, 1.05, age_s=-0.021)) is Verdict.FUTURE
    assert health.judge(frame(3, 1.1, age_s=-0.05)) is Verdict.FUTURE
    assert health.judge(frame(4, 3600.0, age_s=-3598.0)) is Verdict.FUTURE
    assert health.judge(frame(5, 1.15, age_s=-0.019)) is Verdict.USABLE
    assert health.counts.future == 3


def test_a_stamp_that_is_no_number_is_dropped(health):
    assert health.judge(frame(1, float("nan"))) is Verdict.FUTURE


# Form.


@pytest.mark.fault("F8", bound="every picture")
@pytest.mark.parametrize(
    "image",
    [
        np.zeros((SIZE, SIZE + 1, 3), np.uint8),
        np.zeros((SIZE, SIZE), np.uint8),
        np.zeros((SIZE, SIZE, 4), np.uint8),
        np.zeros((SIZE, SIZE, 3), np.uint16),
    ],
)
def test_pictures_of_another_size_or_type_are_dropped(health, image):
    assert health.judge(frame(1, image=image)) is Verdict.WRONG_SIZE
    assert health.judge(frame(2)) is Verdict.USABLE
    assert health.counts.wrong_size == 1
