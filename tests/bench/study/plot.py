"""Success against demonstrations, or side by side where there is only one number of them."""

from typing import Any

from matplotlib import pyplot as plt

from tests.bench.harness import Results
from tests.bench.study.grid import Study

Row = dict[str, Any]
_SHIFT = 0.02


def plot_study(study: Study, results: Results) -> plt.Figure:
    """Draw a panel per task and one for the mean, with intervals."""
    tasks = list(dict.fromkeys(row["task"] for row in results.rows))
    tasks.sort(key=lambda task: task == "mean")
    figure, panels = plt.subplots(
        1, len(tasks), figsize=(3.4 * len(tasks) + 1.0, 3.6), sharey=True, squeeze=False
    )
    draw = _draw_lines if len(study.demonstrations) > 1 else _draw_bars
    for panel, task in zip(panels[0], tasks, strict=True):
        draw(panel, study, [row for row in results.rows if row["task"] == task])
        panel.set_title(task, fontsize=10)
        panel.set_ylim(-0.03, 1.03)
        panel.grid(axis="y", alpha=0.3)
    panels[0][0].set_ylabel("success rate")
    figure.suptitle(study.question, y=1.02)
    return figure


def _draw_lines(panel: plt.Axes, study: Study, rows: list[Row]) -> None:
    for place, variant in enumerate(study.variants):
        own = [row for row in rows if row["variant"] == variant]
        # A little to the side, so that intervals do not hide each other.
        xs = [row["demonstrations"] * (1.0 + _SHIFT * place) for row in own]
        panel.errorbar(
            xs, [row["rate"] for row in own], _errors(own), fmt="o-", capsize=3, label=variant
        )
    panel.set_xscale("log")
    panel.set_xticks(study.demonstrations, [str(number) for number in study.demonstrations])
    panel.minorticks_off()
    panel.set_xlabel("demonstrations")
    panel.legend(fontsize=8)


def _draw_bars(panel: plt.Axes, study: Study, rows: list[Row]) -> None:
    places = [list(study.variants).index(row["variant"]) for row in rows]
    panel.bar(places, [row["rate"] for row in rows], yerr=_errors(rows), capsize=3)
    panel.set_xticks(range(len(study.variants)), [*study.variants], rotation=45, ha="right")


def _errors(rows: list[Row]) -> list[list[float]]:
    """Return how far intervals reach below and above the rates."""
    return [
        [max(row["rate"] - row["low"], 0.0) for row in rows],
        [max(row["high"] - row["rate"], 0.0) for row in rows],
    ]
