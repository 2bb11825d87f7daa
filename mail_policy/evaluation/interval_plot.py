"""Success rates with their intervals as a picture."""

import io
from typing import Any

from matplotlib.figure import Figure

_COLOURS = ("#1a5fb4", "#c64600")
_INK, _GRID = "#1d2733", "#d9dee4"
_ROW_INCHES = 0.42
# Two policies of a task are drawn so far apart, in rows.
_OFFSET_ROWS = 0.24


def interval_plot(summary: dict[str, Any]) -> bytes:
    """Draw one row per task and one for the mean; return a PNG.

    Args:
        summary: As `summarise` returns it.
    """
    sections = [section for section in (summary, summary["against"]) if section]
    names = [task["name"] for task in summary["tasks"]]
    if len(names) > 1:
        names.append("mean of tasks")
    figure = Figure(figsize=(8.0, 1.3 + _ROW_INCHES * len(names)), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for number, section in enumerate(sections):
        entries = [*section["tasks"], section][: len(names)]
        offset = (number - (len(sections) - 1) / 2) * _OFFSET_ROWS
        _draw(axes, entries, offset, _COLOURS[number], str(section["policy"]["name"]))
    axes.set_yticks(range(len(names)), names, color=_INK)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(-2, 102)
    axes.set_xlabel("success rate [%], 95 % interval", color=_INK)
    axes.grid(axis="x", color=_GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    if len(sections) > 1:
        figure.legend(loc="outside upper right", ncols=2, frameon=False)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def _draw(axes: Any, entries: list[dict[str, Any]], offset: float, colour: str, label: str) -> None:
    rates = [100 * entry["success_rate"] for entry in entries]
    bounds = [[100 * bound for bound in entry["interval_95"]] for entry in entries]
    # Rounding may put a rate a hair outside its interval.
    below = [max(rate - low, 0.0) for rate, (low, _) in zip(rates, bounds, strict=True)]
    above = [max(high - rate, 0.0) for rate, (_, high) in zip(rates, bounds, strict=True)]
    rows = [row + offset for row in range(len(entries))]
    axes.errorbar(rates, rows, xerr=[below, above], fmt="o", color=colour, capsize=3, label=label)
