"""Finds and mends episodes whose recording was cut off or damaged."""

import dataclasses
import shutil
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from data_collection.errors import EpisodeError, FormatVersionError, InUseError
from data_collection.locks import is_in_use, reserved
from data_collection.manifest import (
    LOG_NAME,
    MANIFEST_NAME,
    EpisodeManifest,
    EpisodeQuality,
    load_manifest,
    parse_manifest,
    save_manifest,
    sync_folder,
)
from data_collection.mcap_finish import LogIndex, complete_in_place
from data_collection.mcap_scan import McapDamage, RawMessage, RawMetadata, scan
from data_collection.tally import EpisodeTally
from data_collection.writer import METADATA_NAME

DAMAGED_NAME = "episode.mcap.damaged"
# A kill loses less than one write. If more is lost, the file was damaged and is kept.
_ORDINARY_TAIL_BYTES = 4 << 20


class RepairStatus(IntEnum):
    """How a check or repair ended; also the exit code, as of `mcap recover`."""

    OK = 0
    FAILED = 1
    REPAIRED = 3


@dataclass(frozen=True, slots=True)
class EpisodeHealth:
    """What a check found.

    Attributes:
        problem: What is wrong, "" if nothing.
        messages: Verified messages.
        steps: Verified pictures of the first camera.
        duration_s: From the first to the last verified message [s].
        lost_bytes: What lies behind the verified part.
        is_log_complete: Nothing is wrong with the messages, though maybe with the manifest.
        is_cut: The recording simply ends there, as after a kill or a power cut.
        can_be_repaired: True if a repair will leave a readable episode.
        remarks: What is wrong with the streams, as the quality gate judges them now.
    """

    problem: str
    messages: int
    steps: int
    duration_s: float
    lost_bytes: int
    is_log_complete: bool
    is_cut: bool
    can_be_repaired: bool
    remarks: tuple[str, ...] = ()


def check_episode(folder: Path) -> EpisodeHealth:
    """Read everything in an episode and say what is wrong with it. Changes nothing."""
    if is_in_use(folder / LOG_NAME):
        return _hopeless(f"{folder} is being recorded by another process")
    return _inspect(folder, LogIndex())[0]


def _inspect(folder: Path, index: LogIndex) -> tuple[EpisodeHealth, EpisodeTally | None]:
    """Check an episode, and note in an index what is worth to be kept."""
    problem, lost_bytes, is_log_complete, is_cut = "", 0, True, False
    try:
        tally = EpisodeTally(_manifest_of(folder))
    except EpisodeError as error:
        return _hopeless(str(error)), None
    try:
        for item in scan(folder / LOG_NAME, index):
            if isinstance(item, RawMessage):
                tally.add(item.topic, item.schema, item.cdr, item.log_time_ns)
        problem = _disagreement(folder, tally)
    except McapDamage as damage:
        problem, is_log_complete, is_cut = str(damage), False, damage.is_cut
        lost_bytes = (folder / LOG_NAME).stat().st_size - damage.offset
    except EpisodeError as error:
        return _hopeless(str(error)), None
    health = EpisodeHealth(
        problem=problem,
        messages=tally.messages,
        steps=tally.steps,
        duration_s=tally.duration_s,
        lost_bytes=lost_bytes,
        is_log_complete=is_log_complete,
        is_cut=is_cut,
        can_be_repaired=tally.messages > 0,
        remarks=tally.quality.verdict().notes,
    )
    return health, tally


def _hopeless(problem: str) -> EpisodeHealth:
    return EpisodeHealth(problem, 0, 0, 0.0, 0, False, False, can_be_repaired=False)


def repair_episode(folder: Path) -> tuple[RepairStatus, str]:
    """Keep the verified part of an episode and make it complete. A second call changes nothing.

    The verified part is not touched, and a repair may itself be killed. A copy of a file that lost
    more than a kill can lose is kept as `episode.mcap.damaged`.

    Returns:
        The status, and a sentence for the operator.
    """
    try:
        with reserved(folder / LOG_NAME):
            return _repair(folder)
    except InUseError as error:
        return RepairStatus.FAILED, str(error)


def _repair(folder: Path) -> tuple[RepairStatus, str]:
    index = LogIndex()
    health, tally = _inspect(folder, index)
    if not health.problem:
        return RepairStatus.OK, f"{folder} is complete: {health.messages} messages"
    if tally is None or not health.can_be_repaired:
        return RepairStatus.FAILED, _why_not(folder, health)
    try:
        manifest = _manifest_of(folder)
        if not health.is_log_complete:
            is_ordinary = health.is_cut and health.lost_bytes <= _ORDINARY_TAIL_BYTES
            _complete_log(folder, index, keep_original=not is_ordinary)
        save_manifest(folder, _repaired(tally.filled(manifest), health))
    except (OSError, EpisodeError) as error:
        return RepairStatus.FAILED, f"{folder} cannot be repaired: {error}"
    return RepairStatus.REPAIRED, (
        f"{folder} repaired: kept {health.messages} messages over {health.duration_s:.1f} s, "
        f"gave up {health.lost_bytes} bytes"
    )


def _why_not(folder: Path, health: EpisodeHealth) -> str:
    try:
        _manifest_of(folder)
    except FormatVersionError as error:
        return f"{folder} was not touched: {error}"
    except EpisodeError:
        pass
    return f"{folder} holds nothing to keep: {health.problem}"


def _manifest_of(folder: Path) -> EpisodeManifest:
    """Return the manifest, from the log if `episode.json` is missing or unreadable."""
    try:
        return load_manifest(folder)
    except FormatVersionError:
        raise
    except EpisodeError as missing:
        try:
            for item in scan(folder / LOG_NAME):
                if isinstance(item, RawMetadata) and item.name == METADATA_NAME:
                    return parse_manifest(item.values["manifest"], where=str(folder / LOG_NAME))
        except (EpisodeError, KeyError):
            pass
        raise missing


def _disagreement(folder: Path, tally: EpisodeTally) -> str:
    """Say what is wrong with the manifest of a complete log, "" if nothing."""
    try:
        manifest = load_manifest(folder)
    except EpisodeError as error:
        return str(error)
    if manifest.quality is EpisodeQuality.RECORDING:
        return f"{folder} was never finished, although its messages are complete"
    if manifest.steps != tally.steps:
        return (
            f"{folder / MANIFEST_NAME} promises {manifest.steps} steps, "
            f"the recording holds {tally.steps}"
        )
    return ""


def _complete_log(folder: Path, index: LogIndex, *, keep_original: bool) -> None:
    """Cut the log after its verified part and give it an index."""
    log, damaged = folder / LOG_NAME, folder / DAMAGED_NAME
    if keep_original and not damaged.exists():
        copy = folder / f"{DAMAGED_NAME}.tmp"
        shutil.copyfile(log, copy)
        copy.replace(damaged)
        sync_folder(folder)
    complete_in_place(log, index)


def _repaired(manifest: EpisodeManifest, health: EpisodeHealth) -> EpisodeManifest:
    note = f"repaired: {health.lost_bytes} bytes at the end were lost"
    if not health.lost_bytes:
        note = "repaired: the recorder died between two messages"
    if health.is_log_complete:
        note = "repaired: no message was lost, the manifest was rebuilt from them"
    return dataclasses.replace(
        manifest,
        quality=EpisodeQuality.REPAIRED,
        # What the recorder had noted already is not said twice.
        quality_notes=tuple(dict.fromkeys([*manifest.quality_notes, *health.remarks, note])),
    )
