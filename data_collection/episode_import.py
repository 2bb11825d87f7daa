"""Makes our episodes of those of other formats."""

import os
import shutil
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_collection.disk import DiskGuard
from data_collection.errors import EpisodeError
from data_collection.exchange import ExchangeReport, OnProgress
from data_collection.manifest import EpisodeManifest, EpisodeSource, sync_folder
from data_collection.provenance import software_versions
from data_collection.writer import EpisodeWriter
from mail_policy.core.types import Observation

# Each observation with its action.
Steps = Generator[tuple[Observation, NDArray[np.float64]], None, None]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a foreign data set does not say about itself.

    Attributes:
        robot_type: "fer" or "fr3"; "" if the data set says it.
        source: Who moved the arm.
        operator: Who was responsible.
        cameras: Names in the data set, by our names; those that are missing keep their own name.
        assume_success: Take an episode for a success if nothing says otherwise.
        gripper_open_m: Width [m] at 1.0 of a gripper that is told from 0 to 1; None if it is told
            in metres.
    """

    robot_type: str = ""
    source: EpisodeSource = EpisodeSource.TELEOP
    operator: str = ""
    cameras: dict[str, str] = field(default_factory=dict)
    assume_success: bool = False
    gripper_open_m: float | None = None


@dataclass(frozen=True, slots=True)
class ForeignEpisode:
    """An episode of another format.

    Attributes:
        name: For reports.
        open: Returns what is known, and the steps.
    """

    name: str
    open: Callable[[], "OpenedEpisode"]


@dataclass(frozen=True, slots=True)
class OpenedEpisode:
    """An episode of another format that will be written as ours.

    Attributes:
        manifest: What is known before the first step.
        steps: Read while they are written.
        notes: What was lost; any note flags the episode.
    """

    manifest: EpisodeManifest
    steps: Steps
    notes: tuple[str, ...] = ()


def import_episodes(
    episodes: Iterable[ForeignEpisode],
    total: int,
    out: Path,
    on_progress: OnProgress,
    disk_guard: DiskGuard | None = None,
) -> ExchangeReport:
    """Write episodes below a folder. One that is damaged leaves nothing behind.

    Args:
        episodes: What to import.
        total: How many they are.
        out: Where; episodes that are there already stay as they are.
        on_progress: Called after each episode.
        disk_guard: When there is too little space.
    """
    report = ExchangeReport()
    out.mkdir(parents=True, exist_ok=True)
    staging = out / f".import-{os.getpid()}"
    try:
        for done, episode in enumerate(episodes):
            try:
                report.done.append(_store(episode.open(), out, staging, disk_guard))
            except EpisodeError as error:
                report.skipped[episode.name] = str(error)
                shutil.rmtree(staging, ignore_errors=True)
            on_progress(done + 1, total)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return report


def lost_interventions(steps: int) -> tuple[str, ...]:
    """Say what is lost of so many steps in which a person had taken over."""
    return (f"{steps} steps were interventions; this import does not keep which",) if steps else ()


def checked_manifest(**values: object) -> EpisodeManifest:
    """Build a manifest of foreign words. Raises EpisodeError if one cannot be used."""
    software = {**software_versions(), **dict(values.pop("origin", {}))}  # type: ignore[call-overload]
    try:
        return EpisodeManifest(**values, software=software)  # type: ignore[arg-type]
    except ValueError as error:
        raise EpisodeError(str(error)) from error


def _store(opened: OpenedEpisode, out: Path, staging: Path, disk_guard: DiskGuard | None) -> str:
    manifest = opened.manifest
    target = out / manifest.id
    if target.exists():
        raise EpisodeError(f"{target} exists already; it was not touched")
    writer = EpisodeWriter(staging / manifest.id, manifest, disk_guard)
    with writer, closing(opened.steps) as steps:
        for observation, action in steps:
            writer.write_step(observation, action)
        writer.finish(manifest.success, manifest.failure_reason, notes=opened.notes)
    writer.folder.rename(target)
    sync_folder(out)
    return manifest.id
