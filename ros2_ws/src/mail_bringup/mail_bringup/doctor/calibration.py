"""Are the calibrations those of these cameras, and not too old?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from calibration.results import AnyResult, CalibrationError, age_warning, latest_results
from mail_bringup.doctor.finding import Finding, failure, ok, warning
from mail_cameras.config import CameraConfig, CameraKind

_KINDS = ("intrinsics", "hand_eye")


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationFacts:
    """What was measured.

    Attributes:
        results: The newest of every kind and subject.
        problem: Why the results are refused, "" if they are not.
    """

    results: Mapping[tuple[str, str], AnyResult]
    problem: str = ""


def gather(folder: Path) -> CalibrationFacts:
    """Read the results of a robot."""
    try:
        return CalibrationFacts(results=latest_results(folder))
    except CalibrationError as error:
        return CalibrationFacts(results={}, problem=str(error))


def judge(
    facts: CalibrationFacts, cameras: tuple[CameraConfig, ...], now: datetime
) -> list[Finding]:
    """Judge the results for the cameras on the USB bus.

    Args:
        facts: What was measured.
        cameras: Those of the camera file.
        now: With a time zone.
    """
    if facts.problem:
        wanted, remedy = "results that can be used", "remove the file and measure again"
        return [failure("calibration", facts.problem, wanted, remedy, is_waivable=True)]
    real = [camera for camera in cameras if camera.driver is CameraKind.REALSENSE]
    findings = [finding for camera in real for finding in _judge_camera(facts, camera, now)]
    return findings or [ok("calibration", "all cameras are calibrated")]


def _judge_camera(facts: CalibrationFacts, camera: CameraConfig, now: datetime) -> list[Finding]:
    name = f"calibration-{camera.name}"
    results = {kind: facts.results.get((kind, camera.name)) for kind in _KINDS}
    foreign = [
        kind for kind, result in results.items() if result and result.serial != camera.serial
    ]
    if foreign:
        found = f"{' and '.join(foreign)} measured on another camera than {camera.serial}"
        wanted = "a calibration of this camera"
        # Waivable, or a new camera could not be calibrated: that needs a stack too.
        return [failure(name, found, wanted, _remedy(foreign), is_waivable=True)]
    missing = [kind for kind, result in results.items() if result is None]
    if missing:
        found = f"no {' and no '.join(missing)}"
        wanted = "both; without them the device's own numbers and no camera poses are published"
        return [warning(name, found, wanted, _remedy(missing))]
    old = [text for result in results.values() if result and (text := age_warning(result, now))]
    if old:
        found = old[0].partition("; ")[0]
        remedy = "check it with mailctl calibrate check"
        return [warning(name, found, "a calibration of this month", remedy)]
    return []


def _remedy(kinds: Sequence[str]) -> str:
    commands = " and ".join(f"mailctl calibrate {kind.replace('_', '-')} VIEWS" for kind in kinds)
    return f"take views of the board (mailctl calibrate --help), then {commands}"
