"""What is known about an episode besides its messages: the file `episode.json`."""

import dataclasses
import json
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from data_collection.errors import EpisodeError, FormatVersionError, InUseError
from data_collection.locks import is_in_use
from data_collection.topics import JOINT_PREFIXES
from mail_policy.core.action_schema import EE_DELTA, POLICY_RATE_HZ, schema_named
from mail_policy.core.config import ConfigError, build_config, to_plain
from mail_policy.core.text_files import read_text

FORMAT_VERSION = 2
_OLDEST_VERSION = 1
MANIFEST_NAME = "episode.json"
LOG_NAME = "episode.mcap"

# Both become parts of paths and topic names, so nothing that a path could interpret is allowed.
_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_CAMERA_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


class EpisodeSource(StrEnum):
    """Who moved the arm."""

    SCRIPTED = "scripted"
    TELEOP = "teleop"
    POLICY = "policy"
    INTERVENTION = "intervention"  # a person took over from the policy; starts with what it did


class EpisodeQuality(StrEnum):
    """How far the recording can be trusted."""

    RECORDING = "recording"  # being written, or the recorder died
    GOOD = "good"
    FLAGGED = "flagged"  # complete, but see the notes
    REPAIRED = "repaired"  # the end is missing


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeManifest:
    """The description of one episode.

    Attributes:
        id: Name of the episode and of its folder.
        task: The sentence that was followed.
        source: Who moved the arm.
        robot_type: "fer" or "fr3".
        cameras: Camera names; the first one sets the time grid.
        created_at: When the recording began, ISO 8601 in UTC.
        operator: Who was responsible, "" if nobody.
        seed: Seed of the twin's initial state, None on a real robot.
        success: Whether the task was done; None if nobody said.
        failure_reason: Why not, "" if it was.
        steps: Pictures of the first camera.
        duration_s: From the first to the last stamp [s].
        rate_hz: Rate of the time grid [Hz].
        action_schema: What the recorded actions mean.
        software: Versions of our code and of the libraries that matter, by name.
        quality: How far the recording can be trusted.
        quality_notes: Why it is not simply good.
        dropped_messages: Messages that the recorder had to drop, by topic.
        interventions: How often a person took over from the policy.
        person_s: How long a person held the arm [s].
        pre_roll_s: How much of the episode happened before it was started [s].
        format_version: Version of this format.
    """

    id: str
    task: str
    source: EpisodeSource
    robot_type: str
    cameras: tuple[str, ...]
    created_at: str
    operator: str = ""
    seed: int | None = None
    success: bool | None = None
    failure_reason: str = ""
    steps: int = 0
    duration_s: float = 0.0
    rate_hz: float = POLICY_RATE_HZ
    action_schema: str = EE_DELTA.name
    software: dict[str, str] = field(default_factory=dict)
    quality: EpisodeQuality = EpisodeQuality.RECORDING
    quality_notes: tuple[str, ...] = ()
    dropped_messages: dict[str, int] = field(default_factory=dict)
    interventions: int = 0
    person_s: float = 0.0
    pre_roll_s: float = 0.0
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        """Refuse names that could leave the folder, and values that no reader understands."""
        if not _ID_PATTERN.fullmatch(self.id):
            raise ValueError(
                f"id must be 1 to 128 letters, digits, '_' or '-', got {self.id[:200]!r}"
            )
        for camera in self.cameras:
            if not _CAMERA_PATTERN.fullmatch(camera):
                raise ValueError(
                    f"cameras must be named by letters, digits and '_', got {camera[:100]!r}"
                )
        if not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise ValueError(f"cameras must be different, at least one, got {self.cameras}")
        if self.robot_type not in JOINT_PREFIXES:
            known = ", ".join(JOINT_PREFIXES)
            raise ValueError(f"robot_type must be one of {known}, got {self.robot_type!r}")
        if not self.rate_hz > 0.0:
            raise ValueError(f"rate_hz must be greater than 0, got {self.rate_hz}")
        schema_named(self.action_schema)


def episode_id(task: str, created_at: datetime) -> str:
    """Make a readable id of a time and a sentence, for example `20260705-142233-120-open-drawer`.

    The sentence may be anything: only its ASCII letters and digits are used.
    """
    words = re.findall(r"[a-z0-9]+", task.lower())
    utc = created_at.astimezone(UTC)
    stamp = f"{utc:%Y%m%d-%H%M%S}-{utc.microsecond // 1000:03d}"
    return "-".join([stamp, *words])[:80].rstrip("-")


def load_manifest(folder: Path) -> EpisodeManifest:
    """Read the manifest of an episode. Raises EpisodeError if it is missing or wrong."""
    path = folder / MANIFEST_NAME
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise EpisodeError(
            f"cannot read {path}: {error}; is it an episode? Try `mailctl episodes repair {folder}`"
        ) from error
    return parse_manifest(text, where=str(path))


def parse_manifest(text: str, where: str) -> EpisodeManifest:
    """Build a manifest from JSON. Raises EpisodeError that names the faulty field."""
    try:
        return build_config(EpisodeManifest, _migrated(json.loads(text), where), where=where)
    except (json.JSONDecodeError, RecursionError, ConfigError) as error:
        raise EpisodeError(
            f"{where} is no valid manifest: {error}; try `mailctl episodes repair`"
        ) from error


def _migrated(values: Any, where: str) -> Any:
    """Bring the content of an older manifest to this version; the only place that knows older ones.

    Version 2 only added fields, which an older episode leaves at their defaults. Whatever else is
    wrong in the content is left to the checks of this version.
    """
    if not isinstance(values, dict):
        return values
    version = values.get("format_version", FORMAT_VERSION)
    if type(version) is not int or not _OLDEST_VERSION <= version <= FORMAT_VERSION:
        raise FormatVersionError(
            f"{where}: format_version must be {_OLDEST_VERSION} to {FORMAT_VERSION}, got "
            f"{version!r}; use the version of this software that wrote the episode"
        )
    return {**values, "format_version": FORMAT_VERSION}


def manifest_text(manifest: EpisodeManifest) -> str:
    """Return a manifest as JSON, the inverse of `parse_manifest`."""
    return json.dumps(to_plain(manifest), indent=2) + "\n"


def save_manifest(folder: Path, manifest: EpisodeManifest) -> None:
    """Write the manifest of an episode: after a power cut the old or the new one is there."""
    temporary = folder / f"{MANIFEST_NAME}.tmp"
    try:
        with temporary.open("w") as file:
            file.write(manifest_text(manifest))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / MANIFEST_NAME)
        sync_folder(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise EpisodeError(f"cannot write {folder / MANIFEST_NAME}: {error}") from error


def sync_folder(folder: Path) -> None:
    """Make renames and new files in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def label_episode(folder: Path, success: bool | None, failure_reason: str = "") -> EpisodeManifest:
    """Say afterwards whether an episode succeeded; None takes a label back.

    Returns:
        The new manifest.

    Raises:
        EpisodeError: It is no episode that this software can read, or it is being recorded.
    """
    if is_in_use(folder / LOG_NAME):
        raise InUseError(f"{folder} is being recorded by another process; label it when it is done")
    manifest = dataclasses.replace(
        load_manifest(folder), success=success, failure_reason="" if success else failure_reason
    )
    save_manifest(folder, manifest)
    return manifest
