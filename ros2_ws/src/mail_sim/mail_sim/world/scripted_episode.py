"""Stores demonstrations in the project's episode format."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from data_collection.errors import EpisodeError
from data_collection.manifest import (
    EpisodeManifest,
    EpisodeQuality,
    EpisodeSource,
    load_manifest,
)
from data_collection.provenance import software_versions
from data_collection.writer import EpisodeWriter
from mail_sim.world.demonstration import Demonstration
from mail_sim.world.scene import CAMERAS
from mail_sim.world.tasks import task_for
from mail_sim.world.variation import Variation

_PLAIN = Variation()


def episode_name(sentence: str, seed: int) -> str:
    """Return the id of a scripted episode, also the name of its folder."""
    return f"{task_for(sentence).name}-{seed:06d}"


def is_finished(folder: Path) -> bool:
    """Return True if a folder holds a complete, successful episode."""
    try:
        manifest = load_manifest(folder)
    except EpisodeError:
        return False
    return manifest.success is True and manifest.quality is EpisodeQuality.GOOD


def write_demonstration(
    folder: Path,
    sentence: str,
    seed: int,
    demonstration: Demonstration,
    variation: Variation = _PLAIN,
) -> None:
    """Write an episode in the project's format. What a dead recording left is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    looks = {"variation": str(variation)} if variation != _PLAIN else {}
    manifest = EpisodeManifest(
        id=folder.name,
        task=task_for(sentence).sentence,
        source=EpisodeSource.SCRIPTED,
        robot_type="fr3",
        cameras=CAMERAS,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=seed,
        software={**software_versions(), **looks},
    )
    with EpisodeWriter(folder, manifest) as writer:
        for observation, action in demonstration.steps:
            writer.write_step(observation, action)
        writer.finish(success=demonstration.success)
