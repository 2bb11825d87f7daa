"""Says in one line how a camera does, for the operator and for diagnostics. No ROS."""

from dataclasses import asdict, dataclass
from enum import IntEnum

from mail_cameras.health import CameraCounts

# No picture for so long, in which even a slow camera would have sent several, is an outage [s].
_SILENT_S = 1.0
# Counts of what every working camera does.
_HARMLESS = ("received", "published")


class Level(IntEnum):
    """How bad it is; numbers as in diagnostic_msgs."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraView:
    """What is known about a camera at one instant.

    Attributes:
        counts: What happened to its pictures since the start.
        counts_before: The same at the last report.
        silent_for_s: Time since its last usable picture [s].
        rate_hz: Of its usable pictures.
        is_slow: The rate is too low.
        problem: Why it delivers nothing, "" while it does.
    """

    counts: CameraCounts
    counts_before: CameraCounts
    silent_for_s: float
    rate_hz: float
    is_slow: bool
    problem: str


@dataclass(frozen=True, slots=True)
class CameraReport:
    """One status of diagnostics."""

    level: Level
    message: str
    values: dict[str, str]


def report_on(view: CameraView) -> CameraReport:
    """Judge a camera. Names what is missing, and what went wrong since the last report."""
    counts, before = asdict(view.counts), asdict(view.counts_before)
    values = {name: str(count) for name, count in counts.items()}
    values |= {"rate_hz": f"{view.rate_hz:.1f}", "silent_for_s": f"{view.silent_for_s:.3f}"}
    if view.problem:
        return CameraReport(Level.ERROR, view.problem, values)
    if view.silent_for_s > _SILENT_S:
        silence = f"delivers nothing since {view.silent_for_s:.1f} s"
        return CameraReport(Level.ERROR, silence, values)
    new = [
        f"{counts[name] - before[name]} {name.replace('_', ' ')}"
        for name in counts
        if name not in _HARMLESS and counts[name] > before[name]
    ]
    if view.is_slow:
        new.insert(0, f"only {view.rate_hz:.1f} pictures per second")
    if new:
        text = f"delivers pictures, but since the last report: {', '.join(new)}"
        return CameraReport(Level.WARN, text, values)
    return CameraReport(Level.OK, "delivers pictures", values)
