"""The sub-commands of `mailctl calibrate` that work on files: no ROS, no robot."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import numpy as np

from calibration.board import BoardConfig, Lens, write_board
from calibration.camera_check import check_camera
from calibration.hand_eye import HandEyeEstimate, calibrate_hand_eye
from calibration.intrinsics import IntrinsicsEstimate, calibrate_intrinsics
from calibration.report import hand_eye_figure, intrinsics_figure, write_report
from calibration.results import (
    RESULTS,
    CalibrationError,
    FixedBoard,
    HandEyeResult,
    IntrinsicsResult,
    latest_results,
    load_result,
    pose_fields,
    require_serial,
    save_result,
)
from calibration.sight import Sightings, board_views, find_boards, lens_of
from calibration.views import ViewFolder, ViewSession
from data_collection.provenance import software_versions

_MOVED_EXIT_CODE = 3


def board(argv: Sequence[str]) -> None:
    """Write a board to print."""
    parser = argparse.ArgumentParser(prog="mailctl calibrate board", description=board.__doc__)
    parser.add_argument("--out", type=Path, default=Path("board.pdf"), help="a PDF or PNG file")
    for field in fields(BoardConfig):
        default = getattr(BoardConfig(), field.name)
        parser.add_argument(
            f"--{field.name.replace('_', '-')}", type=type(default), default=default
        )
    values = vars(parser.parse_args(argv))
    out = values.pop("out")
    try:
        config = BoardConfig(**values)
    except ValueError as error:
        raise CalibrationError(str(error)) from error
    write_board(config, out)
    sys.stdout.write(f"{out}: print at 100 % and measure it before use\n")


def intrinsics(argv: Sequence[str]) -> None:
    """Compute a lens from a folder of views, and store it with a report."""
    arguments = _view_parser("intrinsics", intrinsics.__doc__).parse_args(argv)
    folder = ViewFolder(arguments.views)
    sightings = find_boards(folder)
    width, height = sightings.size
    estimate = calibrate_intrinsics(sightings.detections, folder.session.board, width, height)
    result = _intrinsics_result(estimate, folder.session, width, height)
    path = save_result(result, arguments.results / result.robot)
    numbers = {
        "focal lengths [px]": f"{result.fx:.2f}, {result.fy:.2f}",
        "principal point [px]": f"{result.cx:.2f}, {result.cy:.2f}",
        "distortion k1, k2, p1, p2, k3": ", ".join(f"{value:.4g}" for value in result.distortion),
        "reprojection error [px]": f"{result.rms_px:.3f}",
        "held-out error [px]": f"{np.median(estimate.held_out_px):.3f}",
        "views used": f"{estimate.used.sum()} of {len(folder.views)}",
    }
    figure = intrinsics_figure(estimate, sightings.names, sightings.detections, sightings.image)
    page = arguments.views / "intrinsics.html"
    write_report(page, f"Intrinsics of {result.subject}", numbers, estimate.missing, figure)
    _say(numbers, estimate.missing, sightings, path, page)


def hand_eye(argv: Sequence[str]) -> None:
    """Compute where a camera is from a folder of views, and store it with a report."""
    parser = _view_parser("hand-eye", hand_eye.__doc__)
    _add_lens_argument(parser)
    arguments = parser.parse_args(argv)
    folder = ViewFolder(arguments.views)
    session, sightings = folder.session, find_boards(folder)
    lens = _lens(arguments, session, sightings)
    views = board_views(sightings, session.parent_frame, lens)
    estimate = calibrate_hand_eye(views, lens, session.board, session.parent_frame)
    result = _hand_eye_result(estimate, session)
    path = save_result(result, arguments.results / result.robot)
    solvers = max(estimate.solvers.values())
    numbers = {
        f"position in {result.parent_frame} [m]": ", ".join(f"{x:.4f}" for x in result.position_m),
        "quaternion xyzw": ", ".join(f"{x:.5f}" for x in result.quaternion_xyzw),
        "held-out error, median": f"{result.held_out_mm:.2f} mm, {result.held_out_deg:.3f} deg",
        "held-out error, worst": f"{estimate.held_out_mm.max():.2f} mm, "
        f"{estimate.held_out_deg.max():.3f} deg",
        "farthest solver": f"{solvers[0]:.2f} mm, {solvers[1]:.3f} deg",
        "views used": f"{result.views} of {len(folder.views)}",
    }
    figure = hand_eye_figure(estimate, sightings.names, sightings.detections, sightings.image)
    page = arguments.views / "hand_eye.html"
    write_report(page, f"Pose of {result.subject}", numbers, estimate.missing, figure)
    _say(numbers, estimate.missing, sightings, path, page)


def check(argv: Sequence[str]) -> int:
    """Compare fresh views with the stored pose of a camera; exit code 3 if it was moved."""
    parser = _view_parser("check", check.__doc__)
    _add_lens_argument(parser)
    arguments = parser.parse_args(argv)
    folder = ViewFolder(arguments.views)
    session, sightings = folder.session, find_boards(folder)
    result = latest_results(arguments.results / session.robot).get(("hand_eye", session.camera))
    if not isinstance(result, HandEyeResult):
        raise CalibrationError(
            f"there is no pose of {session.camera} to check; run mailctl calibrate hand-eye"
        )
    require_serial(result, session.serial)
    lens = _lens(arguments, session, sightings)
    views = board_views(sightings, result.parent_frame, lens)
    verdict = check_camera(result, views, lens, session.board)
    sys.stdout.write(f"{session.camera}: {verdict}\n")
    return _MOVED_EXIT_CODE if verdict.was_moved else 0


def _view_parser(name: str, text: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"mailctl calibrate {name}", description=text)
    parser.add_argument("views", type=Path, help="folder of views")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results are stored")
    return parser


def _add_lens_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--intrinsics", type=Path, help="result to use instead of the camera's newest one"
    )


def _lens(arguments: argparse.Namespace, session: ViewSession, sightings: Sightings) -> Lens:
    if arguments.intrinsics:
        found = load_result(arguments.intrinsics)
    else:
        stored = latest_results(arguments.results / session.robot)
        key = "intrinsics", session.camera
        if key not in stored:
            raise CalibrationError(
                f"there are no intrinsics of {session.camera}; run mailctl calibrate intrinsics, "
                "or name a result with --intrinsics"
            )
        found = stored[key]
    if not isinstance(found, IntrinsicsResult):
        raise CalibrationError(f"expected intrinsics, got {found.kind} of {found.subject}")
    require_serial(found, session.serial)
    return lens_of(found, sightings.size)


class _Origin(TypedDict):
    robot: str
    subject: str
    serial: str
    created_at: str
    tool: str


def _origin(session: ViewSession, command: str) -> _Origin:
    """Return what all results say about where they come from."""
    return {
        "robot": session.robot,
        "subject": session.camera,
        "serial": session.serial,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "tool": f"mailctl calibrate {command} {software_versions().get('git', '')}".strip(),
    }


def _intrinsics_result(
    estimate: IntrinsicsEstimate, session: ViewSession, width: int, height: int
) -> IntrinsicsResult:
    matrix = estimate.lens.matrix
    k1, k2, p1, p2, k3 = map(float, estimate.lens.distortion)
    return IntrinsicsResult(
        **_origin(session, "intrinsics"),
        residuals={
            "held_out_px": float(np.median(estimate.held_out_px)),
            "left_out_views": float(np.sum(~estimate.used)),
        },
        width=width,
        height=height,
        fx=float(matrix[0, 0]),
        fy=float(matrix[1, 1]),
        cx=float(matrix[0, 2]),
        cy=float(matrix[1, 2]),
        distortion=(k1, k2, p1, p2, k3),
        rms_px=estimate.rms_px,
    )


def _hand_eye_result(estimate: HandEyeEstimate, session: ViewSession) -> HandEyeResult:
    solvers = np.array(list(estimate.solvers.values()))
    return HandEyeResult(
        **_origin(session, "hand-eye"),
        residuals={
            "reprojection_px": float(np.median(estimate.errors_px[estimate.used])),
            "worst_held_out_mm": float(estimate.held_out_mm.max()),
            "worst_held_out_deg": float(estimate.held_out_deg.max()),
            "solvers_mm": float(solvers[:, 0].max()),
            "solvers_deg": float(solvers[:, 1].max()),
            "left_out_views": float(np.sum(~estimate.used)),
        },
        parent_frame=session.parent_frame,
        **pose_fields(estimate.hand_eye.camera),
        held_out_mm=float(np.median(estimate.held_out_mm)),
        held_out_deg=float(np.median(estimate.held_out_deg)),
        views=int(estimate.used.sum()),
        board=FixedBoard(**pose_fields(estimate.hand_eye.board)),
    )


def _say(
    numbers: dict[str, str], missing: list[str], sightings: Sightings, result: Path, page: Path
) -> None:
    lines = [f"{name}: {value}" for name, value in numbers.items()]
    if sightings.unseen:
        lines.append(f"no board in: {', '.join(sightings.unseen)}")
    lines += [f"to make it better, {sentence}" for sentence in missing]
    sys.stdout.write("\n".join([*lines, f"result: {result}", f"report: {page}", ""]))
