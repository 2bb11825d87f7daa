"""`mailctl collect`: records scripted demonstrations on the directly stepped twin."""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from data_collection.errors import EpisodeError
from mail_policy.evaluation.seeds import FIRST_EVALUATION_SEED
from mail_sim.worker_pool import worker_pool
from mail_sim.world.demonstration import demonstrate
from mail_sim.world.experts import PLANS
from mail_sim.world.graphics import GraphicsError, require_graphics
from mail_sim.world.scripted_episode import episode_name, is_finished, write_demonstration
from mail_sim.world.tasks import ALL_TASKS, task_for
from mail_sim.world.variation import Variation
from mail_sim.world.world import IMAGE_SIZE, World

# More failures than this share mean a broken expert, not bad luck.
_MAX_FAILED_SHARE = 0.5
_PATIENCE_EPISODES = 10


class CollectError(RuntimeError):
    """The demonstrations cannot be recorded. The text names the remedy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectConfig:
    """What to record.

    Attributes:
        sentence: The task.
        episodes: How many successful episodes there shall be.
        folder: Where they go, one folder each.
        first_seed: Seed of the first episode; failures are replaced by later seeds.
        workers: Processes that play episodes.
        noise: How much actions are disturbed, as a share of the expert's largest step.
        image_size: Rows and columns of a picture.
        variation: How looks differ from episode to episode.
    """

    sentence: str
    episodes: int
    folder: Path
    first_seed: int = 0
    workers: int = 2
    noise: float = 0.25
    image_size: int = IMAGE_SIZE
    variation: Variation = field(default_factory=Variation)

    def __post_init__(self) -> None:
        """Refuse what cannot be recorded, before any process starts."""
        if task_for(self.sentence).name not in PLANS:
            raise ValueError(f"there is no expert for {self.sentence!r} yet")
        for name in ("episodes", "workers", "image_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0.0 <= self.noise <= 1.0:
            raise ValueError(f"noise must be a share in [0, 1], got {self.noise}")
        last_seed = self.first_seed + 2 * self.episodes + _PATIENCE_EPISODES
        if not (self.first_seed >= 0 and last_seed < FIRST_EVALUATION_SEED):
            raise ValueError(
                f"seed must leave room for {self.episodes} episodes in 0 to "
                f"{FIRST_EVALUATION_SEED - 1}, got {self.first_seed}; "
                "later seeds are for evaluation"
            )


@dataclass(frozen=True, slots=True)
class Played:
    """What became of one seed.

    Attributes:
        success: Whether there is an episode of it now.
        steps: Steps played; 0 if the episode was there already.
    """

    success: bool
    steps: int


_worlds: dict[tuple[str, int, Variation], World] = {}


def play_seed(config: CollectConfig, seed: int) -> Played:
    """Play one seed in a worker process; a success is written."""
    folder = config.folder / episode_name(config.sentence, seed)
    if is_finished(folder):
        return Played(success=True, steps=0)
    key = (config.sentence, config.image_size, config.variation)
    if key not in _worlds:
        # Kept for the life of this process; the driver closes its graphics at the end.
        _worlds[key] = World(
            config.sentence, image_size=config.image_size, variation=config.variation
        ).__enter__()
    demonstration = demonstrate(_worlds[key], seed, config.noise)
    if demonstration.success:
        write_demonstration(folder, config.sentence, seed, demonstration, config.variation)
    return Played(demonstration.success, len(demonstration.steps))


def collect(config: CollectConfig) -> Iterator[Played]:
    """Record episodes; yields what became of every seed as it becomes known.

    The result does not depend on the number of workers: a new seed is begun only for a failed
    one, so the first successful seeds are taken.
    """
    config.folder.mkdir(parents=True, exist_ok=True)
    successes = failures = 0
    seed = config.first_seed
    with worker_pool(config.workers) as pool:
        running: set[Future[Played]] = set()
        while successes < config.episodes:
            while successes + len(running) < config.episodes and len(running) < config.workers:
                running.add(pool.submit(play_seed, config, seed))
                seed += 1
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                played = future.result()
                successes += played.success
                failures += not played.success
                yield played
            _refuse_hopeless(successes, failures)


def _refuse_hopeless(successes: int, failures: int) -> None:
    if failures > _PATIENCE_EPISODES and failures > _MAX_FAILED_SHARE * (successes + failures):
        raise CollectError(
            f"the expert failed in {failures} of {successes + failures} episodes; "
            "lower --noise, or mend the expert"
        )


def parse(argv: list[str]) -> CollectConfig:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="mailctl collect",
        description="Record scripted demonstrations on the twin. A second run goes on where the "
        "first one ended.",
    )
    sentences = "; ".join(task.sentence for task in ALL_TASKS if task.name in PLANS)
    parser.add_argument("--task", required=True, metavar="SENTENCE", help=f"one of: {sentences}")
    parser.add_argument("--episodes", type=int, default=50, help="how many [%(default)s]")
    parser.add_argument("--out", type=Path, required=True, help="folder of the episodes")
    parser.add_argument("--seed", type=int, default=0, help="first seed [%(default)s]")
    parser.add_argument("--workers", type=int, default=2, help="processes [%(default)s]")
    parser.add_argument(
        "--noise",
        type=float,
        default=0.25,
        help="disturbance of the executed actions, share of the largest step [%(default)s]",
    )
    parser.add_argument("--image-size", type=int, default=IMAGE_SIZE, help="[%(default)s] pixels")
    parser.add_argument(
        "--vary",
        default="",
        metavar="KINDS",
        help="what looks different in every episode: camera, light, texture, with commas between",
    )
    words = parser.parse_args(argv)
    try:
        return CollectConfig(
            sentence=words.task,
            episodes=words.episodes,
            folder=words.out,
            first_seed=words.seed,
            workers=words.workers,
            noise=words.noise,
            image_size=words.image_size,
            variation=Variation.parse(words.vary),
        )
    except ValueError as error:
        parser.error(str(error))


def main(argv: list[str] | None = None) -> int:
    """Record demonstrations, showing progress. Returns the exit status."""
    config = parse(sys.argv[1:] if argv is None else argv)
    console = Console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeRemainingColumn(),
    )
    steps = failures = 0
    started_s = time.monotonic()
    try:
        require_graphics()
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("demonstrations", total=config.episodes, detail="")
            for played in collect(config):
                steps += played.steps
                failures += not played.success
                rate = steps / (time.monotonic() - started_s)
                detail = f"{steps} steps, {rate:.0f} steps/s, {failures} failures redrawn"
                progress.update(bar, advance=float(played.success), detail=detail)
    except (CollectError, EpisodeError, GraphicsError) as error:
        console.print(f"mailctl collect: {error}", style="red", markup=False)
        return 1
    console.print(f"{config.episodes} episodes of {config.sentence!r} in {config.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
