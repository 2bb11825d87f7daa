"""The command line of `mailctl eval`, and the plan that it asks for."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from mail_policy.evaluation.plan import Plan, PolicyEntry, TaskEntry
from mail_policy.evaluation.seeds import FIRST_EVALUATION_SEED
from mail_policy.evaluation.videos import Videos
from mail_policy.inference.checkpoint import find_checkpoint, load_manifest
from mail_policy.inference.manifest import CheckpointManifest
from mail_policy.inference.sentences import resolve_sentence

# Type of the arm by the name of the robot, as the arm node says it.
ARMS = {"panda": "fer", "fr3": "fr3"}
_TWINS = ("sim", "sim-fci")
_REAL_MAX_STEPS = 240


class RequestError(ValueError):
    """What is asked for cannot be evaluated. The text names the remedy."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    words = argparse.ArgumentParser(
        prog="mailctl eval",
        description="Measure the success rate of a checkpoint. The same command with the same "
        "--out goes on with an evaluation that was interrupted.",
    )
    words.add_argument("--checkpoint", required=True, help="name, or path of a folder")
    words.add_argument("--against", metavar="CHECKPOINT", help="compare on the same initial states")
    what = words.add_mutually_exclusive_group()
    what.add_argument("--task", default="", help="a sentence; default: the policy's first task")
    what.add_argument("--suite", default="", help="all tasks of a suite, for example drawers10")
    words.add_argument("--robot", choices=(*_TWINS, *ARMS), default="sim")
    words.add_argument("--run-id", help="which stack of a real robot, if several run")
    words.add_argument("--episodes", type=int, default=20, help="per task [%(default)s]")
    words.add_argument("--seed0", type=int, help="first seed of --task; a suite has its own")
    words.add_argument("--workers", type=int, default=2, help="processes [%(default)s]")
    words.add_argument("--exec-horizon", type=int, default=0, help="0: as the checkpoint says")
    words.add_argument("--latency-steps", type=int, default=1, help="delay of inference, sim only")
    words.add_argument("--max-steps", type=int, default=0, help="0: as the task says")
    words.add_argument(
        "--videos",
        type=Videos,
        choices=list(Videos),
        default=Videos.FAILURES,
        help="which episodes of a twin are filmed; failures: also a first success of each task",
    )
    words.add_argument(
        "--vary",
        default="",
        metavar="KINDS",
        help="what looks different in every episode, sim only: camera,light,texture",
    )
    words.add_argument(
        "--stages", default="", help="what a person also judges, in order: opened,grasped,placed"
    )
    words.add_argument("--out", type=Path, help="folder of results (default: runs/eval/TIME)")
    words.add_argument("--json", type=Path, help="where to write the summary once more")
    return words


def make_plan(arguments: argparse.Namespace) -> Plan:
    """Decide what will be run, before anything is.

    Args:
        arguments: As `parser` returns them.

    Raises:
        CheckpointError: A checkpoint is missing or damaged.
        UnknownTaskError: A policy does not know the task.
        RequestError: The arguments do not fit together.
    """
    _check(arguments)
    folders = [find_checkpoint(name) for name in (arguments.checkpoint, arguments.against) if name]
    manifests = [load_manifest(folder) for folder in folders]
    tasks, left_out = (
        _tasks_of_suite(arguments, manifests)
        if arguments.suite
        else ((_single_task(arguments, manifests),), ())
    )
    is_twin = arguments.robot in _TWINS
    return Plan(
        robot=arguments.robot,
        suite=arguments.suite,
        policies=tuple(
            PolicyEntry(
                label=label,
                name=manifest.name,
                sha256=manifest.weights_sha256,
                folder=folder,
                period_s=1.0 / manifest.rate_hz,
                exec_horizon=arguments.exec_horizon or manifest.exec_horizon,
            )
            for label, folder, manifest in zip("AB", folders, manifests, strict=False)
        ),
        tasks=tasks,
        left_out=left_out,
        seeds=_seeds(arguments),
        latency_steps=arguments.latency_steps if arguments.robot == "sim" else 0,
        videos=arguments.videos if is_twin else Videos.NONE,
        vary=_looks(arguments),
        stages=tuple(filter(None, map(str.strip, arguments.stages.split(",")))),
    )


def _check(arguments: argparse.Namespace) -> None:
    if arguments.episodes < 1 or arguments.workers < 1:
        raise RequestError("--episodes and --workers must be at least 1")
    if arguments.exec_horizon and arguments.robot != "sim":
        raise RequestError("--exec-horizon is for --robot sim; on a stack the policy node decides")
    if arguments.against and arguments.robot in ARMS:
        raise RequestError(
            "a stack serves one checkpoint: evaluate them one after the other, each with its "
            "own --out"
        )
    if arguments.stages and arguments.robot not in ARMS:
        raise RequestError("--stages are judged by a person: only with --robot panda or fr3")
    if arguments.suite and arguments.seed0 is not None:
        raise RequestError("a suite has fixed initial states: leave --seed0 out")


def _looks(arguments: argparse.Namespace) -> str:
    """Return what looks different in every episode, in its one spelling."""
    from mail_sim.world.variation import Variation

    try:
        vary = str(Variation.parse(arguments.vary))
    except ValueError as error:
        raise RequestError(f"--vary: {error}") from error
    if vary and arguments.robot != "sim":
        raise RequestError("--vary is for --robot sim")
    return vary


def _tasks_of_suite(
    arguments: argparse.Namespace, manifests: Sequence[CheckpointManifest]
) -> tuple[tuple[TaskEntry, ...], tuple[str, ...]]:
    """Return the tasks that all policies know, and the sentences of the others."""
    from mail_sim.world.suites import SUITES

    if arguments.suite not in SUITES:
        raise RequestError(f"unknown suite {arguments.suite!r}; known: {', '.join(SUITES)}")
    known = set.intersection(*(set(manifest.task_sentences) for manifest in manifests))
    suite = SUITES[arguments.suite]
    tasks = tuple(
        TaskEntry(
            name=task.name,
            sentence=task.sentence,
            max_steps=arguments.max_steps or task.max_steps,
        )
        for task in suite
        if task.sentence in known
    )
    if not tasks:
        raise RequestError(
            f"no task of {arguments.suite} is known to every policy; they know: "
            f"{'; '.join(manifests[0].task_sentences)}"
        )
    return tasks, tuple(task.sentence for task in suite if task.sentence not in known)


def _single_task(
    arguments: argparse.Namespace, manifests: Sequence[CheckpointManifest]
) -> TaskEntry:
    wanted = arguments.task or manifests[0].task_sentences[0]
    sentence, *others = (resolve_sentence(wanted, one.task_sentences) for one in manifests)
    if any(other != sentence for other in others):
        raise RequestError(f"{wanted!r} means {sentence!r} to one policy, {others[0]!r} to another")
    if arguments.robot not in _TWINS:
        return TaskEntry(
            name=re.sub(r"[^a-z0-9]+", "_", sentence.lower()).strip("_"),
            sentence=sentence,
            max_steps=arguments.max_steps or _REAL_MAX_STEPS,
        )
    from mail_sim.world.tasks import task_for

    try:
        task = task_for(sentence)
    except ValueError as error:
        raise RequestError(f"the twin cannot judge this task: {error}") from error
    if task.has_buttons and arguments.robot != "sim":
        raise RequestError(f"{sentence!r} exists on --robot sim only")
    return TaskEntry(
        name=task.name, sentence=sentence, max_steps=arguments.max_steps or task.max_steps
    )


def _seeds(arguments: argparse.Namespace) -> range:
    if not arguments.suite:
        first = FIRST_EVALUATION_SEED if arguments.seed0 is None else arguments.seed0
        return range(first, first + arguments.episodes)
    from mail_sim.world.suites import initial_state_seeds

    try:
        return initial_state_seeds(arguments.episodes)
    except ValueError as error:
        raise RequestError(f"--episodes: {error}") from error
