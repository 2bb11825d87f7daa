"""What a recorder tells about itself, without ROS."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data_collection.disk import DiskGuard
from data_collection.manifest import EpisodeManifest, EpisodeQuality
from data_collection.quality import StreamHealth
from data_collection.writer import EpisodeWriter
from mail_recorder.recording import Recording

# A recording is worth to be started if it can go on for so long (F55).
_WANTED_S = 600.0
# Shorter recordings do not tell at what rate they grow.
_TELLING_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far an episode is.

    Attributes:
        steps: Pictures of the first camera so far.
        duration_s: So far [s].
        remarks: What is wrong; nothing if all is well.
        streams: How each stream is doing; empty unless the episode is being written.
    """

    steps: int = 0
    duration_s: float = 0.0
    remarks: tuple[str, ...] = ()
    streams: tuple[StreamHealth, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RecorderView:
    """What is going on.

    Attributes:
        is_recording: An episode is being written.
        task: Of the running or the last episode, "" before the first.
        folder: Of the running or the last episode.
        progress: Of the running or the last episode.
        free_s: How long could still be recorded [s].
        saved: Episodes since the start of the recorder.
        discarded: Episodes since the start of the recorder.
    """

    is_recording: bool
    task: str
    folder: Path | None
    progress: Progress
    free_s: float
    saved: int
    discarded: int


class FreeTime:
    """Turns free space into time, by how fast recordings have grown.

    Args:
        disk_guard: How much space is needed if nothing has been recorded yet.
        folder: Where recordings go.
    """

    def __init__(self, disk_guard: DiskGuard, folder: Path) -> None:
        self._disk_guard = disk_guard
        self._folder = folder
        self._bytes_per_s = disk_guard.start_margin_bytes / _WANTED_S

    def learn(self, writer: EpisodeWriter) -> None:
        """Look at how fast a recording grows."""
        duration_s = writer.tally.duration_s
        if duration_s >= _TELLING_S:
            self._bytes_per_s = max(1.0, writer.size_bytes / duration_s)

    def guard_for_ten_minutes(self) -> DiskGuard:
        """Return a guard that asks for as much space as the next recording is going to need."""
        needed = max(self._disk_guard.start_margin_bytes, round(_WANTED_S * self._bytes_per_s))
        return dataclasses.replace(self._disk_guard, start_margin_bytes=needed)

    def left_s(self) -> float:
        """Return how long can still be recorded [s]."""
        # The folder is made by the first recording.
        folder = next(f for f in (self._folder, *self._folder.absolute().parents) if f.exists())
        spare = self._disk_guard.free_bytes(folder) - self._disk_guard.reserve_bytes
        return max(0.0, spare / self._bytes_per_s)


class ClockWatch:
    """Notices that the clock that stamps messages was set, by a clock that never is.

    Args:
        tolerance_s: How far the two may drift apart between two looks [s].
    """

    def __init__(self, tolerance_s: float = 0.25) -> None:
        self._tolerance_s = tolerance_s
        self._offset_s: float | None = None

    def jump_s(self, now_s: float, steady_s: float) -> float:
        """Return by how much the clock was set since the last look [s], 0 if it was not."""
        offset_s = now_s - steady_s
        jump_s = 0.0 if self._offset_s is None else offset_s - self._offset_s
        self._offset_s = offset_s
        return jump_s if abs(jump_s) > self._tolerance_s else 0.0


def progress_of(recording: Recording, now_ns: int) -> Progress:
    """Look at a recording that goes on, at a time on the clock of arrival [ns]."""
    tally, verdict = recording.writer.tally, recording.writer.tally.quality.verdict(now_ns)
    fault = [recording.fault] if recording.fault else []
    return Progress(
        steps=tally.steps,
        duration_s=tally.duration_s,
        remarks=(*fault, *verdict.notes, *lost_remarks(recording.queue.dropped)),
        streams=verdict.streams,
    )


def progress_at_end(manifest: EpisodeManifest) -> Progress:
    """Look at an episode that has ended."""
    remarks = (*manifest.quality_notes, *lost_remarks(manifest.dropped_messages))
    if manifest.quality is EpisodeQuality.RECORDING:
        remarks = (*remarks, "it was not completed; try `mailctl episodes repair`")
    return Progress(steps=manifest.steps, duration_s=manifest.duration_s, remarks=remarks)


def lost_remarks(dropped: Mapping[str, int]) -> list[str]:
    """Say which messages were lost before they were written."""
    return [f"{count} lost on {topic}" for topic, count in dict(dropped).items() if count]
