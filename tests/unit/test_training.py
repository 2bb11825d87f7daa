"""Training learns, goes on exactly where it stopped, and ends in a checkpoint that works."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from mail_policy.core.config import ConfigError, build_config, load_config, to_plain
from mail_policy.inference.checkpoint import CheckpointError, load_manifest
from mail_policy.inference.weights import load_tensors
from mail_policy.models.sentence_encoders import hashed_ngrams
from mail_policy.training import train as command
from mail_policy.training.config import OptimiserConfig, TrainConfig
from mail_policy.training.optimiser import ema_decay, learning_rate, make_optimiser
from mail_policy.training.record import record_start
from mail_policy.training.state import load_state, save_state
from mail_policy.training.trainer import TrainingError
from tests.unit.synthetic_episodes import episodes as synthetic
from tests.unit.synthetic_episodes import train_config

CONFIGS = Path(command.__file__).parents[1] / "configs"
QUIET = Console(quiet=True)


def test_the_policy_learns_what_only_the_pictures_show() -> None:
    config = train_config(
        steps=120,
        batch={"segments": 6, "decisions_per_segment": 4},
        optimiser={"learning_rate": 5e-3, "warm_up_steps": 5},
        augment={"shift_pixels": 0, "brightness": 0.0, "colour_gain": 0.0},
        ema_decay=0.9,
    )
    run = command.prepare(config, synthetic(24), "test")
    for _ in range(config.steps):
        run.trainer.run_step()
    report = run.trainer.validate()
    assert report is not None
    # Two of seven numbers vary, with unit spread: the best constant answer has a loss of 2 / 7.
    assert report.loss < 0.5 * 2 / 7


TRANSFORMER = {"kind": "decoder_only", "decoder": {"mixer": "attention", "layers": 1}}


@pytest.mark.parametrize("backbone", [None, TRANSFORMER], ids=["mamba", "transformer with dropout"])
def test_a_run_that_was_interrupted_ends_with_the_same_weights(
    tmp_path: Path, backbone: dict[str, Any] | None
) -> None:
    plain = to_plain(train_config().model)
    config = train_config(steps=6, model={**plain, **({"backbone": backbone} if backbone else {})})
    whole = command.prepare(config, synthetic(), "test")
    for _ in range(6):
        whole.trainer.run_step()
    first = command.prepare(config, synthetic(), "test")
    for _ in range(3):
        first.trainer.run_step()
    record_start(tmp_path, first.learned, first.trainer.engine, 0)
    save_state(tmp_path, first.trainer)
    second = command.prepare(config, synthetic(), "test")
    load_state(tmp_path, second.trainer, second.learned)
    assert second.trainer.step == 3
    for _ in range(3):
        second.trainer.run_step()
    for part in ("policy", "averaged"):
        policies = [getattr(run.trainer, part) for run in (whole, second)]
        states = [(p if part == "policy" else p.policy).state_dict() for p in policies]
        for name, value in states[0].items():
            assert torch.equal(value, states[1][name]), f"{part} {name}"


def test_a_run_does_not_go_on_with_other_settings_or_data(tmp_path: Path) -> None:
    run = command.prepare(train_config(), synthetic(), "test")
    run.trainer.run_step()
    record_start(tmp_path, run.learned, run.trainer.engine, 0)
    save_state(tmp_path, run.trainer)
    other = command.prepare(train_config(seed=7), synthetic(), "test")
    with pytest.raises(CheckpointError, match="another configuration"):
        load_state(tmp_path, other.trainer, other.learned)
    with pytest.raises(CheckpointError, match="other data"):
        load_state(tmp_path, run.trainer, replace(run.learned, dataset_sha256="0" * 64))
    with pytest.raises(CheckpointError, match="other weights"):
        load_state(tmp_path, run.trainer, replace(run.learned, started_from_sha256="0" * 64))
    (tmp_path / "state.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(CheckpointError, match=r"cannot read .*state\.safetensors"):
        load_state(tmp_path, run.trainer, run.learned)


def test_training_writes_logs_and_a_checkpoint_of_the_averaged_weights(tmp_path: Path) -> None:
    run = command.prepare(train_config(), synthetic(), "mailctl train --config tiny")
    folder = command.train(run, tmp_path, QUIET, tensorboard=False)
    manifest = load_manifest(folder)
    assert manifest.training_command == "mailctl train --config tiny"
    assert manifest.training_steps == 6
    assert len(manifest.dataset.training_episodes) == 4
    assert len(manifest.dataset.validation_episodes) == 2
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["group"] == "train"] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in lines if line["group"] == "validation"] == [3, 6]
    stored = load_tensors(folder / "weights.safetensors")
    averaged, newest = run.trainer.averaged.policy.state_dict(), run.trainer.policy.state_dict()
    assert all(torch.equal(value, averaged[name]) for name, value in stored.items())
    assert any(not torch.equal(value, newest[name]) for name, value in stored.items())


def test_the_command_trains_from_recorded_episodes_and_goes_on(
    tmp_path: Path, episodes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    episodes.root = data
    for number in range(3):
        episodes.record(9, id=f"episode-{number}")
    episodes.record(9, id="failed", success=False)
    config = tmp_path / "tiny.yaml"
    plain = to_plain(train_config(steps=2, held_out_episodes=1))
    config.write_text(json.dumps(plain))  # YAML holds JSON
    words = ["--config", str(config), "--data", str(data), "--out", str(tmp_path / "run")]
    assert command.main(words) == 0
    manifest = load_manifest(tmp_path / "run" / "checkpoint")
    trained = {*manifest.dataset.training_episodes, *manifest.dataset.validation_episodes}
    assert trained == {"episode-0", "episode-1", "episode-2"}
    assert manifest.task_sentences == ("open the top drawer",)
    assert command.main(words) == 1
    assert "add --resume" in capsys.readouterr().err
    assert command.main([*words, "--resume"]) == 0


def test_the_command_says_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(tmp_path), "--out", str(tmp_path / "run")]
    assert command.main(["--config", "light", *words]) == 1
    assert "no successful episode below" in capsys.readouterr().err
    assert command.main(["--config", "nowhere.yaml", *words]) == 1
    assert "cannot read nowhere.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_can_be_read(path: Path) -> None:
    assert load_config(TrainConfig, path).name


def test_the_sentence_reaches_the_policy_as_the_named_encoder_gave_it() -> None:
    run = command.prepare(train_config(), synthetic(), "test")
    language = run.trainer.policy.language
    assert language is not None
    expected = torch.from_numpy(hashed_ngrams(run.learned.sentences))
    assert torch.equal(language.task_vectors, expected)


def test_rates_and_memories_of_mamba_are_not_decayed() -> None:
    run = command.prepare(train_config(), synthetic(), "test")
    policy = run.trainer.policy
    optimiser = make_optimiser(policy, OptimiserConfig(weight_decay=0.1))
    free = {id(p) for p in optimiser.param_groups[1]["params"]}
    names = {name for name, p in policy.named_parameters() if id(p) in free}
    assert optimiser.param_groups[1]["weight_decay"] == 0.0
    assert {"backbone.decoder.layers.0.mixer.A_log", "backbone.decoder.layers.0.mixer.D"} <= names
    assert "backbone.decoder.layers.0.mixer.in_proj.weight" not in names
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(
        list(policy.parameters())
    )


def test_the_averages_memory_grows_as_published() -> None:
    assert ema_decay(1, 0.995) == pytest.approx(2 / 11)
    assert ema_decay(100_000, 0.995) == 0.995


def test_the_learning_rate_warms_up_and_ends_low() -> None:
    config = OptimiserConfig(learning_rate=1.0, warm_up_steps=10, smallest_rate_share=0.1)
    rates = [learning_rate(step, 100, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.1)
    assert sorted(rates[10:], reverse=True) == rates[10:]


def test_a_gradient_that_is_not_finite_ends_the_run() -> None:
    run = command.prepare(train_config(), synthetic(), "test")
    with torch.no_grad():
        run.trainer.policy.tok_emb.weight.fill_(float("inf"))
    with pytest.raises(TrainingError, match=r"lower optimiser\.learning_rate"):
        run.trainer.run_step()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch": {"segments": 0}}, "at least one segment"),
        ({"stepps": 3}, "did you mean 'steps'"),
        ({"bf16": True}, "unknown key 'bf16'"),
        ({"precision": "fp8"}, "precision"),
        ({"ema_decay": 1.0}, "ema_decay must be in"),
    ],
)
def test_a_wrong_configuration_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        train_config(**changes)


def test_pictures_are_encoded_in_the_precision_of_the_run() -> None:
    reports = [
        command.prepare(train_config(precision=name), synthetic(), "test").trainer.run_step()
        for name in ("fp32", "bf16")
    ]
    assert reports[0].loss != reports[1].loss
    assert reports[0].loss == pytest.approx(reports[1].loss, rel=0.02)


def test_a_config_survives_being_written_and_read() -> None:
    config = train_config()
    assert build_config(TrainConfig, json.loads(json.dumps(to_plain(config))), "x") == config
