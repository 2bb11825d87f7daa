"""Finds out what belongs to each step of an episode, so that pictures can be read one by one."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data_collection import messages, topics
from data_collection.errors import EpisodeError
from data_collection.manifest import EpisodeManifest, EpisodeSource, load_manifest
from data_collection.message_reader import iterate_messages
from data_collection.untrusted_pictures import decode_jpeg
from mail_policy.core.motion.status import TELEOP_HOLDER
from mail_policy.core.types import NUM_JOINTS, Observation
from mail_policy.data.step_grid import StepGrid
from mail_policy.inference.assembler import ObservationAssembler


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeIndex:
    """An episode on its time grid, without its pictures; L is the number of steps.

    Attributes:
        folder: The episode.
        times_s: Capture stamps [s], shape (L,).
        stamps_ns: The same as they were recorded [ns], shape (L,).
        pictures: Which of a camera's pictures belongs to each step, counted from 0 in the order of
            recording, shape (L,), by camera name.
        joint_positions: Measured [rad], shape (L, 7).
        gripper_widths_m: Distance between the fingers [m], shape (L,).
        actions: Rows of the manifest's action schema, shape (L, size); NaN where there is none.
        interventions: True where a person had taken over from the policy, shape (L,).
        manifest: Everything else that is known.
    """

    folder: Path
    times_s: NDArray[np.float64]
    stamps_ns: NDArray[np.int64]
    pictures: dict[str, NDArray[np.int64]]
    joint_positions: NDArray[np.float64]
    gripper_widths_m: NDArray[np.float64]
    actions: NDArray[np.float64]
    interventions: NDArray[np.bool_]
    manifest: EpisodeManifest

    def __len__(self) -> int:
        return len(self.times_s)

    def at(self, steps: NDArray[np.int64]) -> Self:
        """Return some of the steps, by number."""
        return dataclasses.replace(
            self,
            times_s=self.times_s[steps],
            stamps_ns=self.stamps_ns[steps],
            pictures={camera: numbers[steps] for camera, numbers in self.pictures.items()},
            joint_positions=self.joint_positions[steps],
            gripper_widths_m=self.gripper_widths_m[steps],
            actions=self.actions[steps],
            interventions=self.interventions[steps],
        )


def index_steps(
    folder: Path, cameras: tuple[str, ...] | None = None, *, allow_gaps: bool = False
) -> EpisodeIndex:
    """Find out what belongs to each step of an episode; no picture is decoded or kept.

    Pictures and joint states are matched by capture time with the policy node's own assembler.

    Args:
        folder: The episode.
        cameras: Which cameras to read, None for all; the first one sets the instants.
        allow_gaps: Accept episodes in which instants of the grid are missing.

    Raises:
        EpisodeError: The episode is damaged, or lacks something that was asked for.
    """
    manifest = load_manifest(folder)
    cameras = cameras or manifest.cameras
    missing = [camera for camera in cameras if camera not in manifest.cameras]
    if missing:
        raise EpisodeError(
            f"{folder} has no camera {', '.join(missing)}; it has {', '.join(manifest.cameras)}"
        )
    told = _listen(folder, cameras, manifest)
    observations = _on_grid(folder, told.observations, manifest.rate_hz, allow_gaps=allow_gaps)
    times_s = np.array([observation.captured_at_s for observation in observations])
    rows = _matching_actions(times_s, told.actions, 0.5 / manifest.rate_hz)
    size = next((len(row) for row in rows if row is not None), NUM_JOINTS)
    nothing = np.full(size, np.nan)
    return EpisodeIndex(
        folder=folder,
        times_s=times_s,
        stamps_ns=np.array([told.stamps_ns[float(time_s)] for time_s in times_s]),
        pictures={
            camera: np.array([_opened(observation.images[camera]) for observation in observations])
            for camera in cameras
        },
        joint_positions=np.stack([observation.joint_positions for observation in observations]),
        gripper_widths_m=np.array([observation.gripper_width_m for observation in observations]),
        actions=np.stack([nothing if row is None else row for row in rows]),
        interventions=_interventions(told.holders, times_s),
        manifest=manifest,
    )


def pictures(index: EpisodeIndex, camera: str) -> Iterator[NDArray[np.uint8]]:
    """Yield the picture of each step as RGB (height, width, 3), one at a time.

    Raises:
        EpisodeError: The recording is damaged, or a picture is no JPEG.
    """
    wanted = iter(index.pictures[camera].tolist())
    number = next(wanted, None)
    for count, item in enumerate(iterate_messages(index.folder, (topics.image_topic(camera),))):
        if count != number:
            continue
        image = _decoded(index.folder, camera, item.message.data)
        # A slow camera's picture may belong to several steps.
        while count == number:
            yield image
            number = next(wanted, None)
        if number is None:
            return


def _decoded(folder: Path, camera: str, jpeg: NDArray[np.uint8]) -> NDArray[np.uint8]:
    try:
        return decode_jpeg(jpeg)
    except ValueError as error:
        raise EpisodeError(f"{folder}: a picture of {camera} is no JPEG: {error}") from error


# The assembler hands pictures on unopened, so that it can match their numbers just as well.
def _sealed(number: int) -> NDArray[np.uint8]:
    return np.array([number], dtype=np.int64).view(np.uint8)


def _opened(sealed: NDArray[np.uint8]) -> int:
    return int(sealed.view(np.int64)[0])


@dataclass(slots=True)
class _Told:
    """What an episode says, before it is put on the grid.

    Attributes:
        observations: In order; their pictures are sealed numbers.
        actions: By the stamp of their observation [s].
        stamps_ns: Stamps of the first camera's pictures [ns], by the same in seconds.
        holders: Who held the arm's lease from which time on [s], in a run of the policy.
    """

    observations: list[Observation] = field(default_factory=list)
    actions: dict[float, NDArray[np.float64]] = field(default_factory=dict)
    stamps_ns: dict[float, int] = field(default_factory=dict)
    holders: list[tuple[float, str]] = field(default_factory=list)


def _listen(folder: Path, cameras: tuple[str, ...], manifest: EpisodeManifest) -> _Told:
    assembler = ObservationAssembler(cameras, tolerance_s=0.5 / manifest.rate_hz)
    told = _Told()
    counts = dict.fromkeys(cameras, 0)
    image_topics = {topics.image_topic(camera): camera for camera in cameras}
    wanted = [*image_topics, topics.JOINT_STATES, topics.DEMONSTRATION_ACTION]
    if manifest.source in (EpisodeSource.POLICY, EpisodeSource.INTERVENTION):
        wanted.append(topics.ARM_STATE)
    for item in iterate_messages(folder, tuple(wanted)):
        message = item.message
        if item.topic == topics.DEMONSTRATION_ACTION:
            told.actions[messages.stamp_to_seconds(message.observed_at)] = message.values
            continue
        stamp_s = messages.stamp_to_seconds(message.header.stamp)
        if item.topic == topics.ARM_STATE:
            told.holders.append((stamp_s, message.lease_holder))
            continue
        if item.topic == topics.JOINT_STATES:
            joints, width_m = message.position[:NUM_JOINTS], message.position[NUM_JOINTS:].sum()
            told.observations += assembler.add_joints(stamp_s, joints, float(width_m))
            continue
        camera = image_topics[item.topic]
        if camera == cameras[0]:
            told.stamps_ns[stamp_s] = messages.stamp_to_ns(message.header.stamp)
        told.observations += assembler.add_frame(camera, stamp_s, _sealed(counts[camera]))
        counts[camera] += 1
    return told


def _on_grid(
    folder: Path, observations: list[Observation], rate_hz: float, *, allow_gaps: bool
) -> list[Observation]:
    """Keep one observation for every instant of the grid, by the live history's own rule."""
    if not observations:
        raise EpisodeError(f"{folder} holds no complete observation; delete it")
    grid, kept = StepGrid(1.0 / rate_hz), {}
    for observation in observations:
        step = grid.take(observation.captured_at_s)
        if step is not None:
            kept[step] = observation
    absent = sorted(set(range(max(kept) + 1)) - set(kept))
    if absent and not allow_gaps:
        raise EpisodeError(
            f"{folder}: {len(absent)} of {max(kept) + 1} instants are missing, the first "
            f"{absent[0] / rate_hz:.2f} s after the start; leave the episode out, or allow gaps"
        )
    return list(kept.values())


def _matching_actions(
    times_s: NDArray[np.float64], actions: dict[float, NDArray[np.float64]], tolerance_s: float
) -> list[NDArray[np.float64] | None]:
    """Return for every step the action with the nearest stamp, None if none is near."""
    stamps_s = np.array(sorted(actions))
    rows: list[NDArray[np.float64] | None] = []
    for time_s in times_s:
        distances_s = np.abs(stamps_s - time_s)
        index = int(distances_s.argmin()) if len(distances_s) else -1
        is_near = index >= 0 and distances_s[index] <= tolerance_s
        rows.append(actions[float(stamps_s[index])] if is_near else None)
    return rows


def _interventions(
    holders: list[tuple[float, str]], times_s: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Say for each step whether a person held the arm's lease in a run of the policy."""
    if not holders:
        return np.zeros(len(times_s), dtype=bool)
    told = sorted(holders)
    last = np.searchsorted([stamp_s for stamp_s, _ in told], times_s, side="right") - 1
    is_person = np.array([holder == TELEOP_HOLDER for _, holder in told])
    return np.where(last >= 0, is_person[np.maximum(last, 0)], False)
