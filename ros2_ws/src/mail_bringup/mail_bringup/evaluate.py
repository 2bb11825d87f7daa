"""`mailctl eval`: success rates of checkpoints, with intervals, videos, reasons and a report."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from data_collection.provenance import software_versions
from mail_bringup.evaluation_request import ARMS, RequestError, make_plan, parser
from mail_policy.evaluation.job import EvaluationError, Evaluator, Trial
from mail_policy.evaluation.log import EpisodeLog, LogError
from mail_policy.evaluation.plan import Plan
from mail_policy.evaluation.report import (
    REPORT_NAME,
    difference_of,
    rate_of,
    report_page,
    verdict_of,
)
from mail_policy.evaluation.rollout import EpisodeResult
from mail_policy.evaluation.summary import SUMMARY_NAME, Results, summarise
from mail_policy.inference.checkpoint import CheckpointError
from mail_policy.inference.sentences import UnknownTaskError

_EXPECTED_ERRORS = (CheckpointError, UnknownTaskError, RequestError, LogError, EvaluationError)


def main(argv: Sequence[str]) -> int:
    """Evaluate as the words of a command line say; return the exit code."""
    arguments = parser().parse_args(argv)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    folder = arguments.out or Path("runs/eval") / datetime.now().strftime("%Y%m%d-%H%M%S")
    try:
        plan = make_plan(arguments)
        results = _run(plan, arguments, folder, console)
    except _EXPECTED_ERRORS as error:
        sys.stderr.write(f"mailctl eval: {error}\n")
        return 1
    command = shlex.join(["mailctl", "eval", *argv])
    summary = summarise(plan, results, command, software_versions())
    _write(summary, folder, arguments.json)
    console.print(_text_of(summary))
    console.print(f"report: {folder / REPORT_NAME}")
    return 0


def evaluator_for(arguments: argparse.Namespace, plan: Plan) -> Evaluator:
    """Return what runs episodes on a robot. Only what it needs is imported."""
    if arguments.robot in ARMS:
        from mail_bringup.real_evaluation import evaluate_real

        return partial(
            evaluate_real,
            arm=ARMS[arguments.robot],
            run_id=arguments.run_id,
            stages=plan.stages,
        )
    if arguments.robot == "sim-fci":
        from mail_bringup.fci_evaluation import evaluate_fci

        return evaluate_fci
    from mail_sim.direct_evaluation import run_trials

    return run_trials


def _run(plan: Plan, arguments: argparse.Namespace, folder: Path, console: Console) -> Results:
    """Run the episodes that the log does not hold yet; return all."""
    trials = plan.trials()
    with EpisodeLog(folder, plan.settings()) as log:
        left = [trial for trial in trials if trial.key not in log.results]
        done = len(trials) - len(left)
        for sentence in plan.left_out:
            console.print(f"left out, not every policy knows it: {sentence}")
        console.print(
            f"{len(left)} episodes of {plan.title}, {done} done before; if it is interrupted, "
            f"go on with --out {folder}"
        )

        def keep(trial: Trial, result: EpisodeResult) -> None:
            nonlocal done
            log.add(trial.key, result)
            done += 1
            console.print(f"{done}/{len(trials)}  {_line_of(trial, result)}")

        if left:
            evaluator_for(arguments, plan)(left, arguments.workers, folder, keep)
        return log.results


def _line_of(trial: Trial, result: EpisodeResult) -> str:
    verdict = "success" if result.success else "failure"
    why = f": {result.failure}" if result.failure else ""
    key = trial.key
    return f"{key.policy} {key.task} seed {key.seed}: {verdict} after {result.steps} steps{why}"


def _write(summary: dict[str, Any], folder: Path, also: Path | None) -> None:
    text = json.dumps(summary, indent=2) + "\n"
    for path in (folder / SUMMARY_NAME, also):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (folder / REPORT_NAME).write_text(report_page(summary))


def _text_of(summary: dict[str, Any]) -> str:
    sections = [section for section in (summary, summary["against"]) if section]
    lines = []
    for section in sections:
        if len(section["tasks"]) > 1:
            lines += [f"  {task['task']}: {rate_of(task)}" for task in section["tasks"]]
        lines.append(verdict_of(section))
    if summary["comparison"] is not None:
        lines.append(difference_of(summary))
    return "\n".join(lines)
