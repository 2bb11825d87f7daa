"""Turns a training run into a checkpoint that can be served."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from data_collection.provenance import software_versions
from mail_policy.core.action_schema import schema_named
from mail_policy.data.dataset import Split
from mail_policy.data.episodes import EpisodeArrays
from mail_policy.data.normalisation import Statistics
from mail_policy.data.windows import Window
from mail_policy.inference.checkpoint import (
    SELF_TEST_NAME,
    WEIGHTS_NAME,
    file_sha256,
    save_manifest,
)
from mail_policy.inference.history import make_history
from mail_policy.inference.manifest import CheckpointManifest, DatasetRecord
from mail_policy.inference.predictor import Predictor
from mail_policy.inference.self_test import save_self_test
from mail_policy.inference.weights import save_policy
from mail_policy.models.policy import MailPolicy
from mail_policy.training.config import TrainConfig

_SELF_TEST_WINDOWS = 4
_MOST_STEPS_OF_MEMORY = 12
_NO_HASH = "0" * 64


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """What a run knows beside its weights.

    Attributes:
        config: Of the run.
        split: The episodes.
        dataset_sha256: Of all of them.
        actions: Statistics of the actions.
        proprio: Statistics of joint positions and gripper width.
        sentences: The tasks.
        command: The command line.
        started_from_sha256: Of the weights that were learned on from; None for random ones.
    """

    config: TrainConfig
    split: Split
    dataset_sha256: str
    actions: Statistics
    proprio: Statistics
    sentences: tuple[str, ...]
    command: str
    started_from_sha256: str | None = None


def export_checkpoint(folder: Path, policy: MailPolicy, learned: Learned, steps: int) -> None:
    """Write a checkpoint, load it again, and store what it predicts for a few windows.

    Args:
        folder: Where; an existing checkpoint is replaced.
        policy: The weights to save, usually the averaged ones.
        learned: Everything else.
        steps: Steps of the optimiser so far.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_policy(policy, folder / WEIGHTS_NAME)
    manifest = _manifest(learned, steps, file_sha256(folder / WEIGHTS_NAME))
    save_manifest(folder, manifest)
    threads = learned.config.threads
    predictor = Predictor(folder, threads=threads)
    names = manifest.model.camera_names
    cases = _some_windows(learned)
    save_self_test(folder / SELF_TEST_NAME, cases, names, predictor.predict_task)
    sha256 = file_sha256(folder / SELF_TEST_NAME)
    save_manifest(folder, dataclasses.replace(manifest, self_test_sha256=sha256))
    Predictor(folder, threads=threads).warm_up()


def _manifest(learned: Learned, steps: int, weights_sha256: str) -> CheckpointManifest:
    config, split = learned.config, learned.split
    return CheckpointManifest(
        name=config.name,
        model=config.model,
        rate_hz=config.rate_hz,
        action_schema=schema_named(config.action_schema).id_at(config.rate_hz),
        exec_horizon=config.exec_horizon,
        actions=learned.actions,
        proprio=learned.proprio if config.model.proprio else None,
        task_sentences=learned.sentences,
        dataset=DatasetRecord(
            sha256=learned.dataset_sha256,
            training_episodes=tuple(episode.id for episode in split.training),
            validation_episodes=tuple(episode.id for episode in split.validation),
        ),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        git_hash=software_versions().get("git", ""),
        training_command=learned.command,
        training_steps=steps,
        weights_sha256=weights_sha256,
        self_test_sha256=_NO_HASH,
    )


def _some_windows(learned: Learned) -> list[tuple[int, Window]]:
    """Choose windows evenly from the first held-out episode, the padded first one included."""
    config = learned.config
    episode: EpisodeArrays = (learned.split.validation or learned.split.training)[0]
    task = learned.sentences.index(episode.task)
    history = make_history(config.model, 1.0 / config.rate_hz)
    last = len(episode) - 1
    wanted = set(np.linspace(0, last, _SELF_TEST_WINDOWS).astype(int).tolist())
    if config.model.stateful:
        # Its window is the whole past, which must not make the file large.
        last = min(last, _MOST_STEPS_OF_MEMORY - 1)
        wanted = {last}
    windows = []
    for step in range(last + 1):
        history.push(episode.observation(step))
        if step in wanted:
            windows.append(history.window())
    return [(task, window) for window in windows if isinstance(window, Window)]
