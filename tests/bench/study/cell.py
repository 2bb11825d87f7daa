"""Trains the policy of one cell, tries it, and keeps what came out as JSON."""

import hashlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from data_collection.provenance import software_versions
from mail_policy.core.config import ConfigError, build_config, to_plain
from mail_policy.data.episodes import PictureRequest, load_episodes
from mail_policy.evaluation.rollout import RolloutConfig, run_episode
from mail_policy.inference.predictor import Predictor
from mail_policy.training.config import TrainConfig
from mail_policy.training.state import STATE_NAME, load_state
from mail_policy.training.train import Run, prepare, train
from mail_sim.direct_evaluation import SteppedTwin
from mail_sim.world.suites import SUITES, initial_state_seeds
from mail_sim.world.tasks import Task
from mail_sim.world.world import World
from tests.bench.study.grid import Cell, suite_of

CELLS_NAME = "cells"
Result = dict[str, Any]


def task_of(name: str) -> Task:
    """Return a task of any suite by its name."""
    return next(task for task in SUITES[suite_of(name)] if task.name == name)


def finished_result(cell: Cell, folder: Path) -> Result | None:
    """Return what came out of a cell; None if it was not run, or was run in another way.

    Args:
        cell: Which.
        folder: Of the study.
    """
    try:
        result: Result = json.loads((folder / CELLS_NAME / f"{cell.name}.json").read_text())
        # Built again, so that a setting that came later does not make old results worthless.
        config = build_config(TrainConfig, result["config"], where=cell.name)
        states = {task: [row["seed"] for row in rows] for task, rows in result["episodes"].items()}
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        return None
    wanted = {task: list(initial_state_seeds(cell.states)) for task in cell.tasks}
    return result if config == cell.config and states == wanted else None


def run_cell(cell: Cell, data: Path, folder: Path) -> Result:
    """Train and try the policy of a cell; write and return what came out.

    A training that was interrupted goes on where its last state was saved.

    Args:
        cell: What to do.
        data: Folder with one folder of demonstrations per suite.
        folder: Of the study.
    """
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    run = prepare_cell(cell, data)
    training = folder / "training" / cell.name
    if (training / STATE_NAME).exists():
        load_state(training, run.trainer, run.learned)
    checkpoint = train(run, training, Console(quiet=True), tensorboard=False)
    trained_s, trained_cpu_s = time.perf_counter(), time.process_time()
    episodes = {task: _try_policy(checkpoint, task, cell) for task in cell.tasks}
    plain = to_plain(cell.config)
    result: Result = {
        "variant": cell.variant,
        "config": plain,
        "config_sha256": hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest(),
        "dataset_sha256": run.learned.dataset_sha256,
        "parameters": sum(values.numel() for values in run.trainer.policy.parameters()),
        "training_s": trained_s - started_s,
        "training_cpu_s": trained_cpu_s - started_cpu_s,
        "evaluation_s": time.perf_counter() - trained_s,
        "episodes": episodes,
        "software": software_versions(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    _write(folder / CELLS_NAME / f"{cell.name}.json", result)
    # The optimiser's state is twice the size of the checkpoint, and no longer needed.
    (training / STATE_NAME).unlink(missing_ok=True)
    return result


def prepare_cell(cell: Cell, data: Path) -> Run:
    """Read the demonstrations of a cell and get its training ready."""
    model = cell.config.model
    pictures = PictureRequest(model.camera_names, model.cameras[0].height, model.cameras[0].width)
    episodes = []
    for task in cell.tasks:
        sentence = task_of(task).sentence
        episodes += load_episodes(data / suite_of(task), pictures, tasks=(sentence,))
    return prepare(cell.config, episodes, f"cell {cell.name} of a study")


def _try_policy(checkpoint: Path, name: str, cell: Cell) -> list[dict[str, Any]]:
    """Let a policy do a task from every initial state; return a row for each."""
    task, config = task_of(name), cell.config
    predictor = Predictor(checkpoint, threads=config.threads)
    predictor.set_task(task.sentence)
    rollout = RolloutConfig(
        period_s=1.0 / config.rate_hz, exec_horizon=config.exec_horizon, max_steps=task.max_steps
    )
    with World(task, cameras=config.model.camera_names) as world:
        twin = SteppedTwin(world)
        tried = [
            run_episode(twin, predictor, seed, rollout) for seed in initial_state_seeds(cell.states)
        ]
    return [{"seed": one.seed, "success": one.success, "steps": one.steps} for one in tried]


def _write(file: Path, result: Result) -> None:
    """Write a file as a whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1) + "\n")
    partial.rename(file)
