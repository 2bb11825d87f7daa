"""What a study compares: variants x tasks x numbers of demonstrations x seeds."""

import dataclasses
import itertools
from dataclasses import dataclass
from enum import StrEnum

from mail_policy.training.config import TrainConfig
from mail_sim.world.suites import SUITES


class Size(StrEnum):
    """How much is computed: seconds for a try, hours on two cores, days on a GPU."""

    SMOKE = "smoke"
    LIGHT = "light"
    FULL = "full"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One policy, which is trained once and then tried in fixed initial states.

    Attributes:
        variant: Name of the choice.
        tasks: Names of the tasks that it learns and is tried at.
        states: Initial states per task.
        config: How it is trained, with the number of demonstrations and the seed.
    """

    variant: str
    tasks: tuple[str, ...]
    states: int
    config: TrainConfig

    @property
    def name(self) -> str:
        """Name of its files."""
        return self.config.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """A grid of cells, and which of them are compared.

    Attributes:
        name: Of the benchmark.
        question: What it asks.
        size: How much is computed.
        variants: How each choice is trained, by name.
        task_sets: Names of tasks; each set is learned by policies of its own.
        demonstrations: Numbers of demonstrations per task.
        seeds: Policies per choice, with seeds 0, 1, ...
        states: Initial states per task.
        comparisons: Pairs of variants whose difference is reported, where both are run.
        optional: Variants that are run only where they are asked for.
        pooled: Whether differences are those of all tasks together, or of each set of tasks.
    """

    name: str
    question: str
    size: Size
    variants: dict[str, TrainConfig]
    task_sets: tuple[tuple[str, ...], ...]
    demonstrations: tuple[int, ...]
    seeds: int
    states: int
    comparisons: tuple[tuple[str, str], ...]
    optional: tuple[str, ...] = ()
    pooled: bool = True

    def cells(self) -> list[Cell]:
        """Return all cells. Those of one seed come first, so that an early end leaves pairs."""
        grid = itertools.product(
            range(self.seeds), self.task_sets, self.demonstrations, self.variants
        )
        return [self._cell(*place) for place in grid]

    @property
    def compared(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """The sets of tasks over which differences are averaged."""
        return (self.task_sets,) if self.pooled else tuple((tasks,) for tasks in self.task_sets)

    def _cell(self, seed: int, tasks: tuple[str, ...], demonstrations: int, variant: str) -> Cell:
        config = self.variants[variant]
        parts = (self.size, variant, "+".join(tasks), f"n{demonstrations}", f"s{seed}")
        chosen = dataclasses.replace(config.demonstrations, per_task=demonstrations)
        return Cell(
            variant=variant,
            tasks=tasks,
            states=self.states,
            config=dataclasses.replace(
                config, name="-".join(parts), seed=seed, demonstrations=chosen
            ),
        )


def suite_of(task: str) -> str:
    """Return the name of the suite that a task belongs to. Raises ValueError: none has it."""
    for name, tasks in SUITES.items():
        if task in (known.name for known in tasks):
            return name
    known = ", ".join(task.name for tasks in SUITES.values() for task in tasks)
    raise ValueError(f"no suite has a task {task!r}; known: {known}")
