"""Starts, saves, labels and discards recordings; one at a time."""

import dataclasses
import itertools
import re
import shutil
from datetime import datetime
from pathlib import Path

from data_collection import messages, topics
from data_collection.disk import DiskGuard
from data_collection.errors import EpisodeError, EpisodeExistsError
from data_collection.manifest import EpisodeManifest, EpisodeQuality, label_episode
from data_collection.writer import EpisodeWriter, Recorded
from mail_recorder.config import RecorderConfig
from mail_recorder.pre_roll import PreRoll
from mail_recorder.recorder_view import (
    FreeTime,
    Progress,
    RecorderView,
    progress_at_end,
    progress_of,
)
from mail_recorder.recording import Recording

END_LIMIT_S = 5.0
_STOPPED_NOTE = "the recorder was stopped before the episode was saved"
# Recorders that share a folder may begin the same task in the same millisecond.
_MOST_NAMESAKES = 100
_SILENCE_NS = 1_000_000_000
_OUTCOMES = {True: "success", False: "failure", None: "unknown"}


class EpisodeRecorder:
    """Records one episode after another. No method waits longer than a few seconds."""

    def __init__(self, config: RecorderConfig, disk_guard: DiskGuard | None = None) -> None:
        self._config = config
        self._disk_guard = disk_guard or DiskGuard()
        self._free_time = FreeTime(self._disk_guard, config.episodes_dir)
        self._pre_roll = PreRoll(config.remembered_s, config.pre_roll_bytes)
        self._recording: Recording | None = None
        self._last: EpisodeManifest | None = None
        self._last_folder: Path | None = None
        self._saved_folder: Path | None = None
        self._task = ""
        self._complaint = ""
        self._saved = 0
        self._discarded = 0
        self._heard_ns: dict[str, int] = {}
        # The definitions take a good part of a second to load: not while messages come in.
        messages.schema_of(topics.ACTION_CHUNK_TYPE)

    @property
    def is_recording(self) -> bool:
        """True until the episode is saved or discarded, or has ended by itself."""
        return self._recording is not None and self._recording.is_running

    @property
    def folder(self) -> Path | None:
        """Of the running episode, None if there is none."""
        return self._recording.folder if self._recording is not None else None

    @property
    def fault(self) -> str:
        """Why the running recording has ended by itself, "" while all is well."""
        return self._recording.fault if self._recording is not None else ""

    def start(self, task: str, created_at: datetime, *, is_takeover: bool = False) -> Path:
        """Begin an episode; return its folder.

        Args:
            task: What is going to be done.
            created_at: Now.
            is_takeover: A person has just taken over from the policy.

        Raises:
            EpisodeError: An episode is being recorded, or cannot be written.
        """
        if self._recording is not None and self._recording.is_running:
            raise EpisodeError(
                f"{self._recording.folder.name} is being recorded; save or discard it first"
            )
        if not re.search(r"\S", task):
            raise EpisodeError("the task is empty; say what is going to be done")
        if self._recording is not None:
            self._retire()
        config = self._config
        pre_roll_s = config.pre_roll_s if is_takeover else config.operator_pre_roll_s
        ahead = self._pre_roll.newest(pre_roll_s)
        manifest = config.manifest(task.strip(), created_at, is_takeover=is_takeover)
        writer = self._open(dataclasses.replace(manifest, pre_roll_s=_duration_s(ahead)))
        self._recording = Recording(writer, config.queue_limit, ahead)
        self._task, self._complaint = manifest.task, ""
        return writer.folder

    def put(self, message: Recorded) -> None:
        """Take a message if an episode is being recorded. Never waits."""
        self._heard_ns[message.topic] = message.log_time_ns
        self._pre_roll.add(message)
        recording = self._recording
        if recording is not None:
            recording.queue.put(message)

    def note(self, text: str) -> None:
        """Flag the running episode, if there is one."""
        if self._recording is not None:
            self._recording.note(text)

    def end(self, *, success: bool | None, failure_reason: str = "") -> str:
        """Save the running episode with its outcome, or label the last one that was saved.

        Args:
            success: Whether the task was done, None if nobody knows yet.
            failure_reason: Why it was not.

        Raises:
            EpisodeError: There is neither, or it cannot be written.
        """
        if self._recording is not None:
            return self.save(success=success, failure_reason=failure_reason)
        if self._saved_folder is None:
            raise EpisodeError("nothing is being recorded, and nothing was saved before")
        label_episode(self._saved_folder, success, failure_reason)
        return f"labelled {self._saved_folder}: {_OUTCOMES[success]}"

    def save(self, *, success: bool | None = None, failure_reason: str = "", note: str = "") -> str:
        """End the episode and keep it; return a sentence for the operator.

        Args:
            success: Whether the task was done, None if nobody knows yet.
            failure_reason: Why it was not.
            note: What a user of the data should know; it flags the episode.

        Raises:
            EpisodeError: Nothing is being recorded, or the disk does not keep up.
        """
        reason = "" if success else failure_reason
        recording = self._end(success=success, failure_reason=reason, note=note)
        manifest = recording.manifest
        if manifest.quality is EpisodeQuality.RECORDING:
            raise EpisodeError(f"{recording.fault}; try `mailctl episodes repair`")
        if manifest.success is not success:
            # It had ended by itself, before anybody could say how it went.
            label_episode(recording.folder, success, reason)
        self._saved += 1
        self._saved_folder = recording.folder
        facts = f"{manifest.steps} steps, {manifest.duration_s:.1f} s, {manifest.quality}"
        remarks = "; ".join(progress_at_end(manifest).remarks)
        return f"saved {recording.folder} ({facts}{': ' if remarks else ''}{remarks})"

    def discard(self) -> str:
        """End the episode and delete it; return a sentence for the operator."""
        recording = self._end(success=None, failure_reason="", note="")
        try:
            shutil.rmtree(recording.folder)
        except OSError as error:
            raise EpisodeError(f"cannot delete {recording.folder}: {error}") from error
        self._discarded += 1
        return f"deleted {recording.folder}"

    def rerecord(self, created_at: datetime) -> Path:
        """Delete the running episode and begin it anew; return the new folder."""
        self.discard()
        return self.start(self._task, created_at)

    def close(self) -> str:
        """Save an episode that is still being recorded, for example on Ctrl-C; "" if none is."""
        return self.save(note=_STOPPED_NOTE) if self._recording is not None else ""

    def view(self, now_ns: int) -> RecorderView:
        """Describe what is going on.

        Args:
            now_ns: The time, on the clock of arrival [ns].
        """
        progress = progress_at_end(self._last) if self._last is not None else Progress()
        if self._recording is not None and self._recording.is_running:
            self._free_time.learn(self._recording.writer)
            progress = progress_of(self._recording, now_ns)
        elif self._recording is not None:
            progress = progress_at_end(self._recording.manifest)
        if self._complaint:
            progress = dataclasses.replace(progress, remarks=(self._complaint, *progress.remarks))
        return RecorderView(
            is_recording=self.is_recording,
            task=self._task,
            folder=self.folder or self._last_folder,
            progress=progress,
            free_s=self._free_time.left_s(),
            saved=self._saved,
            discarded=self._discarded,
        )

    def silent_streams(self, now_ns: int) -> list[str]:
        """Name what an episode needs and nobody sends now, at a time on the clock of arrival."""
        pictures = [topics.raw_topic(camera) for camera in self._config.cameras]
        return [
            topics.spoken(f"{topic}/compressed") if topic in pictures else topic
            for topic in (*pictures, topics.JOINT_STATES)
            if topic not in self._heard_ns or now_ns - self._heard_ns[topic] > _SILENCE_NS
        ]

    def complain(self, text: str) -> None:
        """Show a failure that nobody was answered, until the next episode begins."""
        self._complaint = text

    def _open(self, manifest: EpisodeManifest) -> EpisodeWriter:
        """Open an episode of this name, or of the next free one."""
        guard = self._free_time.guard_for_ten_minutes()
        for number in itertools.count(2):
            folder = self._config.episodes_dir / manifest.id
            try:
                return EpisodeWriter(folder, manifest, guard)
            except EpisodeExistsError:
                if number > _MOST_NAMESAKES:
                    raise
            stem = re.sub(rf"_{number - 1}$", "", manifest.id)
            manifest = dataclasses.replace(manifest, id=f"{stem}_{number}")
        raise AssertionError

    def _end(self, *, success: bool | None, failure_reason: str, note: str) -> Recording:
        if self._recording is None:
            raise EpisodeError("nothing is being recorded; start an episode first")
        recording = self._recording
        is_done = recording.end(
            END_LIMIT_S, success=success, failure_reason=failure_reason, note=note
        )
        self._retire()
        if not is_done:
            raise EpisodeError(
                f"{recording.folder} is not written after {END_LIMIT_S:.0f} s; the disk is too "
                "slow, wait before you stop the recorder"
            )
        return recording

    def _retire(self) -> None:
        """Let go of a recording that has ended, or was told to."""
        assert self._recording is not None
        recording, self._recording = self._recording, None
        self._last, self._last_folder = recording.manifest, recording.folder
        self._free_time.learn(recording.writer)


def _duration_s(ahead: list[Recorded]) -> float:
    return (ahead[-1].log_time_ns - ahead[0].log_time_ns) * 1e-9 if ahead else 0.0
