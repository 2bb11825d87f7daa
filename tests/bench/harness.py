"""What all benchmarks share: fair timing, and results as JSON, table and plot.

Machines are noisy, so candidates of a comparison are timed in turns, round by round, and compared
by their medians.
"""

import json
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from data_collection.provenance import processor_name, software_versions

mpl.use("Agg")
from matplotlib import pyplot as plt

RUNS = Path(__file__).parents[2] / "runs" / "bench"


@dataclass
class Results:
    """What a benchmark found.

    Attributes:
        name: Of the benchmark.
        metrics: Number by name: what is compared between versions.
        rows: The table.
        notes: What a reader must know.
    """

    name: str
    metrics: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def save(self, figure: plt.Figure, console: Console) -> Path:
        """Write everything below runs/bench, print the table; return the folder."""
        folder = RUNS / self.name
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "metrics": self.metrics,
            "rows": self.rows,
            "notes": self.notes,
            "environment": environment(),
            "command": shlex.join(["mailctl", "bench", self.name, *sys.argv[3:]]),
        }
        (folder / "results.json").write_text(json.dumps(content, indent=2) + "\n")
        figure.savefig(folder / f"{self.name}.png", dpi=120, bbox_inches="tight")
        plt.close(figure)
        console.print(self._table())
        for name, value in self.metrics.items():
            console.print(f"{name}: {value:.3g}")
        for note in self.notes:
            console.print(f"[dim]{note}")
        console.print(f"written: {folder}")
        return folder

    def _table(self) -> Table:
        table = Table(title=self.name)
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        for column in columns:
            table.add_column(column, justify="left" if column == columns[0] else "right")
        for row in self.rows:
            table.add_row(*(_text(row.get(column, "")) for column in columns))
        return table


def medians_ms(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int,
    console: Console,
    title: str,
    repeats: int = 1,
    *,
    gradients: bool = False,
) -> dict[str, float]:
    """Time candidates in turns; return the median duration of one call of each [ms].

    Args:
        candidates: What to call, by name.
        rounds: How often each is timed, after one call that is not.
        console: For progress.
        title: Of the progress bar.
        repeats: Calls per timing, for what takes microseconds.
        gradients: Whether the candidates need them.
    """
    times_ms: dict[str, list[float]] = {name: [] for name in candidates}
    with torch.inference_mode(not gradients), Progress(console=console, transient=True) as bar:
        shown = bar.add_task(title, total=rounds + 1)
        for turn in range(rounds + 1):
            for name, run in candidates.items():
                started = time.perf_counter()
                for _ in range(repeats):
                    run()
                if turn:
                    times_ms[name].append(1e3 * (time.perf_counter() - started) / repeats)
            bar.advance(shown)
    return {name: statistics.median(values) for name, values in times_ms.items()}


def make_console() -> Console:
    """Return a console whose tables are not folded when they go to a file."""
    return Console(width=None if sys.stdout.isatty() else 150)


def environment() -> dict[str, Any]:
    """Return what the numbers depend on."""
    return {
        "processor": processor_name(),
        "cores": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **software_versions(),
    }


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
