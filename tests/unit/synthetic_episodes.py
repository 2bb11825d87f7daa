"""Episodes that can be learned in seconds: a bright square shows where to go."""

from pathlib import Path

import numpy as np

from mail_policy.core.config import build_config
from mail_policy.data.episodes import EpisodeArrays
from mail_policy.training.config import TrainConfig

SIZE = 32
PERIOD_S = 0.05
TASK = "go to the square"


def episode(name: str, seed: int, steps: int = 14, task: str = TASK) -> EpisodeArrays:
    """Return an episode in which the action depends on what both cameras show."""
    rng = np.random.default_rng(seed)
    places = rng.integers(4, SIZE - 8, (2, 2)) + rng.integers(-1, 2, (steps, 2, 2)).cumsum(axis=0)
    places = places.clip(0, SIZE - 6)  # (steps, cameras, rows and columns)
    images = rng.integers(0, 60, (2, steps, SIZE, SIZE, 3), dtype=np.uint8)
    for camera in range(2):
        for step, (row, column) in enumerate(places[:, camera]):
            images[camera, step, row : row + 6, column : column + 6] = 220
    actions = np.zeros((steps, 7))
    actions[:, 0] = (places[:, 0, 0] - SIZE / 2) * 1e-3
    actions[:, 1] = (places[:, 1, 1] - SIZE / 2) * 1e-3
    actions[:, 6] = 0.08
    return EpisodeArrays(
        id=name,
        task=task,
        times_s=10.0 + PERIOD_S * np.arange(steps),
        images={"agentview": images[0], "wrist": images[1]},
        joint_positions=rng.normal(size=(steps, 7)),
        gripper_widths_m=np.full(steps, 0.08),
        actions=actions,
    )


def episodes(count: int = 6) -> list[EpisodeArrays]:
    return [episode(f"episode-{i}", seed=i, steps=12 + i) for i in range(count)]


def train_config(**changes: object) -> TrainConfig:
    """Return a run that takes a second."""
    values: dict[str, object] = {
        "name": "tiny",
        "steps": 6,
        "model": {
            "cameras": [
                {"name": "agentview", "height": SIZE, "width": SIZE},
                {"name": "wrist", "height": SIZE, "width": SIZE},
            ],
            "history": 3,
            "chunk": 4,
            "backbone": {"kind": "decoder_only", "decoder": {"layers": 1, "state_size": 4}},
            "vision": {"width": 16, "stages": 1, "keypoints": 8, "feature_size": 16},
            "language": {"encoder": "hashed-ngrams-512"},
            "proprio": {"feature_size": 4, "dropout": 0.5},
            "token_width": 32,
        },
        "batch": {"segments": 3, "decisions_per_segment": 4},
        "held_out_episodes": 2,
        "validate_every": 3,
        "save_every": 3,
        "exec_horizon": 2,
        "threads": 1,
    }
    return build_config(TrainConfig, {**values, **changes}, where=str(Path(__file__).name))
