"""Reads episodes: as steps for training, as messages for reports."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from data_collection import messages, topics
from data_collection.errors import EpisodeError
from data_collection.manifest import LOG_NAME, MANIFEST_NAME, EpisodeManifest, load_manifest
from data_collection.mcap_scan import RawMessage, scan
from mail_policy.core.types import NUM_JOINTS, Observation
from mail_policy.data.pictures import resize_picture
from mail_policy.inference.assembler import ObservationAssembler


@dataclass(frozen=True, slots=True)
class EpisodeMessage:
    """A decoded message.

    Attributes:
        topic: Absolute name, for example "/joint_states".
        stamp_s: When it was recorded [s]; capture and decision stamps are in the message.
        message: The message, with the fields of its type.
    """

    topic: str
    stamp_s: float
    message: Any


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeSteps:
    """An episode on its time grid; L is the number of steps.

    Attributes:
        times_s: Capture stamps [s], shape (L,).
        images: RGB uint8 of shape (L, height, width, 3), by camera name.
        joint_positions: Measured [rad], shape (L, 7).
        gripper_widths_m: Distance between the fingers [m], shape (L,).
        actions: Rows of the manifest's action schema, shape (L, size); NaN where there is none.
        task: The sentence that was followed.
        manifest: Everything else that is known.
    """

    times_s: NDArray[np.float64]
    images: dict[str, NDArray[np.uint8]]
    joint_positions: NDArray[np.float64]
    gripper_widths_m: NDArray[np.float64]
    actions: NDArray[np.float64]
    task: str
    manifest: EpisodeManifest


def list_episodes(root: Path) -> list[Path]:
    """Return the folders of all episodes below a folder, sorted by path."""
    return sorted(path.parent for path in root.rglob(MANIFEST_NAME))


def iterate_messages(
    folder: Path, only_topics: tuple[str, ...] | None = None
) -> Iterator[EpisodeMessage]:
    """Yield the messages of an episode in the order in which they were recorded.

    Args:
        folder: The episode.
        only_topics: Decode only these; None for all.

    Raises:
        EpisodeError: The recording is damaged or was never finished.
    """
    for raw in scan(folder / LOG_NAME):
        if isinstance(raw, RawMessage) and (only_topics is None or raw.topic in only_topics):
            message = messages.decode(raw.schema, raw.cdr)
            yield EpisodeMessage(raw.topic, raw.log_time_ns * 1e-9, message)


def read_steps(
    folder: Path,
    cameras: tuple[str, ...],
    image_height: int,
    image_width: int,
    *,
    require_actions: bool = True,
    allow_gaps: bool = False,
) -> EpisodeSteps:
    """Read an episode for training or replay.

    Pictures and joint states are matched by capture time with the policy node's own assembler.

    Args:
        folder: The episode.
        cameras: Which cameras to read; the first one sets the instants.
        image_height: Height of the resized pictures.
        image_width: Width of the resized pictures.
        require_actions: Drop steps that have no action. Otherwise their action is NaN.
        allow_gaps: Return episodes in which instants of the grid are missing.

    Raises:
        EpisodeError: The episode is damaged, or lacks something that was asked for.
    """
    manifest = load_manifest(folder)
    missing = [camera for camera in cameras if camera not in manifest.cameras]
    if missing:
        raise EpisodeError(
            f"{folder} has no camera {', '.join(missing)}; it has {', '.join(manifest.cameras)}"
        )
    resize = _Resizer(image_height, image_width)
    observations, actions = _observations_and_actions(folder, cameras, manifest, resize)
    observations = _on_grid(folder, observations, manifest.rate_hz, allow_gaps=allow_gaps)
    rows = _matching_actions(observations, actions, 0.5 / manifest.rate_hz)
    if require_actions:
        kept = [index for index, row in enumerate(rows) if row is not None]
        if not kept:
            raise EpisodeError(
                f"{folder} holds no actions on {topics.DEMONSTRATION_ACTION}, so it cannot be "
                f"trained on; its source is {manifest.source!r}"
            )
        observations, rows = [observations[i] for i in kept], [rows[i] for i in kept]
    return _stack(observations, rows, cameras, manifest)


@dataclass(frozen=True, slots=True)
class _Resizer:
    height: int
    width: int

    def __call__(self, jpeg: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Decode a JPEG picture to RGB of the wanted size."""
        image: NDArray[np.uint8] = simplejpeg.decode_jpeg(jpeg, colorspace="RGB")
        return resize_picture(image, self.height, self.width)


def _observations_and_actions(
    folder: Path, cameras: tuple[str, ...], manifest: EpisodeManifest, resize: _Resizer
) -> tuple[list[Observation], dict[float, NDArray[np.float64]]]:
    """Return the observations in order, and actions by the stamp of their observation [s]."""
    assembler = ObservationAssembler(cameras, tolerance_s=0.5 / manifest.rate_hz)
    observations: list[Observation] = []
    actions: dict[float, NDArray[np.float64]] = {}
    image_topics = {topics.image_topic(camera): camera for camera in cameras}
    wanted = (*image_topics, topics.JOINT_STATES, topics.DEMONSTRATION_ACTION)
    for item in iterate_messages(folder, wanted):
        message = item.message
        if item.topic == topics.DEMONSTRATION_ACTION:
            actions[messages.stamp_to_seconds(message.observed_at)] = message.values
            continue
        stamp_s = messages.stamp_to_seconds(message.header.stamp)
        if item.topic == topics.JOINT_STATES:
            joints, width_m = message.position[:NUM_JOINTS], message.position[NUM_JOINTS:].sum()
            observations += assembler.add_joints(stamp_s, joints, float(width_m))
        else:
            image = resize(message.data)
            observations += assembler.add_frame(image_topics[item.topic], stamp_s, image)
    return observations, actions


def _on_grid(
    folder: Path, observations: list[Observation], rate_hz: float, *, allow_gaps: bool
) -> list[Observation]:
    """Keep one observation, the nearest, for every instant of the grid."""
    if not observations:
        raise EpisodeError(f"{folder} holds no complete observation; delete it")
    start_s = observations[0].captured_at_s
    nearest: dict[int, tuple[float, Observation]] = {}
    for observation in observations:
        position = (observation.captured_at_s - start_s) * rate_hz
        instant = round(position)
        distance = abs(position - instant)
        if instant not in nearest or distance < nearest[instant][0]:
            nearest[instant] = (distance, observation)
    absent = sorted(set(range(max(nearest) + 1)) - set(nearest))
    if absent and not allow_gaps:
        raise EpisodeError(
            f"{folder}: {len(absent)} of {max(nearest) + 1} instants are missing, the first "
            f"{absent[0] / rate_hz:.2f} s after the start; leave the episode out, or allow gaps"
        )
    return [nearest[instant][1] for instant in sorted(nearest)]


def _matching_actions(
    observations: list[Observation], actions: dict[float, NDArray[np.float64]], tolerance_s: float
) -> list[NDArray[np.float64] | None]:
    """Return for every observation the action with the nearest stamp, None if none is near."""
    stamps_s = np.array(sorted(actions))
    rows: list[NDArray[np.float64] | None] = []
    for observation in observations:
        distances_s = np.abs(stamps_s - observation.captured_at_s)
        index = int(distances_s.argmin()) if len(distances_s) else -1
        is_near = index >= 0 and distances_s[index] <= tolerance_s
        rows.append(actions[float(stamps_s[index])] if is_near else None)
    return rows


def _stack(
    observations: list[Observation],
    rows: list[NDArray[np.float64] | None],
    cameras: tuple[str, ...],
    manifest: EpisodeManifest,
) -> EpisodeSteps:
    size = next((len(row) for row in rows if row is not None), NUM_JOINTS)
    nothing = np.full(size, np.nan)
    return EpisodeSteps(
        times_s=np.array([o.captured_at_s for o in observations]),
        images={camera: np.stack([o.images[camera] for o in observations]) for camera in cameras},
        joint_positions=np.stack([o.joint_positions for o in observations]),
        gripper_widths_m=np.array([o.gripper_width_m for o in observations]),
        actions=np.stack([nothing if row is None else row for row in rows]),
        task=manifest.task,
        manifest=manifest,
    )
