"""The rows of a LeRobot data set: one per step, and one per episode."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from data_collection import lerobot_layout as layout
from data_collection.demonstration import Demonstration
from data_collection.lerobot_stats import Stats


@dataclass(frozen=True, slots=True)
class RowPlace:
    """Where an episode lies in its data set.

    Attributes:
        episode: Its number.
        first_frame: Number of its first step, counted over all episodes.
        task: Number of its sentence.
    """

    episode: int
    first_frame: int
    task: int


def step_columns(demonstration: Demonstration, place: RowPlace) -> dict[str, Any]:
    """Return the columns of an episode's steps."""
    index, steps = demonstration.index, len(demonstration)
    counts = np.arange(steps)
    is_last = counts == steps - 1
    state = np.column_stack([index.joint_positions, index.gripper_widths_m])
    return {
        layout.STATE: state.astype(np.float32),
        layout.ACTION: demonstration.actions.astype(np.float32),
        layout.CAPTURE_STAMP: index.stamps_ns,
        layout.INTERVENTION: index.interventions,
        layout.SUCCESS: is_last & bool(index.manifest.success),
        layout.DONE: is_last,
        "timestamp": (counts / demonstration.rate_hz).astype(np.float32),
        "frame_index": counts,
        "episode_index": np.full(steps, place.episode),
        "index": place.first_frame + counts,
        "task_index": np.full(steps, place.task),
    }


def episode_row(
    demonstration: Demonstration, place: RowPlace, files: dict[str, Any], stats: dict[str, Stats]
) -> dict[str, Any]:
    """Return the row of an episode.

    Args:
        demonstration: The episode.
        place: Where it lies.
        files: In which files its steps and pictures are, as columns.
        stats: By feature.
    """
    manifest = demonstration.index.manifest
    ours = {
        "id": manifest.id,
        "success": manifest.success,
        "failure_reason": manifest.failure_reason,
        "operator": manifest.operator,
        "source": str(manifest.source),
        "created_at": manifest.created_at,
        "seed": manifest.seed,
    }
    return {
        "episode_index": place.episode,
        "tasks": [manifest.task],
        "length": len(demonstration),
        "dataset_from_index": place.first_frame,
        "dataset_to_index": place.first_frame + len(demonstration),
        **files,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
        **{f"{layout.OUR_PREFIX}{name}": value for name, value in ours.items()},
        **{
            f"stats/{feature}/{name}": value.tolist()
            for feature, values in stats.items()
            for name, value in values.items()
        },
    }
