"""How fast the directly stepped twin is, and how reliable its experts are.

Speed counts processor time, not time on the clock: steps per second that one core can do, with
the rasteriser's thread included. Candidates play the same episodes in turns.

    mailctl bench twin               environment steps per second of a core
    mailctl bench twin --experts     success of the experts in the fixed initial states
    mailctl bench twin --looks       a sheet of pictures of varied scenes
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console
from rich.progress import track

from mail_policy.core.frames import Array
from mail_policy.evaluation.seeds import FIRST_EVALUATION_SEED
from mail_policy.evaluation.statistics import wilson_interval
from mail_sim.world.demonstration import Demonstration, demonstrate
from mail_sim.world.scripted_episode import write_demonstration
from mail_sim.world.suites import INITIAL_STATES, SUITES, initial_state_seeds
from mail_sim.world.tasks import TASKS
from mail_sim.world.variation import Variation
from mail_sim.world.world import World
from tests.bench.harness import RUNS, Results, make_console

IMAGE_SIZE = 128
# As demonstrations are collected.
NOISE = 0.25
LOOKS = 12
# Plays the episode of a seed and returns its steps.
Play = Callable[[int], int]


def main(argv: list[str]) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="mailctl bench twin",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=10, help="episodes of each candidate")
    parser.add_argument("--experts", action="store_true", help="measure the experts instead")
    parser.add_argument(
        "--states", type=int, default=INITIAL_STATES, help="initial states of each expert"
    )
    parser.add_argument("--looks", action="store_true", help="draw varied scenes instead")
    words = parser.parse_args(argv)
    console = make_console()
    if words.looks:
        draw_looks(console)
    elif words.experts:
        measure_experts(words.states, console)
    else:
        measure_speed(words.rounds, console)
    return 0


def measure_speed(rounds: int, console: Console) -> None:
    """Time episodes of an expert without pictures, with pictures, and with writing."""
    results = Results("twin")
    task = TASKS[0]
    with (
        World(task, render=False) as blind,
        World(task, image_size=IMAGE_SIZE) as seeing,
        tempfile.TemporaryDirectory() as folder,
    ):
        actions = {seed: labels(demonstrate(blind, seed, NOISE)) for seed in range(rounds)}
        candidates: dict[str, Play] = {
            "actions replayed, no cameras": lambda seed: replay(blind, seed, actions[seed]),
            "expert, no cameras": lambda seed: len(demonstrate(blind, seed, NOISE).steps),
            "expert, two cameras": lambda seed: len(demonstrate(seeing, seed, NOISE).steps),
            "expert, two cameras, written": lambda seed: write(seeing, seed, Path(folder)),
        }
        ms = step_times_ms(candidates, rounds, console)
    for name, step_ms in ms.items():
        results.rows.append({"what": name, "ms/step": step_ms, "steps/s per core": 1e3 / step_ms})
    results.metrics["env_steps_per_s"] = 1e3 / ms["expert, two cameras"]
    results.metrics["env_steps_per_s_no_cameras"] = 1e3 / ms["expert, no cameras"]
    results.metrics["env_steps_per_s_written"] = 1e3 / ms["expert, two cameras, written"]
    results.notes.append(
        f"task {task.sentence!r}, pictures {IMAGE_SIZE} x {IMAGE_SIZE}, median of {rounds} "
        "episodes, processor time of one process; a busy machine shares its cores' caches and "
        "pipelines, so it shows less than an idle one"
    )
    results.save(plot_speed(results), console)


def labels(demonstration: Demonstration) -> list[Array]:
    """Return the actions of a demonstration."""
    return [action for _, action in demonstration.steps if action is not None]


def replay(world: World, seed: int, actions: list[Array]) -> int:
    """Play known actions from the initial state of a seed; return how many."""
    world.reset(seed)
    for action in actions:
        world.step(action)
    return len(actions)


def write(world: World, seed: int, folder: Path) -> int:
    """Play an episode and write it; return its steps."""
    demonstration = demonstrate(world, seed, NOISE)
    write_demonstration(folder / "episode", world.task.sentence, seed, demonstration)
    return len(demonstration.steps)


def step_times_ms(candidates: dict[str, Play], rounds: int, console: Console) -> dict[str, float]:
    """Play episodes in turns; return the median processor time per step of each candidate [ms]."""
    times_ms: dict[str, list[float]] = {name: [] for name in candidates}
    for play in candidates.values():
        play(0)
    for seed in track(range(rounds), "episodes", console=console, transient=True):
        for name, play in candidates.items():
            started_s = time.process_time()
            steps = play(seed)
            times_ms[name].append(1e3 * (time.process_time() - started_s) / steps)
    return {name: statistics.median(values) for name, values in times_ms.items()}


def plot_speed(results: Results) -> plt.Figure:
    """Draw the steps per second of every candidate."""
    figure, axes = plt.subplots(figsize=(7, 2.6))
    names = [row["what"] for row in results.rows]
    bars = axes.barh(names, [row["steps/s per core"] for row in results.rows])
    axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("environment steps per second and core")
    return figure


def measure_experts(states: int, console: Console) -> None:
    """Let every expert play the first fixed initial states, disturbed as in a collection."""
    results = Results("experts")
    tasks = [task for suite in SUITES.values() for task in suite]
    for task in track(tasks, "experts", console=console, transient=True):
        with World(task, render=False) as world:
            played = [demonstrate(world, seed, NOISE) for seed in initial_state_seeds(states)]
        successes = sum(demonstration.success for demonstration in played)
        low, high = wilson_interval(successes, states)
        lengths = [len(one.steps) for one in played if one.success]
        results.rows.append(
            {
                "task": task.name,
                "successes": successes,
                "episodes": states,
                "success": successes / states,
                "low": low,
                "high": high,
                "median steps": statistics.median(lengths),
                "most steps": max(lengths),
            }
        )
    results.metrics["expert_success_worst"] = min(row["success"] for row in results.rows)
    results.metrics["expert_success_mean"] = statistics.mean(row["success"] for row in results.rows)
    results.notes.append(
        f"initial states {FIRST_EVALUATION_SEED} to {FIRST_EVALUATION_SEED + states - 1}, actions "
        f"disturbed by {NOISE} of the largest step as in collections, 95 % Wilson intervals"
    )
    results.save(plot_experts(results), console)


def plot_experts(results: Results) -> plt.Figure:
    """Draw the success of every expert with its interval."""
    figure, axes = plt.subplots(figsize=(7, 4))
    success = np.array([row["success"] for row in results.rows])
    below = success - [row["low"] for row in results.rows]
    above = [row["high"] for row in results.rows] - success
    axes.errorbar(success, range(len(success)), xerr=[below, above], fmt="o", capsize=3)
    axes.axvline(0.95, linestyle=":", color="grey")
    axes.set_yticks(range(len(success)), [row["task"] for row in results.rows])
    axes.invert_yaxis()
    axes.set_xlim(0.8, 1.01)
    axes.set_xlabel(f"success of the expert in {results.rows[0]['episodes']} initial states")
    return figure


def draw_looks(console: Console) -> None:
    """Draw what both cameras see in varied scenes, one column per seed."""
    columns = []
    variation = Variation(camera=True, light=True, texture=True)
    with World(TASKS[0], image_size=IMAGE_SIZE, variation=variation) as world:
        for seed in range(LOOKS):
            images = world.reset(seed).images
            columns.append(np.concatenate(list(images.values())))
    half = LOOKS // 2
    sheet = np.concatenate(
        [np.concatenate(columns[:half], axis=1), np.concatenate(columns[half:], axis=1)]
    )
    file = RUNS / "twin" / "variation.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    plt.imsave(file, sheet)
    console.print(f"written: {file}")
