"""The success rates of a run on LIBERO."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from mail_policy.core.frames import Array
from mail_policy.evaluation.job import EpisodeKey
from mail_policy.evaluation.libero_run import LiberoRun
from mail_policy.evaluation.rollout import EpisodeResult
from mail_policy.evaluation.statistics import wilson_interval


@dataclass(frozen=True, slots=True, eq=False)
class LiberoResult:
    """Success rates.

    Attributes:
        run: What was run.
        counts: Episodes of each task and seed, shape (tasks, seeds).
        successes: Successes of each task and seed, shape (tasks, seeds).
    """

    run: LiberoRun
    counts: Array
    successes: Array

    @property
    def rates(self) -> Array:
        """Success rate of each task and seed, NaN where nothing was run, shape (tasks, seeds)."""
        rates: Array = np.where(
            self.counts > 0, self.successes / np.maximum(self.counts, 1), np.nan
        )
        return rates

    @property
    def is_complete(self) -> bool:
        """Whether all episodes were run."""
        return int(self.counts.sum()) == self.run.episodes

    @property
    def seed_rates(self) -> list[float]:
        """Mean over the tasks, for each seed of which every task was begun."""
        return [float(rates.mean()) for rates in self.rates.T if not np.isnan(rates).any()]

    def to_json(self) -> dict[str, Any]:
        """Return the content of a file of results."""
        episodes, successes = int(self.counts.sum()), int(self.successes.sum())
        return {
            "suite": str(self.run.suite),
            "protocol": self.run.protocol.name,
            "episodes": episodes,
            "is_complete": self.is_complete,
            "metrics": {
                "success_rate": mean(self.seed_rates),
                "std_over_seeds": spread(self.seed_rates),
                "interval_95": list(wilson_interval(successes, episodes)),
            },
            "rows": [
                {
                    "task": task.sentence,
                    "episodes": counts.astype(int).tolist(),
                    "successes": successes.astype(int).tolist(),
                }
                for task, counts, successes in zip(
                    self.run.tasks, self.counts, self.successes, strict=True
                )
            ],
        }


def result_of(run: LiberoRun, results: Mapping[EpisodeKey, EpisodeResult]) -> LiberoResult:
    """Count the successes of a run; episodes that are no part of it are left out."""
    counts, successes = np.zeros((2, len(run.tasks), len(run.protocol.seeds)))
    for row, task in enumerate(run.tasks):
        for column, seed in enumerate(run.protocol.seeds):
            done = [results[key] for key in run.keys(seed, task) if key in results]
            counts[row, column] = len(done)
            successes[row, column] = sum(result.success for result in done)
    return LiberoResult(run, counts, successes)


def mean(rates: Sequence[float]) -> float | None:
    """Return the mean over seeds, None without any."""
    return float(np.mean(rates)) if rates else None


def spread(rates: Sequence[float]) -> float | None:
    """Return the sample standard deviation over seeds, None for fewer than two."""
    return float(np.std(rates, ddof=1)) if len(rates) > 1 else None


def table_of(result: LiberoResult) -> Table:
    """Lay out the rates for people, in percent."""
    table = Table("task", *(f"seed {seed}" for seed in result.run.protocol.seeds), "mean")
    for column in table.columns[1:]:
        column.justify = "right"
    for task, rates in zip(result.run.tasks, result.rates, strict=True):
        known = rates[~np.isnan(rates)].tolist()
        table.add_row(task.sentence, *map(_percent, rates.tolist()), _percent(mean(known)))
    table.add_section()
    means = [None if np.isnan(rates).any() else float(rates.mean()) for rates in result.rates.T]
    table.add_row("mean over tasks", *map(_percent, means), _percent(mean(result.seed_rates)))
    return table


def sentence_of(result: LiberoResult) -> str:
    """Say the rate in one line, with what it was measured by."""
    rates, protocol = result.seed_rates, result.run.protocol
    std = spread(rates)
    deviation = "" if std is None else f" +- {100 * std:.1f} (standard deviation over seeds)"
    done = int(result.counts.sum())
    state = "" if result.is_complete else f", INCOMPLETE: {done} of {result.run.episodes} episodes"
    return (
        f"{result.run.suite}: {_percent(mean(rates))} %{deviation}; protocol {protocol.name}: "
        f"{protocol.initial_states} initial states x {len(result.run.tasks)} tasks x "
        f"{len(protocol.seeds)} seeds, {protocol.max_steps[result.run.suite]} steps{state}"
    )


def _percent(rate: float | None) -> str:
    return "-" if rate is None or np.isnan(rate) else f"{100 * rate:.1f}"
