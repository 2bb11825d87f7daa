"""Writes episodes: one folder with an append-only message log and a manifest."""

import dataclasses
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from data_collection import messages, topics
from data_collection.disk import DiskGuard
from data_collection.errors import DiskFullError, EpisodeError, EpisodeExistsError
from data_collection.manifest import (
    LOG_NAME,
    EpisodeManifest,
    EpisodeQuality,
    manifest_text,
    save_manifest,
    sync_folder,
)
from data_collection.mcap_log import McapLog
from data_collection.tally import EpisodeTally
from mail_policy.core.action_schema import schema_named
from mail_policy.core.types import NUM_JOINTS, Observation

JPEG_QUALITY = 95
# The manifest as it was at the start is also kept inside the log, so that a log alone suffices.
METADATA_NAME = "mail_episode"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A message to write.

    Attributes:
        topic: Absolute name.
        type_name: For example "sensor_msgs/msg/JointState".
        cdr: The serialized message.
        log_time_ns: When it was received [ns].
    """

    topic: str
    type_name: str
    cdr: bytes
    log_time_ns: int


class EpisodeWriter:
    """Writes one episode. What a `write` call has returned from survives `kill -9`.

    Leaving the context without `finish` ends the episode without a verdict.

    Args:
        folder: A new folder, usually `root / manifest.id`.
        manifest: What is known before the first message.
        disk_guard: When there is too little space.

    Attributes:
        tally: Counts and judges what was written so far.
    """

    def __init__(
        self, folder: Path, manifest: EpisodeManifest, disk_guard: DiskGuard | None = None
    ) -> None:
        self.folder = folder
        self.manifest = dataclasses.replace(manifest, quality=EpisodeQuality.RECORDING)
        self._disk_guard = disk_guard or DiskGuard()
        self._action_schema = schema_named(manifest.action_schema)
        self._joint_names = topics.joint_names(manifest.robot_type)
        self.tally = EpisodeTally(manifest)
        self._is_open = False
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not self._is_open:
            return
        if error is None:
            self.finish(success=None)
        else:
            self._finish_after(error)

    @property
    def steps(self) -> int:
        """How many pictures of the first camera have been written."""
        return self.tally.steps

    @property
    def is_open(self) -> bool:
        """True until the episode has ended."""
        return self._is_open

    @property
    def size_bytes(self) -> int:
        """How much has been written."""
        return self._log.size_bytes

    def write_step(self, observation: Observation, action: NDArray[np.float64] | None) -> None:
        """Write an observation, and the action that was chosen upon it.

        Args:
            observation: Pictures of all cameras of the manifest, and the joints.
            action: A row of the manifest's action schema; None if there is no action any more.
        """
        stamp_ns = messages.seconds_to_ns(observation.captured_at_s)
        step = [self._joints_of(observation, stamp_ns), *self._images_of(observation, stamp_ns)]
        if action is not None:
            step.append(self._action_of(action, stamp_ns))
        self.write_messages(step)

    def write_raw(self, topic: str, type_name: str, cdr: bytes, log_time_ns: int) -> None:
        """Write a message that is serialized already."""
        self.write_messages([Recorded(topic, type_name, cdr, log_time_ns)])

    def write_messages(self, recorded: Iterable[Recorded]) -> None:
        """Write several messages at once: after a crash all of them are there, or none.

        Raises:
            DiskFullError: The disk runs full; the episode has been ended properly.
            EpisodeError: The write failed; the episode needs `mailctl episodes repair`.
        """
        if not self._is_open:
            raise EpisodeError(f"episode {self.folder} has ended; start a new one")
        try:
            for one in recorded:
                self._add(one)
            self._log.commit()
        except EpisodeError:
            # Nothing can be appended behind half a chunk. The manifest goes on to say that the
            # episode is unfinished, so a repair will find it.
            self._abandon()
            raise
        try:
            self._disk_guard.check_running(self.folder)
        except DiskFullError as error:
            self.finish(success=None, notes=(str(error),))
            raise

    def finish(
        self,
        success: bool | None,
        failure_reason: str = "",
        *,
        notes: tuple[str, ...] = (),
        dropped_messages: dict[str, int] | None = None,
    ) -> EpisodeManifest:
        """End the episode.

        Args:
            success: Whether the task was done, None if unknown.
            failure_reason: Why it was not.
            notes: What a user of the data should know; any note flags the episode.
            dropped_messages: Messages that were lost before they came here, by topic.
        """
        if not self._is_open:
            raise EpisodeError(f"episode {self.folder} has ended already")
        self._is_open = False
        notes = (*notes, *self.tally.quality.verdict().notes)
        dropped = {topic: count for topic, count in (dropped_messages or {}).items() if count}
        finished = dataclasses.replace(
            self.tally.filled(self.manifest),
            success=success,
            failure_reason=failure_reason,
            quality=EpisodeQuality.FLAGGED if notes or dropped else EpisodeQuality.GOOD,
            quality_notes=notes,
            dropped_messages=dropped,
        )
        try:
            self._log.finish()
            save_manifest(self.folder, finished)
        finally:
            # Not earlier: without its lock an episode without a verdict looks dead.
            self._log.close()
        self.manifest = finished
        return finished

    def _open(self) -> None:
        """Create the folder; the locked log comes first, so that no repair takes it for dead."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._disk_guard.check_start(self.folder.parent)
            self.folder.mkdir()
        except FileExistsError as error:
            raise EpisodeExistsError(f"{self.folder} exists already; choose another id") from error
        except OSError as error:
            raise EpisodeError(f"cannot create {self.folder}: {error}") from error
        try:
            self._begin()
        except (OSError, EpisodeError) as error:
            # Nothing is in there that anybody was promised.
            shutil.rmtree(self.folder, ignore_errors=True)
            raise error if isinstance(error, EpisodeError) else EpisodeError(str(error)) from error
        self._is_open = True

    def _begin(self) -> None:
        self._log = McapLog(
            self.folder / LOG_NAME, {METADATA_NAME: {"manifest": manifest_text(self.manifest)}}
        )
        try:
            save_manifest(self.folder, self.manifest)
            sync_folder(self.folder.parent)
        except (OSError, EpisodeError):
            self._log.close()
            raise

    def _add(self, one: Recorded) -> None:
        """Put a message into the chunk that is written next, and look at it."""
        schema = messages.schema_of(one.type_name)
        self._log.add(one.topic, schema, one.cdr, one.log_time_ns)
        self.tally.add(one.topic, schema, one.cdr, one.log_time_ns)

    def _abandon(self) -> None:
        self._is_open = False
        self._log.close()

    def _finish_after(self, error: object) -> None:
        """End the episode without hiding the exception that is under way."""
        try:
            self.finish(success=None, notes=(f"interrupted by {type(error).__name__}: {error}",))
        except EpisodeError:
            self._is_open = False

    def _joints_of(self, observation: Observation, stamp_ns: int) -> Recorded:
        if observation.joint_positions.shape != (NUM_JOINTS,):
            raise EpisodeError(
                f"joint_positions must have shape ({NUM_JOINTS},), "
                f"got {observation.joint_positions.shape}"
            )
        finger_m = 0.5 * observation.gripper_width_m
        positions = np.append(observation.joint_positions, [finger_m, finger_m])
        message = messages.joint_state(stamp_ns, self._joint_names, positions)
        cdr = messages.encode(message)
        return Recorded(topics.JOINT_STATES, topics.JOINT_STATE_TYPE, cdr, stamp_ns)

    def _images_of(self, observation: Observation, stamp_ns: int) -> list[Recorded]:
        if set(observation.images) != set(self.manifest.cameras):
            raise EpisodeError(
                f"the observation must have pictures of {', '.join(self.manifest.cameras)}, "
                f"got {', '.join(observation.images) or 'none'}"
            )
        return [
            Recorded(
                topics.image_topic(camera),
                topics.COMPRESSED_IMAGE_TYPE,
                compressed_picture(observation.images[camera], camera, stamp_ns),
                stamp_ns,
            )
            for camera in self.manifest.cameras
        ]

    def _action_of(self, action: NDArray[np.float64], stamp_ns: int) -> Recorded:
        schema = self._action_schema
        if action.shape != (schema.size,) or not np.isfinite(action).all():
            raise EpisodeError(
                f"action must be {schema.size} finite numbers ({schema.name}), got {action}"
            )
        message = messages.one_action(
            stamp_ns,
            action,
            schema=schema,
            task=self.manifest.task[:256],
            sequence=self._log.counts[topics.DEMONSTRATION_ACTION],
        )
        cdr = messages.encode(message)
        return Recorded(topics.DEMONSTRATION_ACTION, topics.ACTION_CHUNK_TYPE, cdr, stamp_ns)


def compressed_picture(
    image: NDArray[np.uint8], camera: str, stamp_ns: int, *, subsampling: str = "444"
) -> bytes:
    """Return an RGB picture of shape (height, width, 3) as a serialized CompressedImage.

    Args:
        image: The picture.
        camera: Whose it is.
        stamp_ns: When it was taken [ns].
        subsampling: Of the colours, "444" (none), "422" (half) or "420" (a quarter).
    """
    jpeg = simplejpeg.encode_jpeg(
        np.ascontiguousarray(image),
        quality=JPEG_QUALITY,
        colorspace="RGB",
        colorsubsampling=subsampling,
    )
    frame_id = f"{camera}_color_optical_frame"
    return messages.encode(messages.compressed_image(stamp_ns, frame_id, jpeg))
