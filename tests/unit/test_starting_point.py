"""A run that learns on from a checkpoint starts where that one ended, on its scales."""

import dataclasses
from pathlib import Path

import pytest
import torch
from rich.console import Console

from mail_policy.inference.checkpoint import CheckpointError, load_manifest, save_manifest
from mail_policy.models.config import BackboneConfig
from mail_policy.training.preparation import prepare
from mail_policy.training.record import load_record
from mail_policy.training.starting_point import load_starting_point
from mail_policy.training.train import train
from tests.unit.synthetic_episodes import episode, episodes, train_config

QUIET = Console(quiet=True)
CONFIG = train_config()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = prepare(CONFIG, episodes(), "test")
    return train(run, tmp_path_factory.mktemp("run"), QUIET, tensorboard=False)


def test_a_run_starts_with_the_weights_and_scales_of_the_checkpoint(checkpoint: Path) -> None:
    start = load_starting_point(checkpoint, CONFIG)
    others = [
        episode("other-0", 50, task="close the door"),
        episode("other-1", 51, task="close the door"),
    ]
    config = dataclasses.replace(CONFIG, held_out_episodes=0)
    fresh = prepare(config, others, "test")
    run = prepare(config, others, "test", start=start)
    for name, value in run.trainer.policy.named_parameters():
        assert torch.equal(value, start.parameters[name]), name
    averaged = dict(run.trainer.averaged.policy.named_parameters())
    assert all(torch.equal(averaged[name], start.parameters[name]) for name in averaged)
    manifest = load_manifest(checkpoint)
    assert run.learned.actions == manifest.actions != fresh.learned.actions
    assert run.learned.sentences == ("close the door",)


def test_what_it_started_from_is_kept_with_the_run(checkpoint: Path, tmp_path: Path) -> None:
    start = load_starting_point(checkpoint, CONFIG)
    train(prepare(CONFIG, episodes(), "test", start=start), tmp_path, QUIET, tensorboard=False)
    assert load_record(tmp_path).started_from_sha256 == load_manifest(checkpoint).weights_sha256


def test_a_checkpoint_of_another_model_is_refused(checkpoint: Path) -> None:
    other = BackboneConfig(
        kind=CONFIG.model.backbone.kind,
        decoder=dataclasses.replace(CONFIG.model.backbone.decoder, layers=5),
        encoder=CONFIG.model.backbone.encoder,
    )
    config = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, backbone=other))
    with pytest.raises(CheckpointError, match=r"another model .*backbone.*manifest\.json"):
        load_starting_point(checkpoint, config)


def test_a_checkpoint_with_another_rate_is_refused(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"the run by ee_delta\S* at 10 Hz"):
        load_starting_point(checkpoint, dataclasses.replace(CONFIG, rate_hz=10.0))


def test_weights_that_are_not_those_of_the_manifest_are_refused(
    checkpoint: Path, tmp_path: Path
) -> None:
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = dataclasses.replace(load_manifest(checkpoint), weights_sha256="0" * 64)
    save_manifest(tmp_path, manifest)
    with pytest.raises(CheckpointError, match="not the file of the manifest"):
        load_starting_point(tmp_path, CONFIG)
