"""Plots the signals of an episode over time."""

import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from data_collection import messages, topics
from data_collection.manifest import load_manifest
from data_collection.reader import EpisodeMessage, iterate_messages
from data_collection.report import FAULT_STATES
from mail_policy.core.types import NUM_JOINTS

_Points = list[tuple[float, Any]]
_TOPICS = (
    topics.JOINT_STATES,
    topics.DEMONSTRATION_ACTION,
    topics.ARM_STATE,
    topics.ADMISSION,
    topics.ACTION_CHUNK,
)


@dataclass(slots=True)
class _Signals:
    """Signals as (time [s], value), by name."""

    series: dict[str, _Points] = field(default_factory=lambda: defaultdict(list))

    def add(self, item: EpisodeMessage) -> None:
        message, time_s = item.message, item.stamp_s
        if item.topic == topics.JOINT_STATES:
            time_s = messages.stamp_to_seconds(message.header.stamp)
            self.series["joints"].append((time_s, message.position[:NUM_JOINTS]))
            self.series["gripper"].append((time_s, 1e3 * message.position[NUM_JOINTS:].sum()))
        elif item.topic == topics.DEMONSTRATION_ACTION:
            self.series["actions"].append((time_s, 1e3 * message.values[:3]))
        elif item.topic == topics.ARM_STATE:
            self.series["states"].append((time_s, message.state))
        elif item.topic == topics.ACTION_CHUNK:
            self.series["inference"].append((time_s, 1e3 * message.inference_duration))
        elif message.accepted:
            self.series["latency"].append((time_s, 1e3 * message.camera_to_command))


def write_plots(folder: Path, png: Path) -> None:
    """Draw joints, gripper, actions and latencies of an episode, as far as it has them."""
    manifest = load_manifest(folder)
    signals = _Signals()
    for item in iterate_messages(folder, _TOPICS):
        signals.add(item)
    panels = [
        ("joint positions [rad]", ["joints"]),
        ("gripper width [mm]", ["gripper"]),
        ("demonstrated step [mm]", ["actions"]),
        ("latency [ms]", ["latency", "inference"]),
    ]
    shown = [panel for panel in panels if any(signals.series.get(name) for name in panel[1])]
    figure = Figure(figsize=(9.0, 2.0 * max(len(shown), 1) + 0.6), dpi=120, layout="constrained")
    figure.suptitle(f"{manifest.task} ({manifest.id})", fontsize=11)
    start_s = min((points[0][0] for points in signals.series.values()), default=0.0)
    for row, (label, names) in enumerate(shown):
        axes = figure.add_subplot(len(shown), 1, row + 1)
        _draw_panel(axes, signals, names, start_s)
        axes.set_ylabel(label, fontsize=9)
    if shown:
        axes.set_xlabel("time since the start [s]", fontsize=9)
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png)


_LEGENDS = {
    "joints": [f"joint {number}" for number in range(1, NUM_JOINTS + 1)],
    "gripper": ["width"],
    "actions": ["dx", "dy", "dz"],
    "latency": ["camera to command"],
    "inference": ["inference"],
}


def _draw_panel(axes: Any, signals: _Signals, names: list[str], start_s: float) -> None:
    for name in names:
        points = signals.series.get(name, [])
        if not points:
            continue
        times_s = np.array([time_s for time_s, _ in points]) - start_s
        values = np.array([value for _, value in points]).reshape(len(points), -1)
        for column, legend in enumerate(_LEGENDS[name]):
            axes.plot(times_s, values[:, column], linewidth=1.1, label=legend)
    for begin_s, end_s in _held_spans(signals.series.get("states", [])):
        axes.axvspan(begin_s - start_s, end_s - start_s, color="#b3372f", alpha=0.12, linewidth=0)
    # Above the panel: inside it would cover a curve.
    corner = (1.0, 0.97)
    axes.legend(fontsize=7, ncols=7, loc="lower right", bbox_to_anchor=corner, frameon=False)
    axes.grid(alpha=0.25)


def _held_spans(states: _Points) -> list[tuple[float, float]]:
    """Return from when to when [s] the arm was in a fault state."""
    spans: list[tuple[float, float]] = []
    for (begin_s, state), (end_s, _) in itertools.pairwise(states):
        if state in FAULT_STATES:
            spans.append((begin_s, end_s))
    return spans
