"""`mailctl episodes`: list, show, label, check, repair, export and import recordings."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from data_collection.errors import EpisodeError
from data_collection.exchange_commands import add_exchange_commands
from data_collection.manifest import label_episode, load_manifest
from data_collection.message_reader import find_recordings
from data_collection.pictures import write_film_strip
from data_collection.plots import write_plots
from data_collection.repair import RepairStatus, check_episode, repair_episode

DEFAULT_ROOT = Path("runs")
_OUTCOMES = {"success": True, "failure": False, "unknown": None}
_VERDICTS = {True: "success", False: "failure", None: "-"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command; return 0 if all is well, 3 if something was repaired, 1 otherwise."""
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except EpisodeError as error:
        sys.stderr.write(f"mailctl episodes: {error}\n")
        return int(RepairStatus.FAILED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mailctl episodes", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    described: tuple[tuple[str, Callable[[argparse.Namespace], int], str], ...] = (
        ("list", _list, "one line per episode"),
        ("show", _show, "draw a film strip and plots"),
        ("check", _check, "verify every byte; changes nothing"),
        ("repair", _repair, "complete what was cut off; exit code 0 nothing to do, 3 repaired"),
    )
    for name, run, text in described:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("paths", nargs="*", type=Path, default=[DEFAULT_ROOT])
        command.set_defaults(run=run)
        if name == "show":
            command.add_argument("--out", type=Path, help="folder for the pictures")
    text = "say whether an episode succeeded"
    label = commands.add_parser("label", help=text, description=text)
    label.add_argument("episode", type=Path)
    label.add_argument("verdict", choices=_OUTCOMES)
    label.add_argument("--reason", default="", help="why it failed")
    label.set_defaults(run=_label)
    add_exchange_commands(commands)
    return parser


def _list(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    columns = (
        "episode",
        "task",
        "source",
        "robot",
        "steps",
        "seconds",
        "by person",
        "outcome",
        "quality",
    )
    table = Table(*columns, box=None, header_style="bold")
    unreadable = []
    for folder in find_recordings(arguments.paths):
        try:
            manifest = load_manifest(folder)
        except EpisodeError as error:
            unreadable.append(str(error))
            continue
        table.add_row(
            str(folder),
            manifest.task,
            manifest.source,
            manifest.robot_type,
            str(manifest.steps),
            f"{manifest.duration_s:.1f}",
            f"{manifest.person_s:.1f}" if manifest.person_s else "-",
            _VERDICTS[manifest.success],
            manifest.quality,
        )
    # A path that wraps cannot be copied, so a pipe gets lines as long as they need to be.
    console = Console() if sys.stdout.isatty() else Console(width=400)
    console.print(table)
    for line in unreadable:
        sys.stderr.write(line + "\n")
    return int(RepairStatus.FAILED if unreadable else RepairStatus.OK)


def _show(arguments: argparse.Namespace) -> int:
    for folder in find_recordings(arguments.paths):
        out = arguments.out / folder.name if arguments.out else folder
        write_film_strip(folder, out / "film_strip.png")
        write_plots(folder, out / "plots.png")
        sys.stdout.write(f"{out / 'film_strip.png'}\n{out / 'plots.png'}\n")
    return int(RepairStatus.OK)


def _check(arguments: argparse.Namespace) -> int:
    bad = 0
    for folder in find_recordings(arguments.paths):
        health = check_episode(folder)
        counts = f"{health.messages} messages, {health.steps} steps"
        text = health.problem or "; ".join([counts, *health.remarks])
        sys.stdout.write(f"{'bad ' if health.problem else 'ok  '} {folder}: {text}\n")
        bad += bool(health.problem)
    return int(RepairStatus.FAILED if bad else RepairStatus.OK)


def _repair(arguments: argparse.Namespace) -> int:
    statuses = set()
    for folder in find_recordings(arguments.paths):
        status, sentence = repair_episode(folder)
        statuses.add(status)
        sys.stdout.write(f"{sentence}\n")
    if RepairStatus.FAILED in statuses:
        return int(RepairStatus.FAILED)
    return int(max(statuses))


def _label(arguments: argparse.Namespace) -> int:
    success = _OUTCOMES[arguments.verdict]
    manifest = label_episode(arguments.episode, success, arguments.reason)
    sys.stdout.write(f"{arguments.episode}: {_VERDICTS[manifest.success]}\n")
    return int(RepairStatus.OK)


if __name__ == "__main__":
    sys.exit(main())
