"""`mailctl calibrate collect` and `mailctl calibrate latency`, beside a stack that runs."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from calibration.board import BoardConfig
from calibration.latency_plot import plot_latency
from calibration.results import RESULTS, CalibrationError, save_result
from calibration.views import ViewFolder, ViewSession
from data_collection.provenance import software_versions
from mail_bringup.calibration_collect import Collector
from mail_bringup.calibration_drive import CalibrationStopError
from mail_bringup.calibration_latency import (
    ARM,
    GRIPPER,
    LatencyStation,
    latency_of,
    result_of,
)
from mail_bringup.calibration_node import CalibrationLink
from mail_bringup.calibration_postures import plan_postures
from mail_bringup.operator_console import TerminalConsole
from mail_bringup.operator_node import Operator, OperatorError
from mail_bringup.places import DOMAIN_VARIABLE, state_folder
from mail_bringup.records import SelectionError, running_stacks, select
from mail_policy.core.config import ConfigError, load_config

_CAMERA_LIMIT_S = 30.0
_PLOTS = Path("runs/calibration")
_EXPECTED = (
    OperatorError,
    SelectionError,
    CalibrationError,
    CalibrationStopError,
    ConfigError,
)


def collect(words: Sequence[str]) -> int:
    """Collect views of the board; return the exit code."""
    options = _collect_parser().parse_args(words)
    return _report("collect", lambda: _collect(options))


def latency(words: Sequence[str]) -> int:
    """Measure how late arm, hand or a camera is; return the exit code."""
    options = _latency_parser().parse_args(words)
    return _report("latency", lambda: _latency(options))


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"mailctl calibrate {command}", description=description)
    parser.add_argument("--run-id", help="which stack, if several run; see mailctl status")
    parser.add_argument(
        "--robot", help="name of the robot in results; default: sim, panda or fr3, as the stack is"
    )
    return parser


def _collect_parser() -> argparse.ArgumentParser:
    parser = _parser(
        "collect",
        "Collect pictures of the board with the arm's posture, beside `mailctl up calibrate`. "
        "The same command goes on where an earlier one stopped.",
    )
    parser.add_argument("--camera", required=True, help="name of the camera, for example wrist")
    parser.add_argument(
        "--poses",
        choices=("auto", "guided"),
        default="guided",
        help="auto: the arm drives to safe postures by itself, after `mailctl arm`; guided: a "
        "person moves it and presses space for a view (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the views")
    parser.add_argument(
        "--parent", choices=("tcp", "base"), help="what the camera is fixed to; default: wrist tcp"
    )
    parser.add_argument("--board", type=Path, help="YAML of a BoardConfig; default: the A4 board")
    parser.add_argument(
        "--count", type=int, default=20, help="views of --poses auto (default: %(default)s)"
    )
    return parser


def _latency_parser() -> argparse.ArgumentParser:
    parser = _parser(
        "latency",
        "Measure a delay with a small motion, beside `mailctl up calibrate` and after `mailctl "
        "arm`. Any key stops the arm.",
    )
    parser.add_argument("--subject", required=True, help="arm, gripper, or the name of a camera")
    parser.add_argument("--serial", help="of the subject; a camera tells its own")
    parser.add_argument("--out", type=Path, help=f"folder for the result (default: {RESULTS}/...)")
    parser.add_argument(
        "--plots", type=Path, default=_PLOTS, help="folder for the plot (default: %(default)s)"
    )
    return parser


def _report(command: str, action: Callable[[], str]) -> int:
    try:
        sys.stdout.write(f"{action()}\n")
    except _EXPECTED as error:
        sys.stderr.write(f"mailctl calibrate {command}: {error}\n")
        return 1
    return 0


def _collect(options: argparse.Namespace) -> str:
    with _connected(options, options.camera) as (operator, link, robot):
        folder = ViewFolder.open_or_create(options.out, _session(options, link, robot))
        console = TerminalConsole()
        collector = Collector(operator, link, folder, console.say)
        if options.poses == "guided":
            collector.guide(console)
        else:
            postures = plan_postures(link, folder.session, options.count)
            with _stop_key(console) as wants_stop:
                collector.drive(postures, wants_stop)
    return f"{len(folder.views)} views in {folder.path}"


def _latency(options: argparse.Namespace) -> str:
    subject = options.subject
    camera = None if subject in (ARM, GRIPPER) else subject
    with _connected(options, camera) as (operator, link, robot):
        with _stop_key(TerminalConsole()) as wants_stop:
            measurement = LatencyStation(operator, link, wants_stop).measure(subject)
        serial = (link.serial or "") if options.serial is None else options.serial
    estimate = latency_of(measurement)
    tool = f"mailctl calibrate latency {software_versions().get('git', '')}"
    result = result_of(
        estimate, measurement.meaning, robot=robot, subject=subject, serial=serial, tool=tool
    )
    path = save_result(result, options.out or RESULTS / robot)
    plot = options.plots / f"{path.stem}.png"
    plot_latency(plot, subject, measurement.reference, measurement.measured, estimate)
    return (
        f"{subject} is {1e3 * estimate.latency_s:.1f} ms late, by {measurement.meaning} "
        f"(correlation {estimate.correlation:.4f})\nsaved {path}\nplot {plot}"
    )


@contextmanager
def _connected(
    options: argparse.Namespace, camera: str | None
) -> Iterator[tuple[Operator, CalibrationLink, str]]:
    """Connect to the stack; give the operator, calibration's topics, and the robot's name."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    records = running_stacks(state_folder() / "stacks")
    domain_id, namespace, record = select(
        records, options.run_id, os.environ.get(DOMAIN_VARIABLE, "")
    )
    robot = options.robot or (record.robot if record is not None else "")
    if not robot:
        raise SelectionError("the stack was not started by mailctl; name its robot: --robot panda")
    with Operator(
        domain_id=domain_id,
        namespace=namespace,
        use_sim_time=robot == "sim" if record is None else record.robot == "sim",
        name=f"calibration_{os.getpid()}",
    ) as operator:
        link = CalibrationLink(operator.node, operator.time_s, camera)
        if camera is not None and not operator.wait_until(link.sees, _CAMERA_LIMIT_S):
            raise CalibrationStopError(
                f"camera {camera!r} is silent; is it in the stack's cameras file? see mailctl "
                "status"
            )
        yield operator, link, robot


def _session(options: argparse.Namespace, link: CalibrationLink, robot: str) -> ViewSession:
    parent = options.parent or ("tcp" if options.camera == "wrist" else "base")
    return ViewSession(
        robot=robot,
        camera=options.camera,
        serial=link.serial or "",
        parent_frame=parent,
        board=load_config(BoardConfig, options.board) if options.board else BoardConfig(),
    )


@contextmanager
def _stop_key(console: TerminalConsole) -> Iterator[Callable[[], bool]]:
    """Give a function that says whether a key was pressed; without a terminal there is none."""
    if not sys.stdin.isatty():
        yield lambda: False
        return
    with console.keys():
        yield lambda: bool(console.key())
