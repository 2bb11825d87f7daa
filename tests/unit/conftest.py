"""Fixtures that several files of tests share."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from data_collection.disk import DiskGuard
from data_collection.manifest import EpisodeManifest, EpisodeSource, episode_id
from data_collection.writer import EpisodeWriter
from mail_policy.core.types import Observation

CAMERAS = ("agentview", "wrist")
STEP_PERIOD_S = 0.05
# Tests must not depend on how full the disk of the machine is.
ROOMY = DiskGuard(free_bytes=lambda folder: 1 << 40)


def make_manifest(**changes: object) -> EpisodeManifest:
    values = {
        "id": episode_id("open the top drawer", datetime(2026, 7, 5, 14, 22, 33, tzinfo=UTC)),
        "task": "open the top drawer",
        "source": EpisodeSource.SCRIPTED,
        "robot_type": "fr3",
        "cameras": CAMERAS,
        "created_at": "2026-07-05T14:22:33+00:00",
    }
    return EpisodeManifest(**{**values, **changes})


def make_observation(step: int, height: int = 32, width: int = 48) -> Observation:
    """Smooth pictures that tell the step and the camera: JPEG keeps them almost exactly."""
    ramp = np.linspace(0, 120, width, dtype=np.uint8)
    images = {}
    for number, camera in enumerate(CAMERAS):
        image = np.zeros((height, width, 3), np.uint8)
        image[..., 0] = ramp
        image[..., 1] = 3 * (step % 60)
        image[..., 2] = 200 * number
        images[camera] = image
    return Observation(
        captured_at_s=STEP_PERIOD_S * step,
        images=images,
        joint_positions=0.01 * step + np.arange(7.0),
        gripper_width_m=0.08 - 0.001 * step,
    )


def make_action(step: int) -> np.ndarray:
    return 0.001 * np.arange(7.0) + 0.01 * step


class EpisodeFactory:
    """Records small episodes below a folder."""

    cameras = CAMERAS
    roomy = ROOMY
    manifest = staticmethod(make_manifest)
    observation = staticmethod(make_observation)
    action = staticmethod(make_action)

    def __init__(self, root: Path) -> None:
        self.root = root

    def writer(self, **changes: object) -> EpisodeWriter:
        manifest = make_manifest(**changes)
        return EpisodeWriter(self.root / manifest.id, manifest, ROOMY)

    def record(self, steps: int, success: bool | None = True, **changes: object) -> Path:
        """Write a finished episode; its last observation has no action."""
        with self.writer(**changes) as writer:
            for step in range(steps):
                action = make_action(step) if step < steps - 1 else None
                writer.write_step(make_observation(step), action)
            writer.finish(success)
        return writer.folder


@pytest.fixture
def episodes(tmp_path: Path) -> EpisodeFactory:
    return EpisodeFactory(tmp_path)


@pytest.fixture(scope="session")
def session_episodes(tmp_path_factory: pytest.TempPathFactory) -> EpisodeFactory:
    return EpisodeFactory(tmp_path_factory.mktemp("episodes"))
