"""Reads episodes: as steps for training and replay, as messages for reports."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_collection import topics
from data_collection.errors import EpisodeError
from data_collection.manifest import EpisodeManifest
from data_collection.message_reader import EpisodeMessage, iterate_messages, list_episodes
from data_collection.step_index import index_steps, pictures
from mail_policy.data.pictures import resize_picture

__all__ = ["EpisodeMessage", "EpisodeSteps", "iterate_messages", "list_episodes", "read_steps"]


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeSteps:
    """An episode on its time grid; L is the number of steps.

    Attributes:
        times_s: Capture stamps [s], shape (L,).
        images: RGB uint8 of shape (L, height, width, 3), by camera name.
        joint_positions: Measured [rad], shape (L, 7).
        gripper_widths_m: Distance between the fingers [m], shape (L,).
        actions: Rows of the manifest's action schema, shape (L, size); NaN where there is none.
        interventions: True where a person had taken over from the policy, shape (L,).
        task: The sentence that was followed.
        manifest: Everything else that is known.
    """

    times_s: NDArray[np.float64]
    images: dict[str, NDArray[np.uint8]]
    joint_positions: NDArray[np.float64]
    gripper_widths_m: NDArray[np.float64]
    actions: NDArray[np.float64]
    interventions: NDArray[np.bool_]
    task: str
    manifest: EpisodeManifest


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
    index = index_steps(folder, cameras, allow_gaps=allow_gaps)
    if require_actions:
        kept = np.flatnonzero(~np.isnan(index.actions).any(axis=1))
        if not len(kept):
            raise EpisodeError(
                f"{folder} holds no actions on {topics.DEMONSTRATION_ACTION}, so it cannot be "
                f"trained on; its source is {index.manifest.source!r}"
            )
        index = index.at(kept)
    images = {
        camera: np.stack(
            [resize_picture(image, image_height, image_width) for image in pictures(index, camera)]
        )
        for camera in cameras
    }
    return EpisodeSteps(
        times_s=index.times_s,
        images=images,
        joint_positions=index.joint_positions,
        gripper_widths_m=index.gripper_widths_m,
        actions=index.actions,
        interventions=index.interventions,
        task=index.manifest.task,
        manifest=index.manifest,
    )
