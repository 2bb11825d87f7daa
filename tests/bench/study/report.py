"""Tables, plots and verdicts of a study, from whatever cells are finished."""

import itertools
from pathlib import Path

import numpy as np
from rich.console import Console

from mail_policy.core.frames import Array
from mail_policy.evaluation.statistics import wilson_interval
from tests.bench.harness import Results
from tests.bench.study.cell import Result, finished_result
from tests.bench.study.grid import Cell, Study
from tests.bench.study.intervals import Interval, clustered_bootstrap
from tests.bench.study.plot import plot_study

PERCENT = 100.0


class Outcomes:
    """What came out of the cells of a study.

    Args:
        study: Whose cells.
        folder: Of the study.
    """

    def __init__(self, study: Study, folder: Path) -> None:
        self.study = study
        self.cells: list[Cell] = study.cells()
        found = ((cell, finished_result(cell, folder)) for cell in self.cells)
        self.results: dict[str, Result] = {cell.name: got for cell, got in found if got is not None}

    def of(self, variant: str, tasks: tuple[str, ...], demonstrations: int) -> dict[int, Result]:
        """Return the results of one policy per seed, by seed."""
        return {
            cell.config.seed: self.results[cell.name]
            for cell in self.cells
            if cell.name in self.results
            and (cell.variant, cell.tasks) == (variant, tasks)
            and cell.config.demonstrations.per_task == demonstrations
        }

    def successes(
        self, variants: tuple[str, ...], task_sets: tuple[tuple[str, ...], ...], number: int
    ) -> Array:
        """Return successes of variants, over the seeds that have policies for all of it.

        Returns:
            0 or 1, shape (variants, seeds, tasks, initial states).
        """
        found = {(v, tasks): self.of(v, tasks, number) for v in variants for tasks in task_sets}
        seeds = sorted(set.intersection(*map(set, found.values())))
        values = [
            [
                [_row(found[variant, tasks][seed], task) for tasks in task_sets for task in tasks]
                for seed in seeds
            ]
            for variant in variants
        ]
        tasks = sum(map(len, task_sets))
        return np.array(values, float).reshape(len(variants), len(seeds), tasks, self.study.states)


def report(study: Study, folder: Path, console: Console) -> None:
    """Write tables, plots and verdicts below the folder of the study."""
    outcomes = Outcomes(study, folder)
    results = Results(study.name)
    if not outcomes.results:
        console.print(f"no finished cell in {folder}; run without --report first")
        return
    for number in study.demonstrations:
        for tasks in study.task_sets:
            for variant in study.variants:
                _add_rows(results, outcomes, variant, tasks, number)
        if study.pooled:
            _add_means(results, outcomes, number)
        for pair, task_sets in itertools.product(study.comparisons, study.compared):
            _add_comparison(results, outcomes, pair, number, task_sets)
    _add_protocol(results, outcomes)
    results.save(plot_study(study, results), console)


def verdict(pair: tuple[str, str], number: int, difference: Interval, scale: str) -> str:
    """Say in one sentence what a paired difference shows.

    Args:
        pair: The two variants; the difference is the first minus the second.
        number: Demonstrations per task.
        difference: Of success rates.
        scale: What it was measured on.
    """
    first, second = pair
    points = [PERCENT * value for value in difference]
    numbers = (
        f"{points[0]:+.1f} points, paired 95 % interval {points[1]:+.1f} to {points[2]:+.1f}; "
        f"{scale}"
    )
    if difference.covers_zero:
        said = f"{first} and {second} are not distinguishable"
    elif difference.mean > 0.0:
        said = f"{first} succeeds more often than {second}"
    else:
        said = f"{first} succeeds less often than {second}"
    return f"With {number} demonstrations {said} ({numbers})."


def _row(result: Result, task: str) -> list[bool]:
    return [episode["success"] for episode in result["episodes"][task]]


def _add_rows(
    results: Results, outcomes: Outcomes, variant: str, tasks: tuple[str, ...], number: int
) -> None:
    """Add a row per task with the success over all seeds."""
    cells = outcomes.of(variant, tasks, number)
    for task in tasks if cells else ():
        by_seed = [sum(_row(result, task)) for result in cells.values()]
        successes, episodes = sum(by_seed), len(by_seed) * outcomes.study.states
        low, high = wilson_interval(successes, episodes)
        any_result = next(iter(cells.values()))
        results.rows.append(
            {
                "variant": variant,
                "task": task,
                "demonstrations": number,
                "successes": successes,
                "episodes": episodes,
                "by seed": " ".join(map(str, by_seed)),
                "rate": successes / episodes,
                "low": low,
                "high": high,
                "parameters": any_result["parameters"],
                "core s": float(np.mean([r["training_cpu_s"] for r in cells.values()])),
            }
        )


def _add_means(results: Results, outcomes: Outcomes, number: int) -> None:
    """Add a row per variant with the mean of all tasks, where every task has a policy."""
    study = outcomes.study
    for variant in study.variants:
        values = outcomes.successes((variant,), study.task_sets, number)[0]
        if not values.size:
            continue
        mean = clustered_bootstrap(values)
        results.rows.append(
            {
                "variant": variant,
                "task": "mean",
                "demonstrations": number,
                "successes": int(values.sum()),
                "episodes": values.size,
                "rate": mean.mean,
                "low": mean.low,
                "high": mean.high,
            }
        )
        results.metrics[f"success_{_word(variant)}_{number}"] = mean.mean


def _add_comparison(
    results: Results,
    outcomes: Outcomes,
    pair: tuple[str, str],
    number: int,
    task_sets: tuple[tuple[str, ...], ...],
) -> None:
    """Add the difference of a pair of variants at some tasks, and the sentence about it."""
    names = [task for tasks in task_sets for task in tasks]
    first, second = pair
    values = outcomes.successes(pair, task_sets, number)
    if not values.size:
        results.notes.append(
            f"{first} and {second}, {number} demonstrations of {', '.join(names)}: not yet run"
        )
        return
    difference = clustered_bootstrap(values[0] - values[1])
    _, seeds, _, states = values.shape
    scale = f"{', '.join(names)}; {seeds} seeds x {states} initial states"
    if seeds == 1:
        scale += ", so luck in training is not in the interval"
    results.notes.append(verdict(pair, number, difference, scale))
    where = "" if outcomes.study.pooled else f"{'_'.join(names)}_"
    name = f"{where}{_word(first)}_minus_{_word(second)}_{number}"
    results.metrics[name] = difference.mean
    results.metrics[f"{name}_low"], results.metrics[f"{name}_high"] = difference[1:]


def _add_protocol(results: Results, outcomes: Outcomes) -> None:
    """Say how the numbers came about, and what is missing."""
    study, cells = outcomes.study, outcomes.cells
    missing = [cell.name for cell in cells if cell.name not in outcomes.results]
    budgets = dict.fromkeys(
        f"{config.steps} steps of {config.batch.segments} x {config.batch.decisions_per_segment}"
        for config in study.variants.values()
    )
    results.notes += [
        f"size {study.size}: {' or '.join(budgets)} decisions; the same demonstrations and "
        "initial states for all variants; rates by task have Wilson intervals, means and "
        "differences have bootstrap intervals over seeds and initial states",
        f"{len(outcomes.results)} of {len(cells)} cells were run"
        + (f"; not run: {', '.join(missing)}" if missing else ""),
    ]
    data: dict[tuple[object, ...], set[str]] = {}
    for cell in cells:
        if cell.name in outcomes.results:
            key = (cell.tasks, cell.config.demonstrations.per_task)
            data.setdefault(key, set()).add(outcomes.results[cell.name]["dataset_sha256"])
    if changed := [key for key, hashes in data.items() if len(hashes) > 1]:
        results.notes.append(f"WARNING: demonstrations changed between cells of {changed}")


def _word(variant: str) -> str:
    return variant.lower().replace("-", "_")
