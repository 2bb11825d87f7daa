"""`mailctl eval`: the success rate of a checkpoint on the twin, with its interval."""

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from mail_bringup.fci_evaluation import FciEvaluationError, evaluate_fci
from mail_policy.evaluation.job import Evaluator, Job
from mail_policy.evaluation.rollout import EpisodeResult, EvaluationResult, RolloutConfig
from mail_policy.evaluation.seeds import FIRST_EVALUATION_SEED
from mail_policy.inference.checkpoint import CheckpointError, find_checkpoint, load_manifest
from mail_policy.inference.manifest import CheckpointManifest
from mail_policy.inference.sentences import UnknownTaskError, resolve_sentence
from mail_sim.direct_evaluation import evaluate_sim

_DEFAULT_MAX_STEPS = 240


# Where episodes can be run, by the value of --robot.
EVALUATORS: dict[str, Evaluator] = {"sim": evaluate_sim, "sim-fci": evaluate_fci}


def main(argv: Sequence[str]) -> int:
    """Evaluate as the words of a command line say; return the exit code."""
    arguments = _parser().parse_args(argv)
    console = Console()
    try:
        folder = find_checkpoint(arguments.checkpoint)
        manifest = load_manifest(folder)
        task = resolve_sentence(
            arguments.task or manifest.task_sentences[0], manifest.task_sentences
        )
    except (CheckpointError, UnknownTaskError) as error:
        sys.stderr.write(f"mailctl eval: {error}\n")
        return 1
    job = Job(folder, task, _rollout_config(manifest, arguments))
    seeds = range(arguments.seed0, arguments.seed0 + arguments.episodes)
    with Progress(console=console) as bar:
        shown = bar.add_task(task, total=len(seeds))

        def show(result: EpisodeResult) -> None:
            verdict = "success" if result.success else "failure"
            why = f": {result.failure}" if result.failure else ""
            bar.console.print(f"seed {result.seed}: {verdict} after {result.steps} steps{why}")
            bar.advance(shown)

        try:
            episodes = EVALUATORS[arguments.robot](job, seeds, arguments.workers, show)
        except BrokenProcessPool:
            sys.stderr.write("mailctl eval: a worker process died; its error is above\n")
            return 1
        except FciEvaluationError as error:
            sys.stderr.write(f"mailctl eval: {error}\n")
            return 1
    policy = {"name": manifest.name, "sha256": manifest.weights_sha256}
    result = EvaluationResult(
        task=task,
        robot=arguments.robot,
        policy=policy,
        config=job.config,
        episodes=tuple(episodes),
    )
    _report(result, arguments.json, console)
    return 0


def _rollout_config(manifest: CheckpointManifest, arguments: argparse.Namespace) -> RolloutConfig:
    return RolloutConfig(
        period_s=1.0 / manifest.rate_hz,
        exec_horizon=arguments.exec_horizon or manifest.exec_horizon,
        max_steps=arguments.max_steps,
        latency_steps=arguments.latency_steps,
    )


def _report(result: EvaluationResult, path: Path | None, console: Console) -> None:
    summary = result.to_json()
    low, high = summary["interval_95"]
    console.print(
        f"{summary['successes']} of {summary['episodes']} succeeded: "
        f"{100 * summary['success_rate']:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f})"
    )
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(summary, indent=2) + "\n")
        console.print(f"written: {path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mailctl eval", description="Measure the success rate of a checkpoint."
    )
    parser.add_argument("--checkpoint", required=True, help="name, or path of a folder")
    parser.add_argument("--task", default="", help="a sentence; default: the policy's first task")
    parser.add_argument("--robot", choices=sorted(EVALUATORS), default="sim")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seed0", type=int, default=FIRST_EVALUATION_SEED, help="first seed")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--exec-horizon", type=int, default=0, help="0: as the checkpoint says")
    parser.add_argument("--latency-steps", type=int, default=1, help="delay of inference")
    parser.add_argument("--max-steps", type=int, default=_DEFAULT_MAX_STEPS)
    parser.add_argument("--json", type=Path, help="where to write the result")
    return parser
