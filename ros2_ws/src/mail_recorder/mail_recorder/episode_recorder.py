"""Starts, saves and discards recordings; one at a time."""

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from data_collection import messages, topics
from data_collection.disk import DiskGuard
from data_collection.errors import EpisodeError
from data_collection.manifest import EpisodeManifest, EpisodeSource, episode_id
from data_collection.provenance import software_versions
from data_collection.writer import EpisodeWriter, Recorded
from mail_recorder.recording import Recording

END_LIMIT_S = 5.0
# The path of an episode is answered in a field of 256 characters, 80 of which are the id.
MAX_DIR_LENGTH = 170


@dataclass(frozen=True, kw_only=True, slots=True)
class RecorderConfig:
    """What every episode of a recorder has in common.

    Attributes:
        episodes_dir: Where episodes go, one folder each.
        cameras: Camera names; the first one sets the time grid.
        robot_type: "fer" or "fr3".
        source: Who moves the arm.
        operator: Who is responsible, "" if nobody.
        queue_limit: Messages of one topic that may wait to be written.
    """

    episodes_dir: Path
    cameras: tuple[str, ...]
    robot_type: str
    source: EpisodeSource = EpisodeSource.POLICY
    operator: str = ""
    queue_limit: int = 512

    def __post_init__(self) -> None:
        """Refuse what would only be found out at the first recording."""
        if len(str(self.episodes_dir)) > MAX_DIR_LENGTH:
            raise ValueError(
                f"episodes_dir must have at most {MAX_DIR_LENGTH} characters, "
                f"got {len(str(self.episodes_dir))}"
            )
        if self.queue_limit < 1:
            raise ValueError(f"queue_limit must be at least 1, got {self.queue_limit}")
        self.manifest(task="check", created_at=datetime.now(UTC))

    def manifest(self, task: str, created_at: datetime) -> EpisodeManifest:
        """Return the manifest of a new episode."""
        return EpisodeManifest(
            id=episode_id(task, created_at),
            task=task,
            source=self.source,
            robot_type=self.robot_type,
            cameras=self.cameras,
            created_at=created_at.isoformat(timespec="milliseconds"),
            operator=self.operator,
            software=software_versions(),
        )


class EpisodeRecorder:
    """Records one episode after another. No method waits longer than a few seconds."""

    def __init__(self, config: RecorderConfig, disk_guard: DiskGuard | None = None) -> None:
        self._config = config
        self._disk_guard = disk_guard or DiskGuard()
        self._recording: Recording | None = None
        # The definitions take a good part of a second to load: not while messages come in.
        messages.schema_of(topics.ACTION_CHUNK_TYPE)

    def start(self, task: str, created_at: datetime) -> Path:
        """Begin an episode; return its folder.

        Raises:
            EpisodeError: An episode is being recorded, or cannot be written.
        """
        if self._recording is not None:
            raise EpisodeError(
                f"{self._recording.folder.name} is being recorded; save or discard it first"
            )
        if not re.search(r"\S", task):
            raise EpisodeError("the task is empty; say what is going to be done")
        manifest = self._config.manifest(task.strip(), created_at)
        folder = self._config.episodes_dir / manifest.id
        writer = EpisodeWriter(folder, manifest, self._disk_guard)
        self._recording = Recording(writer, self._config.queue_limit)
        return folder

    def put(self, message: Recorded) -> None:
        """Take a message if an episode is being recorded. Never waits."""
        recording = self._recording
        if recording is not None:
            recording.queue.put(message)

    def save(self, *, success: bool | None = None, note: str = "") -> str:
        """End the episode and keep it; return a sentence for the operator.

        Args:
            success: Whether the task was done, None if nobody knows yet.
            note: What a user of the data should know; it flags the episode.

        Raises:
            EpisodeError: Nothing is being recorded, or the disk does not keep up.
        """
        recording = self._end(success=success, note=note)
        manifest = recording.manifest
        if manifest is None:
            raise EpisodeError(f"{recording.fault}; try `mailctl episodes repair`")
        lost = [f"{count} lost on {topic}" for topic, count in manifest.dropped_messages.items()]
        facts = f"{manifest.steps} steps, {manifest.duration_s:.1f} s, {manifest.quality}"
        remarks = "; ".join([*manifest.quality_notes, *lost])
        return f"saved {recording.folder} ({facts}{': ' if remarks else ''}{remarks})"

    def discard(self) -> str:
        """End the episode and delete it; return a sentence for the operator."""
        recording = self._end(success=None, note="")
        try:
            shutil.rmtree(recording.folder)
        except OSError as error:
            raise EpisodeError(f"cannot delete {recording.folder}: {error}") from error
        return f"deleted {recording.folder}"

    def close(self) -> str:
        """Save an episode that is still being recorded, for example on Ctrl-C; "" if none is."""
        if self._recording is None:
            return ""
        return self.save(note="the recorder was stopped before the episode was saved")

    @property
    def fault(self) -> str:
        """Why the running recording has ended by itself, "" while all is well."""
        return self._recording.fault if self._recording is not None else ""

    def _end(self, *, success: bool | None, note: str) -> Recording:
        if self._recording is None:
            raise EpisodeError("nothing is being recorded; start an episode first")
        recording, self._recording = self._recording, None
        if not recording.end(END_LIMIT_S, success=success, note=note):
            raise EpisodeError(
                f"{recording.folder} is not written after {END_LIMIT_S:.0f} s; the disk is too "
                "slow, wait before you stop the recorder"
            )
        return recording
