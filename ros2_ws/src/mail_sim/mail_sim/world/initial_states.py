"""Fingerprints of the benchmark's fixed initial states, so that nobody shifts them unnoticed.

`python -m mail_sim.world.initial_states` prints those of this code; `--write` stores them beside
this file, which only a new version of the benchmark may do.
"""

import argparse
import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import mujoco
import numpy as np

from mail_sim.world.suites import SUITES, initial_state_seeds
from mail_sim.world.task import Task
from mail_sim.world.world import World

FILE = Path(__file__).with_suffix(".json")
# Processors round differently in the last digits; a nanometre is far below what moves a result.
_GRID = 1e-9


@dataclass(frozen=True, slots=True)
class InitialStates:
    """The initial states of all suites.

    Attributes:
        mujoco: Version of MuJoCo that settled them.
        first_seed: Seed of the first one; the others follow.
        sha256: Fingerprint of each, in the order of the seeds, by suite.
    """

    mujoco: str
    first_seed: int
    sha256: dict[str, list[str]]


def fingerprint(world: World) -> str:
    """Return the SHA-256 of the state that a world is in: its positions, and the cue if any."""
    assert world.layout is not None, "the world has been reset"
    # Adding zero turns -0 into 0.
    positions = np.round(world.data.qpos / _GRID) + 0.0
    return hashlib.sha256(positions.tobytes() + world.layout.cued_button.encode()).hexdigest()


def fingerprints(task: Task) -> list[str]:
    """Return the fingerprints of all initial states of a task, in the order of the seeds."""
    with World(task, render=False) as world:
        found = []
        for seed in initial_state_seeds():
            world.reset(seed)
            found.append(fingerprint(world))
    return found


def current() -> InitialStates:
    """Compute the initial states by this code. The tasks of a suite share them."""
    return InitialStates(
        mujoco=mujoco.__version__,
        first_seed=initial_state_seeds()[0],
        sha256={suite: fingerprints(tasks[0]) for suite, tasks in SUITES.items()},
    )


def published() -> InitialStates:
    """Read the initial states that the benchmark was published with."""
    return InitialStates(**json.loads(FILE.read_text()))


def main() -> int:
    """Print or store the initial states of this code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"store them in {FILE.name}")
    text = json.dumps(asdict(current()), indent=1) + "\n"
    if parser.parse_args().write:
        FILE.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
