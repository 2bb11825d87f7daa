"""What a measured delay looks like: both signals aligned, and the correlation of all candidates."""

from pathlib import Path

from matplotlib.figure import Figure

from calibration.latency import LatencyEstimate, Signal
from mail_policy.core.frames import Array


def plot_latency(
    path: Path, title: str, reference: Signal, measured: Signal, estimate: LatencyEstimate
) -> None:
    """Write a PNG for the operator.

    Args:
        path: The file.
        title: What was measured.
        reference: As it was given to `estimate_latency`.
        measured: Likewise.
        estimate: The answer.
    """
    latency_ms = 1e3 * estimate.latency_s
    figure = Figure(figsize=(8.0, 6.0), layout="constrained")
    signals, curve = figure.subplots(2, 1)
    begin_s = reference.times_s[0]
    signals.plot(reference.times_s - begin_s, _normalised(reference.values), label="reference")
    shifted_s = measured.times_s - estimate.latency_s - begin_s
    signals.plot(
        shifted_s, _normalised(measured.values), ".", ms=3, label=f"measured, {latency_ms:.1f} ms"
    )
    signals.set(xlabel="time [s]", ylabel="normalised", title=title)
    signals.legend(loc="upper right")
    curve.plot(1e3 * estimate.lags_s, estimate.correlations)
    curve.axvline(latency_ms, color="tab:orange")
    curve.set(
        xlabel="candidate delay [ms]",
        ylabel="correlation",
        title=f"{latency_ms:.1f} +- {1e3 * estimate.standard_error_s:.2f} ms, correlation "
        f"{estimate.correlation:.4f}, next peak {estimate.rival_correlation:.2f}",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _normalised(values: Array) -> Array:
    normalised: Array = (values - values.mean()) / max(float(values.std()), 1e-300)
    return normalised
