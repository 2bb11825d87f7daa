"""What a run writes about itself, and that it can be interrupted while it writes."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mail_policy.core.config import to_plain
from mail_policy.training.config import Precision
from mail_policy.training.curves import draw_curves
from mail_policy.training.engine import Device, Engine, TrainingError
from mail_policy.training.log import RunLog
from mail_policy.training.pace import Pace
from mail_policy.training.record import load_record, record_start
from mail_policy.training.state import load_state, save_state
from mail_policy.training.train import prepare, train
from mail_policy.training.trainer import StepReport, ValidationReport
from tests.unit.synthetic_episodes import episodes, train_config

QUIET = Console(quiet=True)


def report(step: int, loss: float = 1.0) -> StepReport:
    return StepReport(step, loss, gradient_norm=0.5, learning_rate=1e-3, samples=12)


def log(folder: Path, step: int = 0, wandb_project: str | None = None) -> RunLog:
    return RunLog(
        folder, step, tensorboard=False, wandb_project=wandb_project, config={"name": "x"}
    )


def test_a_run_records_what_it_was_made_with_and_draws_its_curves(tmp_path: Path) -> None:
    run = prepare(train_config(), episodes(), "mailctl train --config tiny")
    train(run, tmp_path, QUIET, tensorboard=False)
    record = load_record(tmp_path)
    assert record.config == to_plain(run.trainer.config)
    (start,) = record.starts
    assert start["command"] == "mailctl train --config tiny"
    assert (start["step"], start["device"], start["processes"]) == (0, "cpu", 1)
    assert {"torch", "numpy", "mail-policy"} <= set(start["software"])
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")


def test_curves_can_be_drawn_without_validation(tmp_path: Path) -> None:
    with log(tmp_path) as written:
        written.write(report(1))
    draw_curves(tmp_path / "metrics.jsonl", tmp_path / "training.png")
    assert (tmp_path / "training.png").stat().st_size > 1000


def test_steps_that_will_be_done_again_are_forgotten(tmp_path: Path) -> None:
    with log(tmp_path) as written:
        for step in range(1, 5):
            written.write(report(step))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"group": "tra')
    with log(tmp_path, step=2) as written:
        written.write(report(3, loss=7.0))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(1, 1.0), (2, 1.0), (3, 7.0)]


@pytest.mark.parametrize("writes_before", [0, 1])
def test_an_interruption_while_saving_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes_before: int
) -> None:
    run = prepare(train_config(), episodes(), "test")
    run.trainer.run_step()
    record_start(tmp_path, run.learned, run.trainer.engine, 0)
    save_state(tmp_path, run.trainer)
    run.trainer.run_step()
    # Killed in the middle of writing, or before the file gets its name.
    broken = Path.replace if writes_before else Path.write_bytes
    monkeypatch.setattr(Path, broken.__name__, _interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_state(tmp_path, run.trainer)
    monkeypatch.undo()
    load_state(tmp_path, run.trainer, run.learned)
    assert run.trainer.step == 1


def _interrupted(path: Path, *_: object) -> None:
    with path.open("wb") as file:
        file.write(b"half")
    raise KeyboardInterrupt


def test_the_pace_tells_samples_per_second_and_the_time_left() -> None:
    now_s = [100.0]
    pace = Pace(steps=50, clock=lambda: now_s[0])
    assert str(pace) == "pace not known yet"
    for step in (11, 12):
        now_s[0] += 2.0
        pace.count(report(step))
    assert pace.samples_per_s == 6.0
    assert pace.remaining_s == 38 * 2.0
    assert str(pace) == "6 samples/s, 0:01:16 left"


def test_numbers_go_to_weights_and_biases_if_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, Any]] = []
    logged: list[tuple[dict[str, float], int]] = []
    ended: list[bool] = []
    fake = types.ModuleType("wandb")
    run = types.SimpleNamespace(
        log=lambda values, step: logged.append((values, step)), finish=lambda: ended.append(True)
    )
    monkeypatch.setattr(
        fake, "init", lambda **words: (started.append(words), run)[1], raising=False
    )
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for _ in range(2):
        with log(tmp_path, wandb_project="drawers") as written:
            written.write(report(1))
            written.write(ValidationReport(1, 0.5, 3.0, 2.0, 1.0))
    assert [(values["project"], values["config"]) for values in started] == [
        ("drawers", {"name": "x"})
    ] * 2
    assert started[0]["id"] == started[1]["id"]
    assert [step for _, step in logged] == [1] * 4
    assert logged[0][0]["train/loss"] == 1.0
    assert logged[1][0]["validation/loss"] == 0.5
    assert ended == [True, True]


def test_without_weights_and_biases_the_run_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(TrainingError, match=r"pip install -e '\.\[wandb\]'"):
        log(tmp_path, wandb_project="drawers")


def test_half_precision_needs_cuda() -> None:
    with pytest.raises(TrainingError, match="fp16 needs CUDA; use bf16 or fp32"):
        Engine(Precision.FP16, Device.CPU)


def test_cuda_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(TrainingError, match="no CUDA device; use --device cpu"):
        Engine(Precision.FP32, Device.CUDA)
