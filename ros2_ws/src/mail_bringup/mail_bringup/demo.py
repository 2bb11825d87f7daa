"""`mailctl demo`: the whole stack on the twin does one task, and a report shows what happened."""

import argparse
import shlex
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console

from mail_bringup.arguments import ArgumentError, resolve
from mail_bringup.claims import ClaimError
from mail_bringup.demo_report import write_report
from mail_bringup.demo_run import DemoError, DemoRun
from mail_bringup.demo_values import DemoOutcome, DemoSettings
from mail_bringup.operator_node import Operator, OperatorCancelledError, OperatorError
from mail_bringup.preflight import EXIT_CODE, PreflightError
from mail_bringup.run_log import RunLog
from mail_bringup.runner import StackRunner
from mail_bringup.session import Session, prepared
from mail_bringup.stack_arguments import STACKS
from mail_bringup.up import stop_requests
from mail_policy.evaluation.seeds import FIRST_EVALUATION_SEED

_INTERRUPTED_EXIT_CODE = 130


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="mailctl demo", description="Run one task on the simulated twin, with a report."
    )
    parser.add_argument("--task", default="open drawer", help="what to do, in words")
    parser.add_argument("--checkpoint", default="open_top_drawer", help="name or folder")
    parser.add_argument(
        "--seed", type=int, default=FIRST_EVALUATION_SEED, help="initial state of the scene"
    )
    parser.add_argument("--out", type=Path, help="folder for results (default: runs/demo/TIME)")
    parser.add_argument(
        "--limit-s",
        type=float,
        default=30.0,
        help="time for the task, on the twin's clock [s] (default: %(default)s)",
    )
    return parser.parse_args(words)


def _settings(options: argparse.Namespace) -> DemoSettings:
    folder = options.out or Path("runs/demo") / datetime.now().strftime("%Y%m%d-%H%M%S")
    return DemoSettings(
        task=options.task,
        checkpoint=options.checkpoint,
        seed=options.seed,
        limit_s=options.limit_s,
        folder=folder.resolve(),
        started_s=time.monotonic(),
    )


def _arguments(settings: DemoSettings) -> dict[str, str]:
    return resolve(
        STACKS["policy"],
        {
            "task": settings.task,
            "checkpoint": settings.checkpoint,
            # The demo does what an operator does, so the supervisor must not.
            "auto_start": "false",
            "episodes_dir": str(settings.folder),
            "max_duration_s": str(settings.limit_s + 5.0),
        },
    )


def _run(
    session: Session, settings: DemoSettings, requested: threading.Event, console: Console
) -> DemoOutcome:
    log = RunLog(settings.folder / "logs")
    with log, StackRunner(session.processes, session.variables, log.write) as runner:
        watched = DemoRun(settings, runner, requested, console)
        try:
            with Operator(
                domain_id=session.domain_id,
                use_sim_time=True,
                name="demo",
                is_cancelled=watched.must_end,
            ) as operator:
                return watched.perform(operator)
        except OperatorCancelledError:
            # Either the user interrupted, or a process ended: then that is the news.
            if (ended := runner.required_ended()) is not None:
                raise DemoError(log.last_words(ended)) from None
            raise


def main(words: Sequence[str]) -> int:
    """Run the demo; return 0 only if the twin says that the task was done."""
    settings = _settings(_parse(words))
    console = Console(highlight=False)
    try:
        arguments = _arguments(settings)
        with stop_requests() as requested, prepared("policy", arguments) as session:
            settings.folder.mkdir(parents=True, exist_ok=True)
            outcome = _run(session, settings, requested, console)
            console.print("stack stopped; writing the report")
            command = shlex.join(["mailctl", "demo", *words])
            console.print(write_report(settings, outcome, command))
            return 0 if outcome.attempt.success else 1
    except OperatorCancelledError:
        sys.stderr.write("mailctl demo: interrupted; everything is stopped\n")
        return _INTERRUPTED_EXIT_CODE
    except (DemoError, OperatorError) as error:
        sys.stderr.write(f"mailctl demo: {error}\nLogs: {settings.folder / 'logs'}\n")
        return 1
    except (ArgumentError, ClaimError) as error:
        sys.stderr.write(f"mailctl demo: {error}\n")
    except PreflightError as error:
        sys.stderr.writelines(f"mailctl demo: {problem}\n" for problem in error.problems)
    return EXIT_CODE
