"""A run on LIBERO: what is run, what is kept when it is killed, and what is reported."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mail_policy.core.action_schema import EE_DELTA
from mail_policy.core.types import Observation
from mail_policy.data.windows import Window
from mail_policy.evaluation.job import EpisodeKey
from mail_policy.evaluation.libero_protocol import (
    MAIL,
    PROTOCOLS,
    LiberoTask,
    SuccessRule,
    Suite,
)
from mail_policy.evaluation.libero_run import LiberoRun, run_libero
from mail_policy.evaluation.libero_table import result_of, sentence_of, table_of
from mail_policy.evaluation.log import EpisodeLog
from mail_policy.evaluation.rollout import EpisodeResult
from mail_policy.inference.history import HistoryBuffer

TASKS = (LiberoTask(0, "go", "go"), LiberoTask(1, "stay", "stay"))
SETTINGS = {"suite": "libero_goal", "policies": ["a"]}
RUN = LiberoRun(
    suite=Suite.GOAL,
    tasks=TASKS,
    protocol=replace(MAIL, initial_states=3, max_steps=dict.fromkeys(Suite, 4)),
    exec_horizon=2,
)


class KilledError(Exception):
    """Stands for the end of a process."""


class World:
    """Done once the hand is 0.1 m in front; a task that says stay is never done."""

    def __init__(self, task: LiberoTask) -> None:
        self.can_succeed = task.name == "go"
        self.actions: list[np.ndarray] = []

    def reset(self, seed: int) -> Observation:
        self.state, self.x_m, self.actions = seed, 0.0, []
        return self._observe()

    def step(self, action: np.ndarray) -> Observation:
        self.actions.append(action)
        self.x_m += action[0]
        return self._observe()

    def step_joints(self, action: np.ndarray) -> Observation:
        raise AssertionError("LIBERO takes steps of the hand")

    def success(self) -> bool:
        return self.can_succeed and self.x_m > 0.1

    def _observe(self) -> Observation:
        return Observation(0.05 * len(self.actions), {}, np.zeros(7), 0.08)


class Policy:
    """Goes forward by what is LIBERO's largest step in three directions at once."""

    schema = EE_DELTA
    row = np.array([0.05, -0.05, 0.05, 0.5, 0.0, -0.5, 0.0])

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def set_task(self, sentence: str) -> str:
        self.sentences.append(sentence)
        return sentence

    def reset(self) -> None:
        pass

    def new_history(self) -> HistoryBuffer:
        return HistoryBuffer(1, 0.05)

    def encode(self, observation: Observation) -> None:
        pass

    def predict(self, window: Window) -> np.ndarray:
        return np.tile(self.row, (2, 1))


class Bench:
    """Opens worlds and policies, and notes which."""

    def __init__(self, killed_after: int = 99) -> None:
        self.opened: list[tuple[int, int]] = []
        self.policies: list[int] = []
        self.episodes: list[EpisodeKey] = []
        self.worlds: list[World] = []
        self._killed_after = killed_after

    @contextmanager
    def world(self, task: LiberoTask, seed: int) -> Iterator[World]:
        self.opened.append((seed, task.number))
        self.worlds.append(World(task))
        yield self.worlds[-1]

    def policy(self, seed: int) -> Policy:
        self.policies.append(seed)
        return Policy()

    def tell(self, key: EpisodeKey, result: EpisodeResult) -> None:
        self.episodes.append(key)
        if len(self.episodes) == self._killed_after:
            raise KilledError

    def run(self, folder: Path, run: LiberoRun = RUN) -> dict[EpisodeKey, EpisodeResult]:
        with EpisodeLog(folder, SETTINGS) as log:
            run_libero(run, self.world, self.policy, log, self.tell)
        return log.results


ALL = [
    EpisodeKey(f"seed {seed}", task.name, state)
    for seed in (0, 1, 2)
    for task in TASKS
    for state in (0, 1, 2)
]


@pytest.mark.parametrize(
    ("name", "states", "settling", "steps", "success"),
    [
        ("libero", 20, (5, 0.0), (600, 600, 600, 600, 600), SuccessRule.DONE),
        ("mail", 20, (5, -1.0), (600, 600, 600, 600, 600), SuccessRule.REWARD),
        ("openpi", 50, (10, -1.0), (220, 280, 300, 520, 400), SuccessRule.DONE),
        ("lerobot", 10, (10, -1.0), (280, 280, 300, 520, 400), SuccessRule.CHECK),
    ],
)
def test_protocols_are_those_of_their_projects(
    name: str, states: int, settling: tuple[int, float], steps: tuple[int, ...], success: object
) -> None:
    protocol = PROTOCOLS[name]
    assert protocol.initial_states == states
    assert (protocol.settle_steps, protocol.settle_gripper) == settling
    assert tuple(protocol.max_steps[suite] for suite in Suite) == steps
    assert protocol.success is success


def test_mail_runs_600_episodes_of_a_suite_of_ten_tasks() -> None:
    tasks = tuple(LiberoTask(number, "", "") for number in range(10))
    run = LiberoRun(suite=Suite.GOAL, tasks=tasks, protocol=MAIL, exec_horizon=5)
    assert run.episodes == 20 * 10 * 3
    assert run.rollout.max_steps == 600
    assert run.rollout.latency_steps == 0


def test_every_state_of_every_task_is_run_with_every_seed(tmp_path: Path) -> None:
    bench = Bench()
    results = bench.run(tmp_path)
    assert bench.episodes == list(results) == ALL
    assert bench.opened == [(seed, task) for seed in (0, 1, 2) for task in (0, 1)]
    assert bench.policies == [0, 1, 2]
    for key, result in results.items():
        done = key.task == "go"
        assert (result.success, result.steps) == (done, 3 if done else 4)


def test_steps_reach_the_world_as_the_policy_chose_them(tmp_path: Path) -> None:
    """The twin's limits are not LIBERO's: nothing may be taken off a step of 0.05 m an axis."""
    bench = Bench()
    bench.run(tmp_path)
    for action in bench.worlds[1].actions:
        np.testing.assert_allclose(action, Policy.row, atol=1e-12)


@pytest.mark.parametrize("killed_after", [1, 3, 4, 10, 18])
def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path: Path, killed_after: int) -> None:
    with pytest.raises(KilledError):
        Bench(killed_after).run(tmp_path)
    second = Bench()
    assert list(second.run(tmp_path)) == ALL
    assert second.episodes == ALL[killed_after:]
    third = Bench()
    third.run(tmp_path)
    assert third.opened == third.policies == []


def test_a_run_may_be_done_task_by_task(tmp_path: Path) -> None:
    for task in reversed(TASKS):
        Bench().run(tmp_path, replace(RUN, tasks=(task,)))
    bench = Bench()
    assert set(bench.run(tmp_path)) == set(ALL)
    assert bench.opened == []


def results_with(successes: list[list[int]]) -> dict[EpisodeKey, EpisodeResult]:
    """Return a whole run with so many successes of three for each task and seed."""
    return {
        key: EpisodeResult(key.seed, key.seed < successes[task.number][seed], 4, ())
        for seed in RUN.protocol.seeds
        for task in TASKS
        for key in RUN.keys(seed, task)
    }


def test_the_rate_is_the_mean_over_tasks_and_its_spread_that_over_seeds() -> None:
    result = result_of(RUN, results_with([[3, 3, 0], [3, 0, 0]]))
    summary = result.to_json()
    # Seeds have 100, 50 and 0 percent.
    assert summary["metrics"]["success_rate"] == pytest.approx(0.5)
    assert summary["metrics"]["std_over_seeds"] == pytest.approx(0.5)
    assert summary["is_complete"]
    assert summary["rows"][0] == {"task": "go", "episodes": [3, 3, 3], "successes": [3, 3, 0]}
    said = sentence_of(result)
    assert "libero_goal: 50.0 % +- 50.0" in said
    assert "protocol mail: 3 initial states x 2 tasks x 3 seeds, 4 steps" in said


def test_the_table_has_a_row_per_task_and_a_column_per_seed() -> None:
    console = Console(width=100, record=True, quiet=True)
    console.quiet = False
    with console.capture() as captured:
        console.print(table_of(result_of(RUN, results_with([[3, 3, 0], [3, 0, 1]]))))
    numbers = [
        [word for word in line.replace("│", " ").split() if word.replace(".", "").isdigit()]
        for line in captured.get().splitlines()
        if "." in line
    ]
    assert numbers == [
        ["100.0", "100.0", "0.0", "66.7"],
        ["100.0", "0.0", "33.3", "44.4"],
        ["100.0", "50.0", "16.7", "55.6"],
    ]


def test_a_part_of_a_run_is_never_taken_for_the_whole() -> None:
    results = results_with([[3, 3, 3], [3, 3, 3]])
    result = result_of(RUN, {key: results[key] for key in ALL[:9]})
    assert result.seed_rates == [1.0]
    assert not result.to_json()["is_complete"]
    assert result.to_json()["metrics"]["std_over_seeds"] is None
    assert "INCOMPLETE: 9 of 18 episodes" in sentence_of(result)
    nothing = result_of(RUN, {})
    assert nothing.to_json()["metrics"]["success_rate"] is None
    assert "libero_goal: - %" in sentence_of(nothing)
