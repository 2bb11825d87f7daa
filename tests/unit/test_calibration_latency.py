"""Delays are recovered from bad signals, and what cannot be trusted is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.latency import LatencyConfig, Signal, estimate_latency, signal_from_samples
from calibration.latency_motions import Chirp, WidthCommand, commanded_width
from calibration.latency_pictures import picture_motion
from calibration.latency_plot import plot_latency
from calibration.results import CalibrationError
from tests.bench.calibration_latency import (
    ARM_MOTION,
    Flaws,
    arm_signals,
    hand_signals,
    latency_errors_ms,
)

LIMIT_S = 0.005
CAMERA = LatencyConfig(either_sign=True)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("latency_s", [-0.03, 0.0, 0.0125, 0.08, 0.3])
def test_an_arms_delay_is_recovered_from_noisy_uneven_samples(latency_s, rng):
    estimate = estimate_latency(*arm_signals(latency_s, rng))
    assert estimate.latency_s == pytest.approx(latency_s, abs=LIMIT_S)
    assert estimate.correlation > 0.98
    assert estimate.standard_error_s < 0.0025


def test_the_standard_error_tells_how_wrong_the_answer_is(rng):
    errors = []
    for _ in range(40):
        estimate = estimate_latency(*arm_signals(0.08, rng, Flaws(noise=0.15)))
        errors.append((estimate.latency_s - 0.08) / estimate.standard_error_s)
    assert 0.5 < np.std(errors) < 2.0


def test_a_hands_delay_is_not_confused_with_the_time_that_it_needs_to_close(rng):
    reference, measured = hand_signals(0.12, rng)
    assert estimate_latency(reference, measured).latency_s == pytest.approx(0.12, abs=LIMIT_S)


def test_delays_of_arm_hand_and_rendered_pictures_are_found_within_their_limit():
    errors_ms = latency_errors_ms(rounds=5, seed=1)
    assert set(errors_ms) == {"arm", "gripper", "wrist"}
    assert max(map(max, errors_ms.values())) < 1e3 * LIMIT_S


def sinusoid(hz: float, shift_s: float = 0.0) -> Signal:
    times_s = np.arange(0.0, 10.0, 0.01)
    return Signal(times_s, np.sin(2.0 * np.pi * hz * (times_s - shift_s)))


def test_a_motion_that_repeats_itself_within_the_range_is_refused():
    with pytest.raises(CalibrationError, match="two delays fit"):
        estimate_latency(sinusoid(4.0), sinusoid(4.0, 0.05))


def test_a_slow_sinusoid_is_unambiguous():
    estimate = estimate_latency(sinusoid(0.5), sinusoid(0.5, 0.05))
    assert estimate.latency_s == pytest.approx(0.05, abs=0.001)


def test_a_mirrored_signal_counts_for_a_camera_only(rng):
    reference, measured = arm_signals(0.08, rng)
    mirrored = Signal(measured.times_s, -measured.values)
    assert estimate_latency(reference, mirrored, CAMERA).latency_s == pytest.approx(
        0.08, abs=LIMIT_S
    )
    with pytest.raises(CalibrationError):
        estimate_latency(reference, mirrored)


def test_noise_that_hides_the_motion_is_refused(rng):
    with pytest.raises(CalibrationError, match=r"correlation is 0\..*move further"):
        estimate_latency(*arm_signals(0.08, rng, Flaws(noise=2.0)))


def test_too_uncertain_an_answer_is_refused(rng):
    strict = LatencyConfig(max_standard_error_s=1e-4)
    with pytest.raises(CalibrationError, match=r"uncertain by 0\.7 ms, limit is 0\.1 ms"):
        estimate_latency(*arm_signals(0.08, rng), strict)


def test_a_delay_beyond_the_range_is_refused(rng):
    with pytest.raises(CalibrationError, match=r"not within 0\.1 s"):
        estimate_latency(*arm_signals(0.3, rng), LatencyConfig(longest_s=0.1))


def test_an_arm_that_did_not_move_is_refused(rng):
    reference, measured = arm_signals(0.08, rng)
    resting = Signal(measured.times_s, np.full(len(measured.values), 0.3))
    with pytest.raises(CalibrationError, match="measured signal does not move"):
        estimate_latency(reference, resting)


def test_clocks_that_do_not_overlap_are_refused(rng):
    reference, measured = arm_signals(0.08, rng)
    elsewhere = Signal(measured.times_s + 1e9, measured.values)
    with pytest.raises(CalibrationError, match="stamps of the same clock"):
        estimate_latency(reference, elsewhere)


def test_a_hole_in_the_reference_is_refused(rng):
    reference, measured = arm_signals(0.08, rng)
    kept = (reference.times_s < 4.0) | (reference.times_s > 4.5)
    holed = Signal(reference.times_s[kept], reference.values[kept])
    with pytest.raises(CalibrationError, match=r"no gap above 0\.25 s"):
        estimate_latency(holed, measured)


@pytest.mark.parametrize(
    ("times_s", "values", "message"),
    [
        ([0.0, 1.0], [0.0], "one value per stamp"),
        ([0.0, 1.0], [0.0, np.nan], "finite"),
        ([0.0, 0.0], [0.0, 1.0], "must increase"),
    ],
)
def test_what_is_no_signal_is_refused(times_s, values, message):
    with pytest.raises(CalibrationError, match=message):
        Signal(np.array(times_s), np.array(values))


def test_samples_out_of_order_and_doubled_become_a_signal():
    signal = signal_from_samples(np.array([2.0, 1.0, 2.0]), np.array([20.0, 10.0, 20.0]))
    assert (signal.times_s.tolist(), signal.values.tolist()) == ([1.0, 2.0], [10.0, 20.0])


def test_a_chirp_starts_and_ends_at_rest_and_keeps_its_speed():
    times_s = np.arange(-1.0, ARM_MOTION.duration_s + 1.0, 0.001)
    positions = ARM_MOTION.at(times_s)
    speeds = np.gradient(positions, times_s)
    assert positions[[0, -1]].tolist() == [0.0, 0.0]
    assert (
        np.abs(speeds[(times_s < 0.001) | (times_s > ARM_MOTION.duration_s - 0.001)]).max() < 1e-4
    )
    assert 0.5 * ARM_MOTION.largest_speed < np.abs(speeds).max() <= ARM_MOTION.largest_speed
    assert np.abs(positions).max() <= ARM_MOTION.amplitude


@pytest.mark.parametrize("wrong", [{"start_hz": 1.0, "end_hz": 0.5}, {"fade_s": 6.0}])
def test_an_impossible_chirp_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Chirp(amplitude=0.1, **wrong)


def test_a_commanded_width_is_a_ramp_that_a_new_command_turns_around():
    commands = (WidthCommand(1.0, 0.0, 0.1), WidthCommand(1.4, 0.08, 0.1))
    width = commanded_width(0.08, commands, end_s=3.0)
    assert width.at(np.array([0.5, 1.2, 1.4, 1.6, 2.5])) == pytest.approx(
        [0.08, 0.06, 0.04, 0.06, 0.08], abs=0.0015
    )


def shifted_picture(shift_px: float) -> np.ndarray:
    texture = np.random.default_rng(3).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    large = cv2.resize(texture, (320, 240), interpolation=cv2.INTER_CUBIC)
    move = np.array([[1.0, 0.0, shift_px], [0.0, 1.0, 0.0]])
    return cv2.warpAffine(large, move, (320, 240), borderMode=cv2.BORDER_REFLECT)


def test_the_motion_in_pictures_is_found_below_a_pixel():
    shifts_px = 4.0 * np.sin(np.linspace(0.0, 6.0, 30))
    motion = picture_motion([shifted_picture(float(shift)) for shift in shifts_px])
    centred = shifts_px - shifts_px.mean()
    sign = np.sign(motion @ centred)
    assert sign * motion == pytest.approx(centred, abs=0.1)


def test_pictures_of_nothing_and_pictures_that_stand_still_are_refused():
    grey = np.full((240, 320, 3), 128, np.uint8)
    with pytest.raises(CalibrationError, match="no corners"):
        picture_motion([grey] * 3)
    with pytest.raises(CalibrationError, match="the pictures move by"):
        picture_motion([shifted_picture(0.0)] * 3)


def test_the_plot_is_written(tmp_path: Path, rng):
    signals = arm_signals(0.08, rng)
    path = tmp_path / "plots" / "arm.png"
    plot_latency(path, "arm", *signals, estimate_latency(*signals))
    assert cv2.imread(str(path)).std() > 1.0
