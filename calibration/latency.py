"""The delay between two signals that show the same motion, by cross-correlation.

The measured signal is compared with the reference shifted by every candidate delay, at the
instants at which it was measured: stamps may be uneven, and samples may be missing. The delay of
highest correlation wins, refined between the candidates by a parabola. A signal that repeats
itself within the range of candidates has several delays, so motions for this are chirps or have
uneven pauses, see `latency_motions`; what remains ambiguous is refused.
"""

import math
from dataclasses import dataclass

import numpy as np

from calibration.results import CalibrationError
from mail_policy.core.frames import Array

_STEP_S = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """One number over time.

    Attributes:
        times_s: Increasing stamps [s], shape (n,); they need not be even.
        values: In any unit, shape (n,).
    """

    times_s: Array
    values: Array

    def __post_init__(self) -> None:
        """Refuse what is no signal."""
        if self.times_s.ndim != 1 or self.times_s.shape != self.values.shape:
            raise CalibrationError(
                f"a signal needs one value per stamp, got shapes {self.times_s.shape} and "
                f"{self.values.shape}"
            )
        if not (np.isfinite(self.times_s).all() and np.isfinite(self.values).all()):
            raise CalibrationError("a signal must be finite, got NaN or infinity")
        if (np.diff(self.times_s) <= 0.0).any():
            raise CalibrationError("stamps of a signal must increase; see signal_from_samples")

    def at(self, times_s: Array) -> Array:
        """Return the values between the samples, by linear interpolation."""
        return np.interp(times_s, self.times_s, self.values)


def signal_from_samples(times_s: Array, values: Array) -> Signal:
    """Return a signal of samples that may have arrived out of order or twice."""
    ordered, first = np.unique(times_s, return_index=True)
    return Signal(ordered, np.asarray(values, np.float64)[first])


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyConfig:
    """Which delays are looked for, and which answers are trusted.

    Attributes:
        longest_s: Delays from minus to plus this are candidates [s].
        either_sign: The measured signal may be mirrored, as motion in a picture may.
        min_correlation: Below this both signals do not show the same motion.
        min_margin: By so much the correlation must exceed that of any other peak.
        max_standard_error_s: Largest uncertainty by noise [s].
        min_samples: So many measured samples are needed.
        max_gap_s: Longest time between two samples of the reference [s].
    """

    longest_s: float = 0.4
    either_sign: bool = False
    min_correlation: float = 0.9
    min_margin: float = 0.05
    max_standard_error_s: float = 0.0025
    min_samples: int = 50
    max_gap_s: float = 0.25


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LatencyEstimate:
    """A delay that can be trusted.

    Attributes:
        latency_s: Delay of the measured signal behind the reference [s].
        correlation: Of both signals once the delay is taken out.
        rival_correlation: Of the second highest peak, -1 if there is none.
        standard_error_s: Uncertainty by noise [s].
        lags_s: All candidates [s], shape (n,).
        correlations: Correlation at each candidate, shape (n,).
    """

    latency_s: float
    correlation: float
    rival_correlation: float
    standard_error_s: float
    lags_s: Array
    correlations: Array


def estimate_latency(
    reference: Signal, measured: Signal, config: LatencyConfig | None = None
) -> LatencyEstimate:
    """Return by how much a measured signal is later than a reference.

    Args:
        reference: What was commanded, or what is known to be timed right. It must begin earlier
            and end later than the motion, so that all candidates see all of it.
        measured: What was seen of it.
        config: Which delays are looked for.

    Raises:
        CalibrationError: The signals do not allow a trustworthy answer.
    """
    config = config or LatencyConfig()
    seen = _usable_part(reference, measured, config)
    steps = math.ceil(config.longest_s / _STEP_S)
    lags_s = np.linspace(-config.longest_s, config.longest_s, 2 * steps + 1)
    shifted = reference.at(seen.times_s[None] - lags_s[:, None])
    correlations = _correlations(shifted, seen.values)
    heights = np.abs(correlations) if config.either_sign else correlations
    peak = int(heights.argmax())
    if peak in (0, len(lags_s) - 1):
        raise CalibrationError(
            f"the delay is not within {config.longest_s} s, or the signals do not show the same "
            "motion; check the stamps and the signals' order"
        )
    offset, height = _parabola_top(heights[peak - 1 : peak + 2])
    estimate = LatencyEstimate(
        latency_s=float(lags_s[peak] + offset * (lags_s[1] - lags_s[0])),
        correlation=min(height, 1.0),
        rival_correlation=_rival(heights, peak),
        standard_error_s=_standard_error_s(seen.times_s, shifted[peak], height),
        lags_s=lags_s,
        correlations=correlations,
    )
    _require_trust(estimate, config)
    return estimate


def _usable_part(reference: Signal, measured: Signal, config: LatencyConfig) -> Signal:
    """Return the measured samples that every shifted reference covers."""
    if len(reference.times_s) < 2 or float(np.diff(reference.times_s).max()) > config.max_gap_s:
        raise CalibrationError(
            f"the reference must have no gap above {config.max_gap_s} s; record it again"
        )
    begin_s, end_s = reference.times_s[[0, -1]] + (config.longest_s, -config.longest_s)
    inside = (measured.times_s >= begin_s) & (measured.times_s <= end_s)
    if inside.sum() < config.min_samples:
        raise CalibrationError(
            f"{inside.sum()} samples lie inside the reference, {config.min_samples} are needed; "
            "record longer, or check that both have stamps of the same clock"
        )
    seen = Signal(measured.times_s[inside], measured.values[inside])
    for name, values in (("measured signal", seen.values), ("reference", reference.values)):
        if float(np.ptp(values)) <= 1e-9 * float(np.abs(values).max()):
            raise CalibrationError(f"the {name} does not move; did the motion take place?")
    return seen


def _correlations(shifted: Array, values: Array) -> Array:
    """Return Pearson's correlation of rows (n, m) with values (m,), shape (n,)."""
    rows = shifted - shifted.mean(axis=1, keepdims=True)
    centred = values - values.mean()
    scale = np.linalg.norm(rows, axis=1) * np.linalg.norm(centred)
    correlations: Array = rows @ centred / np.maximum(scale, 1e-300)
    return correlations


def _parabola_top(heights: Array) -> tuple[float, float]:
    """Return place, in steps from the middle, and height of the top through three points."""
    left, middle, right = heights.tolist()
    bend = left - 2.0 * middle + right
    if bend == 0.0:
        return 0.0, middle
    offset = 0.5 * (left - right) / bend
    return offset, middle - 0.25 * (left - right) * offset


def _rival(heights: Array, peak: int) -> float:
    """Return the height of the second highest peak; the range may cut it off. -1 without one."""
    is_peak = np.r_[True, heights[1:] > heights[:-1]] & np.r_[heights[:-1] >= heights[1:], True]
    is_peak[peak] = False
    return float(heights[is_peak].max(initial=-1.0))


def _standard_error_s(times_s: Array, shifted: Array, correlation: float) -> float:
    """Return the uncertainty of a delay by white noise: noise over slope, over all samples [s].

    The Cramer-Rao bound of a delay, with the noise that the correlation tells of.
    """
    slopes = np.gradient(shifted, times_s)
    noise_share = max(1.0 - correlation**2, 0.0) / max(correlation**2, 1e-12)
    noise_power = noise_share * float(np.var(shifted))
    return math.sqrt(noise_power / max(float(np.sum(slopes**2)), 1e-300))


def _require_trust(estimate: LatencyEstimate, config: LatencyConfig) -> None:
    if estimate.correlation < config.min_correlation:
        raise CalibrationError(
            f"correlation is {estimate.correlation:.3f}, expected at least "
            f"{config.min_correlation}; the signals do not show the same motion, or noise hides "
            "it: move further, or see the plot"
        )
    if estimate.correlation - estimate.rival_correlation < config.min_margin:
        raise CalibrationError(
            f"two delays fit: correlations {estimate.correlation:.3f} and "
            f"{estimate.rival_correlation:.3f} differ by less than {config.min_margin}; use a "
            "motion that does not repeat itself, as mailctl calibrate latency does"
        )
    if estimate.standard_error_s > config.max_standard_error_s:
        raise CalibrationError(
            f"the delay is uncertain by {1e3 * estimate.standard_error_s:.1f} ms, limit is "
            f"{1e3 * config.max_standard_error_s:.1f} ms; move further or record longer"
        )
