"""Calibration results: what was measured, on which device, when, how well; checked on load.

A result is one YAML file, `calibration/results/<robot>/<date>T<time>_<kind>_<subject>.yaml`. It is
never changed: a new measurement is a new file, and the newest one counts. A hash over its values
finds files that were edited by hand or cut off.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from calibration.result_types import (
    AnyResult,
    CalibrationError,
    CalibrationResult,
    FixedBoard,
    HandEyeResult,
    IntrinsicsResult,
    LatencyResult,
    parse_time,
    pose_fields,
)
from mail_policy.core.config import ConfigError, build_config
from mail_policy.core.text_files import read_yaml

__all__ = [
    "RESULTS",
    "STALE_DAYS",
    "AnyResult",
    "CalibrationError",
    "CalibrationResult",
    "FixedBoard",
    "HandEyeResult",
    "IntrinsicsResult",
    "LatencyResult",
    "age_days",
    "age_warning",
    "latest_results",
    "load_result",
    "pose_fields",
    "require_serial",
    "save_result",
]

RESULTS = Path(__file__).parent / "results"
STALE_DAYS = 30.0
_TYPES: dict[str, type[AnyResult]] = {
    result.kind: result for result in (IntrinsicsResult, HandEyeResult, LatencyResult)
}


def save_result(result: AnyResult, folder: Path) -> Path:
    """Write a result; return the new file.

    Args:
        result: What was measured.
        folder: Of the robot, for example `RESULTS / result.robot`. It is made if missing.
    """
    stamp = parse_time(result.created_at).strftime("%Y-%m-%dT%H-%M-%S")
    path = folder / f"{stamp}_{result.kind}_{result.subject}.yaml"
    values = {**result.to_plain(), "sha256": result.sha256}
    folder.mkdir(parents=True, exist_ok=True)
    # "x": a measurement is never overwritten.
    with path.open("x") as file:
        yaml.safe_dump(values, file, sort_keys=False)
    return path


def load_result(path: Path, serial: str | None = None) -> AnyResult:
    """Read and check a result.

    Args:
        path: The YAML file.
        serial: Of the device in use; a result of another one is refused.

    Raises:
        CalibrationError: The file is unreadable, changed, impossible, or of another device.
    """
    try:
        values = read_yaml(path)
    except (OSError, ValueError) as error:
        raise CalibrationError(f"cannot read {path}: {error}") from error
    result, digest = _build(values, path)
    if digest != result.sha256:
        raise CalibrationError(
            f"{path}: sha256 does not fit the values, so the file was changed; measure again"
        )
    if serial is not None:
        require_serial(result, serial)
    return result


def require_serial(result: AnyResult, serial: str) -> None:
    """Refuse a result of another device than the one in use."""
    if result.serial != serial:
        raise CalibrationError(
            f"{result.kind} of {result.subject} was measured on serial {result.serial!r}, but "
            f"{serial!r} is in use; run mailctl calibrate for this device"
        )


def latest_results(folder: Path) -> dict[tuple[str, str], AnyResult]:
    """Return the newest result of every kind and subject of a robot; none if there is no folder.

    Args:
        folder: Of the robot, for example `RESULTS / "sim"`.

    Raises:
        CalibrationError: A file is refused, or was measured on another robot.
    """
    latest: dict[tuple[str, str], AnyResult] = {}
    for path in sorted(folder.glob("*.yaml")):
        result = load_result(path)
        if result.robot != folder.name:
            raise CalibrationError(
                f"{path}: was measured on robot {result.robot!r}, not on {folder.name!r}; "
                "remove it and calibrate this robot"
            )
        key = result.kind, result.subject
        if key not in latest or parse_time(latest[key].created_at) <= parse_time(result.created_at):
            latest[key] = result
    return latest


def age_days(result: AnyResult, now: datetime) -> float:
    """Return how old a result is [days].

    Args:
        result: What was measured.
        now: With a time zone.
    """
    return (now - parse_time(result.created_at)).total_seconds() / 86400.0


def age_warning(result: AnyResult, now: datetime) -> str:
    """Return what to say about an old result; "" if it is younger than `STALE_DAYS`."""
    age = age_days(result, now)
    if age <= STALE_DAYS:
        return ""
    return (
        f"{result.kind} of {result.subject} is {age:.0f} days old, limit is {STALE_DAYS:.0f}; "
        "check it with mailctl calibrate check"
    )


def _build(values: Any, path: Path) -> tuple[AnyResult, Any]:
    if not isinstance(values, dict):
        raise CalibrationError(f"{path}: expected keys and values, got {values!r}")
    values = dict(values)
    kind, digest = values.pop("kind", None), values.pop("sha256", None)
    if kind not in _TYPES:
        raise CalibrationError(f"{path}: kind must be one of {', '.join(_TYPES)}, got {kind!r}")
    try:
        return build_config(_TYPES[kind], values, where=str(path)), digest
    except ConfigError as error:
        raise CalibrationError(str(error)) from error
