"""Stamps of foreign clocks, steps of the computer's clock, and devices that start in turn."""

from collections.abc import Iterator

import numpy as np
import pytest

from mail_cameras.clock_step import ClockStepDetector
from mail_cameras.stamp_clock import TURN_S, DeviceClock, OffsetEstimator
from mail_cameras.start_gate import StartGate
from mail_policy.core.devices import CameraError
from tests.conftest import Measured

PERIOD_S = 1.0 / 30.0
LEAST_DELAY_S = 0.021


def arrivals(
    delays: str, offset_s: float, drift: float = 0.0, pictures: int = 1200, seed: int = 0
) -> Iterator[tuple[float, float, float]]:
    """Yield stamp on the device's clock, arrival and true capture on the computer's."""
    generator = np.random.default_rng(seed)
    for number in range(pictures):
        captured_s = 1.7e9 + number * PERIOD_S
        jitter_s = {
            "none": 0.0,
            "uniform": generator.uniform(0.0, 0.010),
            "exponential": generator.exponential(0.004),
        }[delays]
        stamp_s = (number * PERIOD_S) * (1.0 + drift) + offset_s
        yield stamp_s % TURN_S, captured_s + LEAST_DELAY_S + jitter_s, captured_s


def errors_ms(estimator: OffsetEstimator, stream: Iterator[tuple[float, float, float]]) -> list:
    errors = []
    for stamp_s, received_s, captured_s in stream:
        offset_s = estimator.offset_s(stamp_s, received_s)
        if offset_s is not None:
            errors.append(1000.0 * abs(stamp_s + offset_s - captured_s))
    return errors


@pytest.mark.parametrize("delays", ["none", "uniform", "exponential"])
@pytest.mark.parametrize("drift", [-5e-5, 0.0, 5e-5])
@pytest.mark.parametrize("seed", range(5))
def test_the_capture_time_is_recovered_within_1_ms_from_a_clock_that_drifts(delays, drift, seed):
    stream = arrivals(delays, offset_s=777.0, drift=drift, seed=seed)
    errors = errors_ms(OffsetEstimator(LEAST_DELAY_S), stream)
    assert len(errors) > 1100
    assert max(errors) < 1.0


@pytest.mark.fault("F5", bound="stamps within 1 ms, no picture lost")
def test_the_turn_of_a_32_bit_clock_goes_unnoticed(measured: Measured) -> None:
    stream = arrivals("exponential", offset_s=TURN_S - 20.0)
    errors = errors_ms(OffsetEstimator(LEAST_DELAY_S), stream)
    measured(f"{max(errors):.2f} ms at the most")
    assert len(errors) > 1100
    assert max(errors) < 1.0


def test_a_device_that_was_restarted_is_learnt_anew():
    estimator = OffsetEstimator(LEAST_DELAY_S)
    assert errors_ms(estimator, arrivals("none", offset_s=500.0, pictures=200))
    again = list(arrivals("uniform", offset_s=3.0, pictures=200))
    assert estimator.offset_s(*again[0][:2]) is None
    errors = errors_ms(estimator, iter(again[1:]))
    assert 100 < len(errors) < 145
    assert max(errors) < 1.0


def test_a_picture_that_overtakes_another_does_not_restart_the_learning():
    estimator = OffsetEstimator(LEAST_DELAY_S)
    stream = list(arrivals("none", offset_s=500.0, pictures=100))
    stream[80], stream[81] = stream[81], stream[80]
    assert len(errors_ms(estimator, iter(stream))) > 35


def test_a_stamp_on_the_computers_clock_is_taken_as_it_is():
    clock = DeviceClock("wrist", transport_latency_s=None)
    assert clock.captured_at_s(12.0, 12.1, is_comparable=True) == 12.0
    with pytest.raises(CameraError, match="'wrist' stamps with its own clock"):
        clock.captured_at_s(12.0, 12.1, is_comparable=False)


# The computer's clock.


class TwoClocks:
    """A time of day that can be set, and a steady clock."""

    def __init__(self) -> None:
        self.steady_s, self.offset_s, self.cost_s = 10.0, 1.7e9, 0.0

    def now(self) -> float:
        self.steady_s += self.cost_s
        return self.steady_s + self.offset_s

    def steady(self) -> float:
        return self.steady_s


@pytest.fixture
def clocks() -> TwoClocks:
    return TwoClocks()


@pytest.fixture
def detector(clocks: TwoClocks) -> ClockStepDetector:
    detector = ClockStepDetector(clocks.now, clocks.steady)
    assert detector.look() == 0.0
    return detector


@pytest.mark.fault("F10", bound="5 ms, at the next picture")
@pytest.mark.parametrize("step_s", [0.006, -0.006, 1.0, -3600.0])
def test_a_step_of_the_computers_clock_is_seen_once(clocks, detector, step_s):
    clocks.steady_s += PERIOD_S
    clocks.offset_s += step_s
    assert detector.look() == pytest.approx(step_s, abs=1e-4)
    clocks.steady_s += PERIOD_S
    assert detector.look() == 0.0


def test_a_clock_that_is_slewed_is_no_step(clocks, detector):
    for _ in range(1000):
        clocks.steady_s += PERIOD_S
        clocks.offset_s += 500e-6 * PERIOD_S
        assert detector.look() == 0.0


def test_an_interrupted_look_says_nothing_and_the_next_one_sees_the_step(clocks, detector):
    clocks.offset_s += 0.02
    clocks.cost_s = 0.05
    assert detector.look() == 0.0
    clocks.cost_s = 0.0
    assert detector.look() == pytest.approx(0.02, abs=1e-4)


# Starting in turn.


def test_devices_start_with_time_in_between():
    clock = [0.0]

    def sleep(duration_s: float) -> None:
        clock[0] += duration_s

    gate = StartGate(0.5, lambda: clock[0], sleep)
    starts = []
    for _ in range(3):
        gate.wait_turn()
        starts.append(clock[0])
        clock[0] += 0.1
    assert starts == pytest.approx([0.0, 0.5, 1.0])
    clock[0] += 5.0
    gate.wait_turn()
    assert clock[0] == pytest.approx(6.1)
