"""`mailctl libero`: the success rate of checkpoints on a suite of LIBERO."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from data_collection.libero_layout import ImageConvention
from mail_policy.evaluation.job import EpisodeKey
from mail_policy.evaluation.libero_environment_driver import (
    LiberoEnvironment,
    LiberoError,
    LiberoView,
    tasks_of,
)
from mail_policy.evaluation.libero_init_states import InitialStatesError
from mail_policy.evaluation.libero_protocol import PROTOCOLS, RATE_HZ, LiberoProtocol, Suite
from mail_policy.evaluation.libero_run import LiberoRun, run_libero
from mail_policy.evaluation.libero_table import LiberoResult, result_of, sentence_of, table_of
from mail_policy.evaluation.log import EpisodeLog, LogError
from mail_policy.evaluation.rollout import EpisodeResult
from mail_policy.inference.checkpoint import CheckpointError, find_checkpoint, load_manifest
from mail_policy.inference.manifest import CheckpointManifest
from mail_policy.inference.predictor import PredictionError, Predictor
from mail_policy.inference.sentences import UnknownTaskError, resolve_sentence

_RESULTS_NAME = "results.json"
_EXPECTED_ERRORS = (
    CheckpointError,
    InitialStatesError,
    LiberoError,
    LogError,
    PredictionError,
    UnknownTaskError,
)
# On which a success rate depends.
_PACKAGES = ("hf-libero", "robosuite", "mujoco")


def main(argv: Sequence[str]) -> int:
    """Evaluate as the words of a command line say; return the exit code."""
    arguments = _parser().parse_args(argv)
    console = Console()
    try:
        result = _evaluate(arguments, console)
    except _EXPECTED_ERRORS as error:
        sys.stderr.write(f"mailctl libero: {error}\n")
        return 1
    console.print(table_of(result), sentence_of(result), sep="\n")
    if len(arguments.checkpoint) < len(result.run.protocol.seeds):
        console.print("one policy for all seeds: their spread is not that of training")
    path = arguments.out / _RESULTS_NAME
    path.write_text(json.dumps(result.to_json(), indent=2) + "\n")
    console.print(f"written: {path}")
    return 0


def _evaluate(arguments: argparse.Namespace, console: Console) -> LiberoResult:
    protocol = _protocol(arguments)
    folders = [find_checkpoint(name) for name in arguments.checkpoint]
    manifests = [load_manifest(folder) for folder in folders]
    run = _run(arguments, protocol, manifests)
    size, convention = arguments.image_size, ImageConvention(arguments.image_convention)
    view = LiberoView(height=size, width=size, convention=convention)
    policies = dict(zip(protocol.seeds, _one_per_seed(folders, protocol), strict=True))
    log = EpisodeLog(arguments.out, _settings(run, manifests, view))
    with log, Progress(console=console) as bar:
        done = int(result_of(run, log.results).counts.sum())
        shown = bar.add_task(str(run.suite), total=run.episodes, completed=done)

        def tell(key: EpisodeKey, result: EpisodeResult) -> None:
            verdict = "success" if result.success else f"failure ({result.failure})"
            bar.console.print(
                f"{key.policy}, {key.task}, initial state {key.seed}: {verdict} after "
                f"{result.steps} steps"
            )
            bar.advance(shown)

        run_libero(
            run,
            lambda task, seed: LiberoEnvironment(
                run.suite, task.number, protocol, seed=seed, view=view
            ),
            lambda seed: _opened(policies[seed], arguments.threads),
            log,
            tell,
        )
    return result_of(run, log.results)


def _opened(folder: Path, threads: int) -> Predictor:
    predictor = Predictor(folder, threads=threads)
    predictor.warm_up()
    return predictor


def _protocol(arguments: argparse.Namespace) -> LiberoProtocol:
    protocol = PROTOCOLS[arguments.protocol]
    return protocol if arguments.seeds is None else replace(protocol, seeds=tuple(arguments.seeds))


def _run(
    arguments: argparse.Namespace, protocol: LiberoProtocol, manifests: list[CheckpointManifest]
) -> LiberoRun:
    """Say what will be run; refuse policies that cannot, before anything is."""
    suite = Suite(arguments.suite)
    tasks = tasks_of(suite)
    chosen = range(len(tasks)) if arguments.tasks is None else arguments.tasks
    if unknown := [number for number in chosen if not 0 <= number < len(tasks)]:
        raise LiberoError(f"{suite} has tasks 0 to {len(tasks) - 1}, got {unknown}")
    for manifest in manifests:
        if not manifest.schema.is_cartesian or manifest.rate_hz != RATE_HZ:
            raise LiberoError(
                f"{manifest.name} gives {manifest.schema.name} at {manifest.rate_hz:g} Hz; LIBERO "
                f"takes steps of the hand at {RATE_HZ:g} Hz"
            )
        for number in chosen:
            resolve_sentence(tasks[number].sentence, manifest.task_sentences)
    return LiberoRun(
        suite=suite,
        tasks=tuple(tasks[number] for number in chosen),
        protocol=protocol,
        exec_horizon=arguments.exec_horizon or manifests[0].exec_horizon,
    )


def _one_per_seed(folders: list[Path], protocol: LiberoProtocol) -> list[Path]:
    if len(folders) == 1:
        return folders * len(protocol.seeds)
    if len(folders) != len(protocol.seeds):
        raise LiberoError(
            f"{len(protocol.seeds)} seeds need one checkpoint, or one each; got {len(folders)}"
        )
    return folders


def _settings(
    run: LiberoRun, manifests: list[CheckpointManifest], view: LiberoView
) -> dict[str, Any]:
    return {
        "suite": str(run.suite),
        "protocol": run.protocol.name,
        "seeds": list(run.protocol.seeds),
        "policies": [manifest.weights_sha256 for manifest in manifests],
        "exec_horizon": run.exec_horizon,
        "pictures": [view.height, view.width, str(view.convention)],
        "versions": {package: _version(package) for package in _PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mailctl libero",
        description="Measure the success rate of checkpoints on LIBERO, see "
        "data_collection/LIBERO.md. The same command goes on with a run that was interrupted.",
    )
    parser.add_argument(
        "--checkpoint", nargs="+", required=True, help="one, or one per seed: names or folders"
    )
    parser.add_argument("--suite", required=True, choices=list(Suite))
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), default="mail")
    parser.add_argument("--out", type=Path, required=True, help="folder of the log and the results")
    parser.add_argument("--seeds", nargs="+", type=int, help="others than the protocol's")
    parser.add_argument("--tasks", nargs="+", type=int, help="numbers from 0; default: all")
    parser.add_argument("--exec-horizon", type=int, default=0, help="0: as the checkpoint says")
    parser.add_argument("--image-size", type=int, default=128, help="rows and columns rendered")
    parser.add_argument(
        "--image-convention",
        choices=list(ImageConvention),
        default=ImageConvention.UPRIGHT,
        help="which way up the policy's pictures were in training; those of imported episodes "
        "are upright",
    )
    parser.add_argument("--threads", type=int, default=1, help="of the policy")
    return parser
