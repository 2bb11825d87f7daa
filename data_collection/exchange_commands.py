"""`mailctl episodes export` and `import`: the way to and from other formats."""

import argparse
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from data_collection.episode_import import ImportOptions
from data_collection.errors import EpisodeError
from data_collection.exchange import ExchangeReport, OnProgress, camera_names
from data_collection.manifest import EpisodeSource, load_manifest
from data_collection.message_reader import find_recordings
from data_collection.topics import JOINT_PREFIXES

_SKIPPED_EXIT_CODE = 1
_NEEDS = "pip install -e '.[formats]'"


class ExchangeFormat(StrEnum):
    """A format of others."""

    LEROBOT = "lerobot"
    LIBERO = "libero"
    ROSBAG2 = "rosbag2"


# Options that only some formats know, by their name in the parsed arguments.
_EXPORT_OPTIONS = {
    "fps": {ExchangeFormat.LEROBOT},
    "repo_id": {ExchangeFormat.LEROBOT},
    "codec": {ExchangeFormat.LEROBOT},
    "crf": {ExchangeFormat.LEROBOT},
    "image_size": {ExchangeFormat.LIBERO},
    "camera_map": {ExchangeFormat.LIBERO},
    "flip": {ExchangeFormat.LIBERO},
}
_IMPORT_OPTIONS = {
    "gripper_open": {ExchangeFormat.LEROBOT},
    "flip": {ExchangeFormat.LIBERO},
}


def add_exchange_commands(commands: Any) -> None:
    """Add `export` and `import` to the sub-commands of a parser."""
    text = "write episodes in the format of others"
    export = commands.add_parser("export", help=text, description=_EXPORT_HELP)
    export.add_argument("paths", nargs="+", type=Path, help="episodes, or folders of episodes")
    export.add_argument("--format", required=True, choices=list(ExchangeFormat))
    export.add_argument("--out", required=True, type=Path, help="new folder")
    export.add_argument(
        "--only-successes", action="store_true", help="leave out what is not labelled a success"
    )
    export.add_argument("--fps", type=int, help="lerobot: fewer steps per second than recorded")
    export.add_argument("--repo-id", help="lerobot: name of the data set, for its card")
    export.add_argument("--codec", choices=("h264", "av1"), help="lerobot: h264 unless given")
    export.add_argument("--crf", type=int, help="lerobot: 0 is best; 18 unless given")
    export.add_argument(
        "--image-size",
        nargs="+",
        metavar=("HEIGHT", "WIDTH"),
        help="libero: 128 128 unless given, or the word native",
    )
    _add_shared(export, "libero: LIBERO's name of a camera, for example wrist=eye_in_hand")
    export.add_argument(
        "--flip",
        choices=("auto", "yes", "no"),
        help="libero: store pictures upside down as LIBERO does (auto, yes) or upright (no); the "
        "file says which",
    )
    export.set_defaults(run=_export)
    _add_import(commands)


def _add_import(commands: Any) -> None:
    text = "make episodes of data in the format of others"
    parser = commands.add_parser("import", help=text, description=_IMPORT_HELP)
    parser.add_argument("path", type=Path, help="data set, or .hdf5 file or folder of them")
    parser.add_argument(
        "--format", required=True, choices=[ExchangeFormat.LEROBOT, ExchangeFormat.LIBERO]
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for the episodes")
    parser.add_argument("--robot-type", choices=list(JOINT_PREFIXES), default="")
    parser.add_argument(
        "--source", choices=list(EpisodeSource), default=EpisodeSource.TELEOP, help="who moved"
    )
    parser.add_argument("--operator", default="", help="who was responsible")
    parser.add_argument(
        "--assume-success",
        action="store_true",
        help="take an episode for a success if the data do not say",
    )
    parser.add_argument(
        "--gripper-open",
        type=float,
        metavar="METRES",
        help="lerobot: width at 1.0 of a gripper that is not told in metres",
    )
    _add_shared(parser, "our name of a camera and theirs, for example wrist=hand")
    parser.add_argument(
        "--flip",
        choices=("auto", "yes", "no", "rot180"),
        help="libero: pictures are upside down (yes), upright (no) or turned (rot180); auto "
        "believes the file",
    )
    parser.set_defaults(run=_import)


_EXPORT_HELP = (
    "Write episodes in the format of others: a LeRobot v3.0 data set, demonstration files in the "
    "layout of LIBERO, or bags for `ros2 bag`. The folder appears when it is complete. Episodes "
    "with gaps, of another robot or with other actions are left out and listed; the exit code is "
    "then 1. Videos lose a little; LIBERO's scale clips steps beyond 0.05 m or 0.5 rad. Depth is "
    f"only in bags. Needs {_NEEDS}."
)
_IMPORT_HELP = (
    "Make episodes of a LeRobot v3.0 data set or of demonstration files in the layout of LIBERO. "
    "Episodes that cannot be read are left out and listed; the exit code is then 1. Episodes that "
    f"are there already stay as they are. Needs {_NEEDS}."
)


def _add_shared(parser: argparse.ArgumentParser, camera_help: str) -> None:
    parser.add_argument(
        "--camera-map", action="append", default=[], metavar="OURS=THEIRS", help=camera_help
    )


def _export(arguments: argparse.Namespace) -> int:
    _refuse_foreign_options(arguments, _EXPORT_OPTIONS)
    folders = find_recordings(arguments.paths)
    if arguments.only_successes:
        folders = [folder for folder in folders if not _is_failure(folder)]
    exporters: dict[str, Callable[..., ExchangeReport]] = {
        ExchangeFormat.LEROBOT: _to_lerobot,
        ExchangeFormat.LIBERO: _to_libero,
        ExchangeFormat.ROSBAG2: _to_rosbag2,
    }
    report = _with_progress(
        "exporting", lambda tell: exporters[arguments.format](arguments, folders, tell)
    )
    return _tell(report, arguments.out)


def _is_failure(folder: Path) -> bool:
    """Whether an episode is not labelled a success; one that is damaged is for others to report."""
    try:
        return not load_manifest(folder).success
    except EpisodeError:
        return False


def _to_lerobot(
    arguments: argparse.Namespace, folders: list[Path], tell: OnProgress
) -> ExchangeReport:
    from data_collection.lerobot_export import LeRobotOptions, export_lerobot
    from data_collection.videos import VideoCodec

    defaults = LeRobotOptions()
    options = LeRobotOptions(
        rate_hz=arguments.fps,
        codec=VideoCodec(arguments.codec or defaults.codec),
        crf=defaults.crf if arguments.crf is None else arguments.crf,
        repo_id=arguments.repo_id or "",
    )
    return export_lerobot(folders, arguments.out, options, tell)


def _to_libero(
    arguments: argparse.Namespace, folders: list[Path], tell: OnProgress
) -> ExchangeReport:
    from data_collection.libero_export import LiberoOptions, export_libero
    from data_collection.libero_layout import ImageConvention

    is_upright = arguments.flip == "no"
    options = LiberoOptions(
        convention=ImageConvention.UPRIGHT if is_upright else ImageConvention.OPENGL,
        size=_image_size(arguments.image_size),
        cameras=camera_names(arguments.camera_map),
    )
    return export_libero(folders, arguments.out, options, tell)


def _to_rosbag2(
    arguments: argparse.Namespace, folders: list[Path], tell: OnProgress
) -> ExchangeReport:
    from data_collection.rosbag2_export import export_rosbag2

    return export_rosbag2(folders, arguments.out, tell)


def _import(arguments: argparse.Namespace) -> int:
    _refuse_foreign_options(arguments, _IMPORT_OPTIONS)
    options = ImportOptions(
        robot_type=arguments.robot_type,
        source=EpisodeSource(arguments.source),
        operator=arguments.operator,
        cameras=camera_names(arguments.camera_map),
        assume_success=arguments.assume_success,
        gripper_open_m=arguments.gripper_open,
    )
    importers = {ExchangeFormat.LEROBOT: _from_lerobot, ExchangeFormat.LIBERO: _from_libero}
    report = _with_progress(
        "importing", lambda tell: importers[arguments.format](arguments, options, tell)
    )
    return _tell(report, arguments.out)


def _from_lerobot(
    arguments: argparse.Namespace, options: ImportOptions, tell: OnProgress
) -> ExchangeReport:
    from data_collection.lerobot_import import import_lerobot

    return import_lerobot(arguments.path, arguments.out, options, tell)


def _from_libero(
    arguments: argparse.Namespace, options: ImportOptions, tell: OnProgress
) -> ExchangeReport:
    from data_collection.libero_import import import_libero
    from data_collection.libero_layout import ImageConvention

    conventions = {
        "yes": ImageConvention.OPENGL,
        "no": ImageConvention.UPRIGHT,
        "rot180": ImageConvention.ROT180,
    }
    convention = conventions.get(arguments.flip or "auto")
    return import_libero(arguments.path, arguments.out, options, convention, tell)


def _refuse_foreign_options(
    arguments: argparse.Namespace, options: dict[str, set[ExchangeFormat]]
) -> None:
    for name, formats in options.items():
        given = getattr(arguments, name, None) not in (None, [])
        if given and arguments.format not in formats:
            word = name.replace("_", "-")
            raise EpisodeError(f"--{word} means nothing to {arguments.format}; leave it out")


def _image_size(words: list[str] | None) -> tuple[int, int] | None:
    if words is None:
        return 128, 128
    if words == ["native"]:
        return None
    if len(words) != 2 or not all(word.isdecimal() and 0 < int(word) <= 8192 for word in words):
        raise EpisodeError(f"--image-size takes a height and a width, or native; got {words}")
    return int(words[0]), int(words[1])


def _with_progress(text: str, work: Callable[[OnProgress], ExchangeReport]) -> ExchangeReport:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        shown = bar.add_task(text, total=None)
        try:
            return work(lambda done, total: bar.update(shown, completed=done, total=total))
        except ModuleNotFoundError as error:
            raise EpisodeError(f"{error.name} is missing: {_NEEDS}") from error


def _tell(report: ExchangeReport, out: Path) -> int:
    count = len(report.done)
    sys.stdout.write(f"{count} episode{'' if count == 1 else 's'} in {out}\n")
    for remark in report.remarks:
        sys.stdout.write(f"note: {remark}\n")
    for name, reason in report.skipped.items():
        sys.stderr.write(f"left out {name}: {reason}\n")
    return _SKIPPED_EXIT_CODE if report.skipped else 0
