"""The report of a calibration: one HTML page with its numbers and plots inside."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibration.board import Detection, Flags, Image
from calibration.diversity import coverage
from calibration.hand_eye import HandEyeEstimate
from calibration.intrinsics import IntrinsicsEstimate
from mail_policy.core.frames import Array

_USED, _DROPPED = "#1a5fb4", "#c64600"
_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>$title</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; max-width: 1080px;
       margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } img { max-width: 100%; }
td { padding: .2em 1.5em .2em 0; border-bottom: 1px solid #d9dee4; }
</style>
</head>
<body>
<h1>$title</h1>
<table>$rows</table>
<h2>What would make it better</h2>
$missing
<p><img src="data:image/png;base64,$plot" alt="Errors and coverage of the views"></p>
</body>
</html>
""")


def write_report(
    path: Path, title: str, numbers: Mapping[str, str], missing: Sequence[str], figure: Figure
) -> None:
    """Write a page that needs no other file.

    Args:
        path: The HTML file.
        title: What was calibrated.
        numbers: The table, by name.
        missing: Which views are missing, in words.
        figure: The plots.
    """
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    cells = (
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
        for name, value in numbers.items()
    )
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in missing)
    page = _PAGE.substitute(
        title=html.escape(title),
        rows="\n".join(cells),
        missing=f"<ul>{items}</ul>" if items else "<p>Nothing: the views are diverse enough.</p>",
        plot=base64.b64encode(png.getvalue()).decode(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page)


def intrinsics_figure(
    estimate: IntrinsicsEstimate,
    names: Sequence[str],
    detections: Sequence[Detection],
    image: Image,
) -> Figure:
    """Draw errors of the views, coverage of the picture, and a detected board.

    Args:
        estimate: What was found.
        names: Of the views.
        detections: Of the views.
        image: Picture of the first view: RGB uint8, shape (height, width, 3).
    """
    figure = Figure(figsize=(11, 8), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    _bars(axes[0], names, estimate.errors_px, estimate.used, "reprojection error [px]")
    kept = [name for name, used in zip(names, estimate.used, strict=True) if used]
    _bars(axes[1], kept, estimate.held_out_px, np.ones(len(kept), bool), "held-out error [px]")
    _coverage_map(axes[2], detections, image)
    _picture(axes[3], image, detections[0])
    return figure


def hand_eye_figure(
    estimate: HandEyeEstimate, names: Sequence[str], detections: Sequence[Detection], image: Image
) -> Figure:
    """Draw errors of the views in pixels, mm and degrees, coverage, and a detected board.

    Args:
        estimate: What was found.
        names: Of the views.
        detections: Of the views.
        image: Picture of the first view: RGB uint8, shape (height, width, 3).
    """
    figure = Figure(figsize=(11, 11), layout="constrained")
    axes = figure.subplots(3, 2).ravel()
    _bars(axes[0], names, estimate.errors_px, estimate.used, "reprojection error [px]")
    kept = [name for name, used in zip(names, estimate.used, strict=True) if used]
    everything = np.ones(len(kept), bool)
    _bars(axes[1], kept, estimate.held_out_mm, everything, "held-out error [mm]")
    _bars(axes[2], kept, estimate.held_out_deg, everything, "held-out error [deg]")
    solvers = list(estimate.solvers)
    distances_mm = np.array([distance_mm for distance_mm, _ in estimate.solvers.values()])
    _bars(axes[3], solvers, distances_mm, np.ones(len(solvers), bool), "solver from result [mm]")
    _coverage_map(axes[4], detections, image)
    _picture(axes[5], image, detections[0])
    return figure


def _bars(axes: Axes, names: Sequence[str], values: Array, used: Flags, label: str) -> None:
    colours = [_USED if is_used else _DROPPED for is_used in used]
    axes.bar(range(len(names)), list(values), color=colours)
    axes.set_xticks(range(len(names)), [Path(name).stem for name in names], rotation=90)
    axes.set_ylabel(label)
    if not used.all():
        # A dropped view may be a thousand times worse than the others.
        axes.set_yscale("log")
        axes.set_title("orange: left out", fontsize=10)


def _coverage_map(axes: Axes, detections: Sequence[Detection], image: Image) -> None:
    height, width = image.shape[:2]
    counts = coverage(detections, width, height)
    axes.imshow(counts, extent=(0, width, height, 0), cmap="Blues", vmin=0, alpha=0.5)
    corners = np.concatenate([detection.corners_px for detection in detections])
    axes.plot(corners[:, 0], corners[:, 1], ".", markersize=2, color=_USED)
    axes.set_title("corners of all views in the picture", fontsize=10)


def _picture(axes: Axes, image: Image, detection: Detection) -> None:
    axes.imshow(image)
    axes.plot(*detection.corners_px.T, "+", color=_DROPPED, markersize=6)
    axes.set_axis_off()
    axes.set_title("a detected board", fontsize=10)
