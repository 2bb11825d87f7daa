"""`mailctl doctor`: says whether this machine is fit for a robot, and what to do if not."""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from mail_bringup.arguments import resolve
from mail_bringup.doctor.checks import CHECKS
from mail_bringup.doctor.examination import examine
from mail_bringup.doctor.finding import Verdict, by_importance
from mail_bringup.doctor.machine import Machine
from mail_bringup.doctor.report import show, to_json, worst
from mail_bringup.doctor.request import Request, request_from
from mail_bringup.stack_arguments import ROBOTS, STACKS

_MAX_PINGS = 1500


def _ping_count(text: str) -> int:
    if not (text.isdigit() and 1 <= int(text) <= _MAX_PINGS):
        raise argparse.ArgumentTypeError(f"must be between 1 and {_MAX_PINGS}, got {text!r}")
    return int(text)


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="mailctl doctor",
        description="Check whether this machine is fit for a robot. Nothing is changed, nothing "
        "moves. Exits with 1 if there is a failure.",
    )
    known = {argument.name: argument.default for argument in STACKS["policy"]}
    parser.add_argument("--robot", choices=ROBOTS, default="sim", help="default: %(default)s")
    parser.add_argument("--robot-ip", default="", help="address of the arm")
    parser.add_argument(
        "--connect",
        action="store_true",
        help="also connect to the arm, read limits, tool and load back; it does not move",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--only",
        action="append",
        choices=[check.name for check in CHECKS],
        metavar="NAME",
        help=f"run one check; may be repeated: {', '.join(check.name for check in CHECKS)}",
    )
    parser.add_argument("--pings", type=_ping_count, default=1000, help="default: %(default)s")
    for name in ("checkpoint", "task", "cameras_file", "episodes_dir"):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, default=known[name], help="default: %(default)s")
    return parser.parse_args(words)


def _request(options: argparse.Namespace) -> Request:
    names = ("robot", "robot_ip", "checkpoint", "task", "cameras_file", "episodes_dir")
    given = {name: getattr(options, name) for name in names}
    arguments = resolve(STACKS["policy"], given)
    return request_from(arguments, connect=options.connect, pings=options.pings)


def main(words: Sequence[str]) -> int:
    """Run the command; return 1 if there is a failure."""
    options = _parse(words)
    chosen = [
        check
        for check in CHECKS
        if (check.name in options.only if options.only else check.counts_for(options.robot))
    ]
    findings = by_importance(examine(chosen, _request(options), Machine()))
    if options.json:
        sys.stdout.write(to_json(findings, options.robot) + "\n")
    else:
        show(findings, options.robot, Console(highlight=False))
    return 1 if worst(findings) is Verdict.FAILURE else 0
