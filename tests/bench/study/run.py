"""The command line of every study: collects, trains, tries, and reports what there is."""

import argparse
import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from data_collection.errors import EpisodeError
from data_collection.manifest import load_manifest
from data_collection.message_reader import list_episodes
from mail_sim.worker_pool import worker_pool
from mail_sim.world import collect
from tests.bench import harness
from tests.bench.study.cell import Result, finished_result, run_cell, task_of
from tests.bench.study.grid import Cell, Size, Study, suite_of
from tests.bench.study.report import report

DATA = harness.RUNS.parent / "data"
_DEMONSTRATIONS = 50


def study_main(argv: list[str], make_study: Callable[[Size], Study]) -> int:
    """Run or report a study as the words of a command line say; return the exit code."""
    words = _parse(argv, make_study)
    study = _cut(make_study(Size(words.size)), words)
    cells = study.cells()[: words.cells]
    folder, console = harness.RUNS / study.name, harness.make_console()
    failures = 0
    if not words.report:
        tasks = itertools.chain.from_iterable(study.task_sets)
        if not all(_collect(task, study, words.data) for task in tasks):
            return 1
        failures = run_cells(cells, words.workers, words.data, folder, console)
    report(study, folder, console)
    return 1 if failures else 0


def run_cells(
    cells: Sequence[Cell], workers: int, data: Path, folder: Path, console: Console
) -> int:
    """Run the cells that have no result yet; return how many failed.

    Args:
        cells: In the order in which they are begun.
        workers: Processes, of one thread each.
        data: Folder with one folder of demonstrations per suite.
        folder: Of the study.
        console: For progress.
    """
    waiting = [cell for cell in cells if finished_result(cell, folder) is None]
    console.print(f"{len(cells) - len(waiting)} of {len(cells)} cells are there already")
    columns = (TextColumn("cells"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    pool = worker_pool(workers)
    started_s, failures = time.time(), 0
    with Progress(*columns, console=console) as bar:
        shown = bar.add_task("", total=len(waiting))
        futures = {pool.submit(run_cell, cell, data, folder): cell for cell in waiting}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                left_s = (time.time() - started_s) / done * (len(waiting) - done)
                failures += future.exception() is not None
                console.print(f"{done}/{len(waiting)} {_summary(futures[future], future)}")
                console.print(f"[dim]about {left_s / 60:.0f} min left")
                bar.advance(shown)
        finally:
            # An interrupted study must not wait for cells that have not begun.
            pool.shutdown(cancel_futures=True)
    return failures


def _summary(cell: Cell, future: Future[Result]) -> str:
    if error := future.exception():
        return f"{cell.name}: failed: {error}"
    result = future.result()
    rates = ", ".join(
        f"{task} {sum(row['success'] for row in rows)}/{len(rows)}"
        for task, rows in result["episodes"].items()
    )
    return (
        f"{cell.name}: {rates}; trained in {result['training_s']:.0f} s "
        f"({result['training_cpu_s']:.0f} s of a core), tried in {result['evaluation_s']:.0f} s"
    )


def _collect(task: str, study: Study, data: Path) -> bool:
    """Record the demonstrations of a task if there are too few; return whether there are enough."""
    folder, most = data / suite_of(task), max(study.demonstrations)
    if _finished_demonstrations(folder, task) >= most:
        return True
    wanted = most if study.size is Size.SMOKE else max(most, _DEMONSTRATIONS)
    words = ["--task", task_of(task).sentence, "--episodes", str(wanted), "--out", str(folder)]
    return collect.main(words) == 0


def _finished_demonstrations(folder: Path, task: str) -> int:
    sentence, count = task_of(task).sentence, 0
    for episode in list_episodes(folder):
        with contextlib.suppress(EpisodeError):  # One that is being recorded does not count yet.
            manifest = load_manifest(episode)
            count += manifest.task == sentence and manifest.success is True
    return count


def _parse(argv: list[str], make_study: Callable[[Size], Study]) -> argparse.Namespace:
    study = make_study(Size.LIGHT)
    parser = argparse.ArgumentParser(
        prog=f"mailctl bench {study.name}",
        description=f"{study.question} A second run goes on where the first one ended.",
    )
    add = parser.add_argument
    add("--size", choices=[*Size], default=Size.LIGHT, help="[%(default)s]")
    add("--workers", type=int, default=1, help="processes of one thread each [%(default)s]")
    add("--report", action="store_true", help="only report the cells that are there")
    add("--cells", type=int, help="run only the first so many")
    add("--variants", nargs="+", choices=[*study.variants], help="run only these")
    add("--tasks", nargs="+", help="names of tasks to learn")
    add("--demonstrations", nargs="+", type=int, help="numbers per task")
    add("--seeds", type=int, help="policies per variant")
    add("--states", type=int, help="initial states per task")
    add("--data", type=Path, default=DATA, help="a folder per suite [%(default)s]")
    return parser.parse_args(argv)


def _cut(study: Study, words: argparse.Namespace) -> Study:
    """Return a study with the changes of a command line."""
    names = words.variants or [name for name in study.variants if name not in study.optional]
    changes: dict[str, Any] = {
        "variants": {name: study.variants[name] for name in names},
        "comparisons": tuple(pair for pair in study.comparisons if set(pair) <= set(names)),
    }
    if words.tasks:
        together = len(study.task_sets[0]) > 1
        changes["task_sets"] = (tuple(words.tasks),) if together else tuple(zip(words.tasks))
    if words.demonstrations:
        changes["demonstrations"] = tuple(words.demonstrations)
    for name in ("seeds", "states"):
        if getattr(words, name):
            changes[name] = getattr(words, name)
    return dataclasses.replace(study, **changes)
