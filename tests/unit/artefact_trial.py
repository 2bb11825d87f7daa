"""Opens hostile files one after the other, each in a process with little memory and little time.

    python -m tests.unit.artefact_trial FOLDER

FOLDER holds a folder of sound files per kind. One line of JSON per artefact says what came of it.
The processes are forks, so that importing costs its seconds once.
"""

import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from calibration.results import CalibrationError, load_result
from data_collection.disk import DiskGuard
from data_collection.episode_import import ImportOptions
from data_collection.errors import EpisodeError
from data_collection.exchange import ExchangeReport
from data_collection.lerobot_import import import_lerobot
from data_collection.libero_import import import_libero
from data_collection.manifest import load_manifest
from data_collection.message_reader import iterate_messages
from data_collection.step_index import _decoded
from mail_cameras.config import CamerasConfig
from mail_franka.arm_config import ArmConfig
from mail_policy.core.config import ConfigError, load_config
from mail_policy.evaluation.libero_init_states import InitialStatesError, read_initial_states
from mail_policy.inference.checkpoint import CheckpointError
from mail_policy.inference.predictor import Predictor
from mail_policy.inference.sentences import UnknownTaskError, resolve_sentence
from mail_teleop.config import TeleopConfig
from tests.unit.malicious_artefacts import PLAIN, TRACE, Kind
from tests.unit.malicious_recordings import PICTURES, RECORDINGS

# What one artefact may take beyond what the program itself has.
MEMORY_BYTES = 1 << 30
CPU_LIMIT_S = 20
# Who waits for ever uses no processor.
HANG_LIMIT_S = 60
ROBOT = "172.16.0.2"
KNOWN = ("open the top drawer", "close the top drawer")
REFUSALS = (
    CheckpointError,
    EpisodeError,
    ConfigError,
    CalibrationError,
    InitialStatesError,
    UnknownTaskError,
)
# No test may depend on how full the disk is.
_ROOMY = DiskGuard(free_bytes=lambda folder: 1 << 40)


class TooLooseError(ConfigError):
    """Settings that a real arm refuses."""


def open_episode(folder: Path) -> None:
    load_manifest(folder)
    for item in iterate_messages(folder):
        if item.topic == PICTURES:
            _decoded(folder, "agentview", item.message.data)


def imported(report: ExchangeReport) -> None:
    """Take the verdict on the episodes of a data set for the verdict on the data set."""
    if report.skipped:
        raise EpisodeError("; ".join(report.skipped.values()))


def open_arm(folder: Path) -> None:
    config = load_config(ArmConfig, folder / "arm.yaml")
    try:
        config.for_address(ROBOT)
    except ValueError as error:
        raise TooLooseError(str(error)) from error


OPEN: dict[Kind, Callable[[Path], object]] = {
    Kind.CHECKPOINT: lambda folder: Predictor(folder),
    Kind.EPISODE: open_episode,
    Kind.LEROBOT: lambda folder: imported(
        import_lerobot(folder, folder / "out", ImportOptions(), disk_guard=_ROOMY)
    ),
    Kind.LIBERO: lambda folder: imported(
        import_libero(folder, folder / "out", ImportOptions(), disk_guard=_ROOMY)
    ),
    Kind.INITIAL_STATES: lambda folder: read_initial_states(folder / "states.pruned_init"),
    Kind.ARM: open_arm,
    Kind.CAMERAS: lambda folder: load_config(CamerasConfig, folder / "cameras.yaml"),
    Kind.TELEOP: lambda folder: load_config(TeleopConfig, folder / "teleop.yaml"),
    Kind.CALIBRATION: lambda folder: load_result(next(folder.glob("*.yaml"))),
    Kind.TASK: lambda folder: resolve_sentence((folder / "task").read_text(), KNOWN),
}


def verdict(kind: Kind, folder: Path) -> str:
    """Return how a refusal begins, or what happened instead."""
    try:
        OPEN[kind](folder)
    except REFUSALS as error:
        return f"refused: {error}"
    except BaseException as error:
        return f"crashed: {error!r}"[:500]
    return "accepted"


def in_child(task: Callable[[], str]) -> tuple[str, float, float]:
    """Run a task in a fork with limits; return what it says, its CPU time [s] and memory [MB]."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
        signal.alarm(HANG_LIMIT_S)
        with os.fdopen(writing, "w") as answer:
            answer.write(task())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    _, status, usage = os.wait4(child, 0)
    if status:
        said = f"killed by signal {os.WTERMSIG(status)}"
    return said, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main(root: Path) -> None:
    # The first policy of a process imports for seconds; each fork would pay for it again.
    Predictor(root / Kind.CHECKPOINT.value)
    for name, artefact in {**PLAIN, **RECORDINGS}.items():
        folder = root / "trial" / name.replace(" ", "-").replace("/", "-")
        shutil.copytree(root / artefact.kind.value, folder)
        artefact.spoil(folder)
        os.chdir(folder)
        said, cpu_s, memory_mb = in_child(partial(verdict, artefact.kind, folder))
        found = {"name": name, "said": said, "cpu_s": cpu_s, "memory_mb": memory_mb}
        found["ran"] = any(root.rglob(TRACE))
        sys.stdout.write(f"{json.dumps(found)}\n")
        sys.stdout.flush()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
