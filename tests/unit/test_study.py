"""Studies run each cell once, go on after a death, pair their variants, and say only what is so."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from mail_policy.core.config import to_plain
from mail_policy.training.state import STATE_NAME
from mail_sim.world.suites import initial_state_seeds
from mail_sim.world.tasks import task_for
from tests.bench import harness, history, low_data, mixers, modalities, sensitivity
from tests.bench.study import cell as cells
from tests.bench.study import run
from tests.bench.study.grid import Cell, Size, Study, suite_of
from tests.bench.study.intervals import Interval, clustered_bootstrap
from tests.bench.study.report import report, verdict
from tests.unit.synthetic_episodes import episode, train_config

QUIET = Console(quiet=True)
BENCHES = (low_data, modalities, history, sensitivity, mixers)


def study(**changes: Any) -> Study:
    """Return two variants at two tasks, with one and two demonstrations and two seeds."""
    values = {
        "name": "tiny",
        "question": "Which?",
        "size": Size.SMOKE,
        "variants": {
            name: train_config(steps=steps, held_out_episodes=0, validate_every=9, save_every=9)
            for name, steps in (("A", 1), ("B", 2))
        },
        "task_sets": (("open_top",), ("close_top",)),
        "demonstrations": (1, 2),
        "seeds": 2,
        "states": 4,
        "comparisons": (("A", "B"),),
    }
    return Study(**{**values, **changes})


def finish(cell: Cell, folder: Path, successes: int) -> None:
    """Write a result in which the first initial states are successes."""
    rows = [
        {"seed": seed, "success": place < successes, "steps": 9}
        for place, seed in enumerate(initial_state_seeds(cell.states))
    ]
    result = {
        "config": to_plain(cell.config),
        "dataset_sha256": "0",
        "parameters": 10,
        "training_s": 2.0,
        "training_cpu_s": 1.0,
        "evaluation_s": 1.0,
        "episodes": dict.fromkeys(cell.tasks, rows),
    }
    file = folder / cells.CELLS_NAME / f"{cell.name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result))


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "worker_pool", ThreadPoolExecutor)


def test_a_seed_is_complete_before_the_next_begins() -> None:
    grid = study().cells()
    assert [cell.config.seed for cell in grid] == [0] * 8 + [1] * 8
    assert len({cell.name for cell in grid}) == 16
    assert {cell.config.demonstrations.per_task for cell in grid} == {1, 2}


@pytest.mark.parametrize("bench", BENCHES)
@pytest.mark.parametrize("size", Size)
def test_variants_differ_in_their_model_alone(bench: Any, size: Size) -> None:
    made = bench.make_study(size)
    assert {name for pair in made.comparisons for name in pair} <= set(made.variants)
    assert all(suite_of(task) for tasks in made.task_sets for task in tasks)
    first, *others = made.variants.values()
    same = {"steps": first.steps, "batch": first.batch} if bench is history else {}
    for other in others:
        assert other.model != first.model
        assert dataclasses.replace(other, name=first.name, model=first.model, **same) == first


def test_a_cell_is_run_once(one_process: None, tmp_path: Path, monkeypatch: Any) -> None:
    begun: list[str] = []

    def run_cell(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
        begun.append(cell.name)
        finish(cell, folder, 1)
        return cells.finished_result(cell, folder) or {}

    monkeypatch.setattr(run, "run_cell", run_cell)
    grid = study().cells()
    finish(grid[0], tmp_path, 1)
    # The file of a cell that was killed while writing.
    (tmp_path / cells.CELLS_NAME / f"{grid[1].name}.json").write_text('{"config": ')
    assert run.run_cells(grid, 1, tmp_path, tmp_path, QUIET) == 0
    assert begun == [cell.name for cell in grid[1:]]
    assert run.run_cells(grid, 1, tmp_path, tmp_path, QUIET) == 0
    assert len(begun) == 15


def test_a_result_of_another_protocol_does_not_count(tmp_path: Path) -> None:
    cell = study().cells()[0]
    finish(cell, tmp_path, 1)
    assert cells.finished_result(cell, tmp_path) is not None
    slower = dataclasses.replace(cell, config=dataclasses.replace(cell.config, steps=7))
    assert cells.finished_result(slower, tmp_path) is None
    assert cells.finished_result(dataclasses.replace(cell, states=5), tmp_path) is None


def test_a_failing_cell_does_not_end_the_others(
    one_process: None, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    grid = study().cells()

    def run_cell(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
        if cell.name == grid[2].name:
            raise ValueError("no such picture")
        finish(cell, folder, 3)
        return cells.finished_result(cell, folder) or {}

    monkeypatch.setattr(run, "run_cell", run_cell)
    assert run.run_cells(grid, 1, tmp_path, tmp_path, harness.make_console()) == 1
    said = capsys.readouterr().out
    assert f"{grid[2].name}: failed: no such picture" in said
    assert f"{grid[3].name}: open_top 3/4" in said
    assert [cells.finished_result(cell, tmp_path) is None for cell in grid].count(True) == 1


def test_a_cell_goes_on_where_it_was_killed(tmp_path: Path, monkeypatch: Any) -> None:
    cell = dataclasses.replace(study().cells()[0], states=1)
    task = dataclasses.replace(task_for("open_top"), max_steps=2)
    shown = [episode(f"e{i}", seed=i, task=task.sentence) for i in range(2)]
    monkeypatch.setattr(cells, "load_episodes", lambda root, pictures, tasks: list(shown))
    monkeypatch.setattr(cells, "task_of", lambda name: task)
    real_try, steps_done = cells._try_policy, []

    def die(*given: Any) -> Any:
        raise KeyboardInterrupt

    def watched_train(run: Any, *given: Any, **also: Any) -> Path:
        steps_done.append(run.trainer.step)
        return real_train(run, *given, **also)

    real_train = cells.train
    monkeypatch.setattr(cells, "train", watched_train)
    monkeypatch.setattr(cells, "_try_policy", die)
    with pytest.raises(KeyboardInterrupt):
        cells.run_cell(cell, tmp_path, tmp_path)
    assert cells.finished_result(cell, tmp_path) is None
    monkeypatch.setattr(cells, "_try_policy", real_try)
    cells.run_cell(cell, tmp_path, tmp_path)
    assert steps_done == [0, cell.config.steps]
    result = cells.finished_result(cell, tmp_path)
    assert result is not None
    assert result["episodes"] == {"open_top": [{"seed": 100_000, "success": False, "steps": 2}]}
    assert not list(tmp_path.rglob(STATE_NAME))


def test_the_report_pairs_what_is_there_and_names_what_is_not(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(harness, "RUNS", tmp_path)
    made = study()
    folder = tmp_path / made.name
    for cell in made.cells():
        if cell.config.demonstrations.per_task == 1 or cell.config.seed == 0:
            finish(cell, folder, 3 if cell.variant == "A" else 1)
    missing = folder / cells.CELLS_NAME / "smoke-B-close_top-n2-s0.json"
    missing.unlink()
    report(made, folder, QUIET)
    written = json.loads((folder / "results.json").read_text())
    assert written["metrics"]["success_a_1"] == 0.75
    assert written["metrics"]["a_minus_b_1"] == 0.5
    assert "a_minus_b_2" not in written["metrics"]
    assert "A and B, 2 demonstrations of open_top, close_top: not yet run" in written["notes"]
    assert any(
        "11 of 16 cells were run; not run: smoke-B-close_top-n2-s0" in note
        for note in written["notes"]
    )
    first = written["rows"][0]
    assert (first["variant"], first["by seed"], first["rate"]) == ("A", "3 3", 0.75)
    assert (folder / "tiny.png").stat().st_size > 0


def test_tasks_that_ask_different_things_are_not_averaged(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(harness, "RUNS", tmp_path)
    made = study(pooled=False, demonstrations=(1,))
    for cell in made.cells():
        helps = cell.variant == "A" and cell.tasks == ("open_top",)
        finish(cell, tmp_path / made.name, 4 if helps else 1)
    report(made, tmp_path / made.name, QUIET)
    written = json.loads((tmp_path / made.name / "results.json").read_text())
    assert written["metrics"]["open_top_a_minus_b_1"] == 0.75
    assert written["metrics"]["close_top_a_minus_b_1"] == 0.0
    assert all(row["task"] != "mean" for row in written["rows"])


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((0.1, -0.05, 0.25), "With 5 demonstrations A and B are not distinguishable (+10.0 points"),
        ((0.2, 0.05, 0.35), "A succeeds more often than B (+20.0 points"),
        ((-0.2, -0.35, -0.05), "A succeeds less often than B (-20.0 points"),
    ],
)
def test_a_verdict_says_no_more_than_the_interval(
    interval: tuple[float, float, float], said: str
) -> None:
    assert said in verdict(("A", "B"), 5, Interval(*interval), "scale")


def test_the_interval_has_the_width_that_independent_policies_have() -> None:
    rng = np.random.default_rng(1)
    by_policy = rng.normal(size=(60, 1, 1)) * np.ones((1, 1, 30))
    interval = clustered_bootstrap(by_policy)
    wanted = 2 * 1.96 * by_policy.std() / np.sqrt(60)
    assert interval.high - interval.low == pytest.approx(wanted, rel=0.1)


def test_pairing_takes_the_difficulty_of_initial_states_out() -> None:
    rng = np.random.default_rng(2)
    difficulty = rng.normal(size=(1, 1, 40))
    first = difficulty + 0.1 * rng.normal(size=(3, 2, 40)) + 0.2
    second = difficulty + 0.1 * rng.normal(size=(3, 2, 40))
    paired = clustered_bootstrap(first - second)
    alone = clustered_bootstrap(first)
    assert not paired.covers_zero
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no suite has a task 'open'; known: open_top"):
        suite_of("open")
