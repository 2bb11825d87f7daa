"""Draws how the loss of a run fell."""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

PICTURE_NAME = "training.png"
# A point of the smoothed curve stands for so large a share of the run.
_SMOOTHED_SHARE = 0.02


def draw_curves(metrics: Path, picture: Path) -> None:
    """Draw training and validation loss, and the error of held-out chunks.

    Args:
        metrics: Lines of JSON, from `RunLog`.
        picture: PNG file to write.
    """
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    training = _columns(lines, "train", ("step", "loss"))
    validation = _columns(lines, "validation", ("step", "loss", "translation_error_mm"))
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss, error = figure.subplots(1, 2)
    steps, losses = training
    loss.plot(steps, losses, color="lightsteelblue", linewidth=0.7, label="training, each step")
    loss.plot(*_smoothed(steps, losses), color="tab:blue", label="training, mean")
    loss.plot(*validation[:2], "o-", color="tab:orange", markersize=3, label="validation, averaged")
    loss.set(xlabel="step", ylabel="loss", yscale="log")
    loss.legend()
    error.plot(validation[0], validation[2], "o-", color="tab:orange", markersize=3)
    error.set(xlabel="step", ylabel="error of held-out chunks [mm]", ylim=(0, None))
    figure.savefig(picture, dpi=120)


def _columns(
    lines: list[dict[str, float | str]], group: str, names: tuple[str, ...]
) -> list[NDArray[np.float64]]:
    chosen = [line for line in lines if line["group"] == group]
    return [np.array([line[name] for line in chosen], dtype=np.float64) for name in names]


def _smoothed(
    steps: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means of consecutive values, at their mean steps."""
    parts = max(1, min(len(values), round(1.0 / _SMOOTHED_SHARE)))
    means = [
        [part.mean() for part in np.array_split(rows, parts) if part.size]
        for rows in (steps, values)
    ]
    return np.array(means[0]), np.array(means[1])
