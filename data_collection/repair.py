"""Finds and mends episodes whose recording was cut off or damaged."""

import dataclasses
import shutil
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from data_collection import topics
from data_collection.errors import EpisodeError
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
    """

    problem: str
    messages: int
    steps: int
    duration_s: float
    lost_bytes: int
    is_log_complete: bool
    is_cut: bool
    can_be_repaired: bool


@dataclass(slots=True)
class _Tally:
    """Counts while a log is read."""

    image_topic: str = ""
    messages: int = 0
    steps: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def add(self, message: RawMessage) -> None:
        if self.messages == 0:
            self.first_ns = self.last_ns = message.log_time_ns
        self.messages += 1
        self.steps += message.topic == self.image_topic
        self.first_ns = min(self.first_ns, message.log_time_ns)
        self.last_ns = max(self.last_ns, message.log_time_ns)

    @property
    def duration_s(self) -> float:
        return (self.last_ns - self.first_ns) * 1e-9


def check_episode(folder: Path) -> EpisodeHealth:
    """Read everything in an episode and say what is wrong with it. Changes nothing."""
    return _inspect(folder, LogIndex())


def _inspect(folder: Path, index: LogIndex) -> EpisodeHealth:
    """Check an episode, and note in an index what is worth to be kept."""
    problem, lost_bytes, is_log_complete, is_cut = "", 0, True, False
    tally = _Tally()
    try:
        manifest = _manifest_of(folder)
        tally.image_topic = topics.image_topic(manifest.cameras[0])
        for item in scan(folder / LOG_NAME, index):
            if isinstance(item, RawMessage):
                tally.add(item)
        problem = _disagreement(folder, tally)
    except McapDamage as damage:
        problem, is_log_complete, is_cut = str(damage), False, damage.is_cut
        lost_bytes = (folder / LOG_NAME).stat().st_size - damage.offset
    except EpisodeError as error:
        return EpisodeHealth(str(error), 0, 0, 0.0, 0, False, False, can_be_repaired=False)
    return EpisodeHealth(
        problem=problem,
        messages=tally.messages,
        steps=tally.steps,
        duration_s=tally.duration_s,
        lost_bytes=lost_bytes,
        is_log_complete=is_log_complete,
        is_cut=is_cut,
        can_be_repaired=tally.messages > 0,
    )


def repair_episode(folder: Path) -> tuple[RepairStatus, str]:
    """Keep the verified part of an episode and make it complete. A second call changes nothing.

    The verified part is not touched, and a repair may itself be killed. A copy of a file that lost
    more than a kill can lose is kept as `episode.mcap.damaged`.

    Returns:
        The status, and a sentence for the operator.
    """
    index = LogIndex()
    health = _inspect(folder, index)
    if not health.problem:
        return RepairStatus.OK, f"{folder} is complete: {health.messages} messages"
    if not health.can_be_repaired:
        return RepairStatus.FAILED, f"{folder} holds nothing to keep: {health.problem}"
    try:
        manifest = _manifest_of(folder)
        if not health.is_log_complete:
            is_ordinary = health.is_cut and health.lost_bytes <= _ORDINARY_TAIL_BYTES
            _complete_log(folder, index, keep_original=not is_ordinary)
        save_manifest(folder, _repaired(manifest, health))
    except (OSError, EpisodeError) as error:
        return RepairStatus.FAILED, f"{folder} cannot be repaired: {error}"
    return RepairStatus.REPAIRED, (
        f"{folder} repaired: kept {health.messages} messages over {health.duration_s:.1f} s, "
        f"gave up {health.lost_bytes} bytes"
    )


def _manifest_of(folder: Path) -> EpisodeManifest:
    """Return the manifest, from the log if `episode.json` is missing or unreadable."""
    try:
        return load_manifest(folder)
    except EpisodeError as missing:
        try:
            for item in scan(folder / LOG_NAME):
                if isinstance(item, RawMetadata) and item.name == METADATA_NAME:
                    return parse_manifest(item.values["manifest"], where=str(folder / LOG_NAME))
        except (EpisodeError, KeyError):
            pass
        raise missing


def _disagreement(folder: Path, tally: _Tally) -> str:
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
        steps=health.steps,
        duration_s=health.duration_s,
        quality=EpisodeQuality.REPAIRED,
        quality_notes=(*manifest.quality_notes, note),
    )
