"""How good the shipped checkpoints are: the success rates that the README states.

Each part is a `mailctl eval` with a folder of its own: an interrupted benchmark goes on where it
ended, and every number has its report with videos of the failures.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt

from mail_bringup import evaluate
from mail_policy.inference.checkpoint import find_checkpoint, load_manifest
from tests.bench.harness import RUNS, Results, make_console


@dataclass(frozen=True, slots=True)
class Part:
    """One evaluation.

    Attributes:
        metric: Name of its success rate.
        checkpoint: Whose.
        words: What is tried, as `mailctl eval` takes it.
    """

    metric: str
    checkpoint: str
    words: tuple[str, ...]


PARTS = (
    Part(
        "multitask_success",
        "drawers10",
        ("--suite", "drawers10", "--episodes", "20"),
    ),
    Part("open_drawer_direct", "open_top_drawer", ("--episodes", "100")),
    Part(
        "open_drawer_fci",
        "open_top_drawer",
        ("--episodes", "30", "--robot", "sim-fci", "--videos", "none"),
    ),
)


def main(argv: list[str]) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="mailctl bench shipped", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=[part.metric for part in PARTS])
    parser.add_argument("--workers", type=int, default=2, help="processes [%(default)s]")
    words = parser.parse_args(argv)
    results, chosen = Results("shipped"), words.parts or [part.metric for part in PARTS]
    for part in PARTS:
        folder = _folder(part)
        if part.metric in chosen:
            command = ["--checkpoint", part.checkpoint, *part.words, "--out", str(folder)]
            if evaluate.main([*command, "--workers", str(words.workers)]):
                return 1
        summary = folder / "summary.json"
        if summary.exists():
            _add(results, part, json.loads(summary.read_text()))
    results.save(plot(results), make_console())
    return 0


def _folder(part: Part) -> Path:
    """Return where a part is kept: episodes of other weights must not be gone on with."""
    weights = load_manifest(find_checkpoint(part.checkpoint)).weights_sha256
    return RUNS / "shipped" / f"{part.metric}-{weights[:8]}"


def _add(results: Results, part: Part, summary: dict[str, Any]) -> None:
    results.metrics[part.metric] = summary["success_rate"]
    whole = {"name": "mean", **summary}
    tasks = summary["tasks"]
    for section in [*tasks, whole] if len(tasks) > 1 else tasks:
        results.rows.append(
            {
                "part": part.metric,
                "task": section["name"],
                "successes": section["successes"],
                "episodes": section["episodes"],
                "rate": section["success_rate"],
                "low": section["interval_95"][0],
                "high": section["interval_95"][1],
            }
        )
    inference = summary["timing"]["inference_ms"]
    results.notes.append(
        f"{part.metric}: {summary['command']}; weights {summary['policy']['sha256'][:12]}, "
        f"inference median {inference['p50']:.1f} ms, p99 {inference['p99']:.1f} ms"
    )


def plot(results: Results) -> plt.Figure:
    """Draw every rate with its interval."""
    rows = results.rows[::-1]
    figure, axes = plt.subplots(figsize=(7, 0.4 * len(rows) + 1))
    rates = [row["rate"] for row in rows]
    below = [max(row["rate"] - row["low"], 0.0) for row in rows]
    above = [max(row["high"] - row["rate"], 0.0) for row in rows]
    axes.errorbar(rates, range(len(rows)), xerr=[below, above], fmt="o", capsize=3)
    axes.set_yticks(range(len(rows)), [f"{row['part']}: {row['task']}" for row in rows])
    axes.set_xlim(0.0, 1.02)
    axes.set_xlabel("success rate, 95 % interval")
    axes.set_title("Shipped checkpoints on the twin")
    axes.grid(axis="x", alpha=0.3)
    return figure
