"""A checkpoint is trusted only as far as it can be checked."""

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

from mail_policy.core.action_schema import EE_DELTA
from mail_policy.inference import checkpoint
from mail_policy.inference.checkpoint import (
    CheckpointError,
    file_sha256,
    find_checkpoint,
    load_manifest,
)
from mail_policy.inference.predictor import Predictor
from mail_policy.training.train import prepare, train
from tests.unit.synthetic_episodes import episodes, train_config


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = prepare(train_config(), episodes(), "test")
    folder = tmp_path_factory.mktemp("run")
    return train(run, folder, Console(quiet=True), tensorboard=False)


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "checkpoint"))


def edit_manifest(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    edit(values)
    path.write_text(json.dumps(values))


def edit_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    """Change the weights and the hash with them, as somebody would who means it."""
    path = folder / "weights.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)
    edit_manifest(folder, lambda m: m.update(weights_sha256=file_sha256(path)))


def test_a_sound_checkpoint_loads_and_passes_its_self_test(folder: Path) -> None:
    predictor = Predictor(folder)
    predictor.warm_up()
    assert predictor.manifest.name == "tiny"


def test_the_manifest_is_read_without_torch(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from mail_policy.inference.checkpoint import find_checkpoint, load_manifest;"
        "from mail_policy.inference.sentences import resolve_sentence;"
        f"m = load_manifest(find_checkpoint({str(folder)!r}));"
        "assert 'torch' not in sys.modules; print(m.cameras[1].name, m.chunk)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "wrist 4"


def test_a_checkpoint_is_found_by_path_and_by_the_name_of_a_shipped_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_checkpoint(folder) == folder
    monkeypatch.setattr(checkpoint, "SHIPPED", folder.parent)
    assert find_checkpoint("checkpoint") == folder
    with pytest.raises(CheckpointError, match="shipped are: checkpoint"):
        find_checkpoint("nothing")


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda m: m.pop("rate_hz"), "missing rate_hz"),
        (lambda m: m.update(extra=1), "unknown key 'extra'"),
        (lambda m: m.update(format_version=1), "format_version must be 3, got 1"),
        (lambda m: m.update(rate_hz="20"), "rate_hz: expected float"),
        (lambda m: m.update(exec_horizon=5), r"exec_horizon must be in \[1, 4\]"),
        (lambda m: m.update(action_schema="joint"), "unknown action schema 'joint'"),
        (lambda m: m.update(action_schema="ee_delta"), "has other names, units, frame or rate"),
        (lambda m: m.update(action_schema="ee_delta:01234567"), "has other names, units, frame"),
        (lambda m: m.update(rate_hz=10.0), "at 10 Hz"),
        (lambda m: m.update(format_version=2, action_schema="joint"), "unknown action schema"),
        (lambda m: m.update(format_version=2, action_schema=7), "action_schema: expected str"),
        (lambda m: m.update(task_sentences=[]), "task_sentences must be"),
        (lambda m: m.update(task_sentences=["a\nb"]), "unprintable"),
        (lambda m: m["actions"]["std"].__setitem__(2, 0.0), "std must be greater than"),
        (lambda m: m["actions"]["mean"].__setitem__(2, float("nan")), "must be finite"),
        (lambda m: m["actions"]["mean"].pop(), "as many means as spreads"),
        (lambda m: m.update(proprio=None), "proprio statistics must be given"),
        (lambda m: m["model"].update(history=10**9), "history must be in"),
        (lambda m: m["model"]["cameras"].clear(), "cameras must be at least one"),
        (lambda m: m["model"]["backbone"].update(kind="lstm"), "'lstm' is not a valid"),
        (lambda m: m["model"]["backbone"].pop("decoder"), "backbone: missing decoder"),
        (lambda m: m["model"]["backbone"].update(kind="aggregation"), "needs an encoder"),
        (lambda m: m["model"]["backbone"].update(layers=3), "unknown key 'layers'"),
        (lambda m: m["model"]["backbone"]["decoder"].update(layers=10**6), "layers must be in"),
        (lambda m: m["model"]["backbone"]["decoder"].update(layers=True), "layers: expected int"),
        (lambda m: m["model"]["backbone"]["decoder"].update(mixer="rwkv"), "mixer: 'rwkv'"),
        (lambda m: m["model"]["backbone"]["decoder"].update(dropout=1.5), "dropout must be in"),
        (lambda m: m["model"]["head"].update(kind="vae"), "head: kind: 'vae'"),
        (lambda m: m["model"]["head"].update(steps=16), "head 'bc' takes 1 to 1 steps"),
        (lambda m: m["model"].update(head="bc"), "head: expected keys and values"),
        (lambda m: m["model"].update(stateful=True), "stateful model has history: 1"),
        (lambda m: m["model"].update(windows="all"), "windows: 'all'"),
        (lambda m: m["model"].update(token_width=10**8), "token_width must be in"),
        (lambda m: m["model"].update(chunk=0), "chunk must be in"),
        (lambda m: m["model"].update(action_size=8), "the model predicts 8"),
        (lambda m: m["model"]["cameras"][0].update(height=10**5), "height must be in"),
        (lambda m: m["model"]["cameras"][1].update(name="agentview"), "each named once"),
        (lambda m: m["model"]["cameras"][0].update(name=""), "camera needs a name"),
        (lambda m: m["model"]["vision"].update(width=17), "vision width must be a multiple"),
        (lambda m: m["model"]["proprio"].update(dropout=-1.0), "proprio dropout must be in"),
        (lambda m: m["proprio"]["mean"].append(0.0), "as many means as spreads"),
        (lambda m: m["actions"].update(std=[1.0, 1.0], mean=[0.0, 0.0]), "statistics of 2"),
        (lambda m: m.update(rate_hz=0.0), "rate_hz must be in"),
        (lambda m: m.update(rate_hz=float("inf")), "rate_hz must be in"),
        (lambda m: m.update(task_sentences=["a", "a"]), "different ones"),
        (lambda m: m.update(task_sentences="a"), "task_sentences: expected a list"),
        (lambda m: m["dataset"].pop("sha256"), "dataset: missing sha256"),
        (lambda m: m.update(weights_sha256="abc"), "weights_sha256 must have 64"),
    ],
)
def test_a_manifest_with_a_wrong_field_is_refused_by_name(
    folder: Path, edit: Callable[[dict[str, Any]], Any], says: str
) -> None:
    edit_manifest(folder, edit)
    with pytest.raises(CheckpointError, match=says):
        load_manifest(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\x00", '"text"'])
def test_a_manifest_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        load_manifest(folder)


def test_a_manifest_of_the_version_before_is_understood(folder: Path) -> None:
    new = load_manifest(folder)
    edit_manifest(folder, lambda m: m.update(format_version=2, action_schema="ee_delta"))
    assert load_manifest(folder) == new
    edit_manifest(folder, lambda m: m.update(action_schema="joint_position"))
    with pytest.raises(CheckpointError, match="has 8 numbers, the model predicts 7"):
        load_manifest(folder)


def test_the_shipped_checkpoint_says_in_full_what_its_numbers_mean() -> None:
    manifest = load_manifest(find_checkpoint("open_top_drawer"))
    assert manifest.action_schema == EE_DELTA.id_at(20.0)
    assert manifest.schema is EE_DELTA


def test_an_oversized_manifest_is_not_read(folder: Path) -> None:
    with (folder / "manifest.json").open("ab") as file:
        file.truncate(5 * 2**20)
    with pytest.raises(CheckpointError, match="larger than"):
        load_manifest(folder)


def test_weights_of_another_checkpoint_are_refused(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CheckpointError, match="is not the file of the manifest"):
        Predictor(folder)
    path.unlink()
    with pytest.raises(CheckpointError, match="copy the whole folder"):
        Predictor(folder)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda t: t.pop("tok_emb.bias"), "has no tensor 'tok_emb.bias'"),
        (lambda t: t.update(extra=torch.zeros(1)), "'extra', which the model does not know"),
        (lambda t: t.update({"tok_emb.bias": torch.zeros(3)}), r"F32 of shape \(32,\)"),
        (lambda t: t.update({"tok_emb.bias": torch.zeros(32).half()}), "got F16"),
        (lambda t: t["tok_emb.bias"].fill_(float("nan")), "'tok_emb.bias' holds NaN"),
    ],
)
def test_weights_that_do_not_fit_the_model_are_refused_by_name(
    folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any], says: str
) -> None:
    edit_weights(folder, edit)
    with pytest.raises(CheckpointError, match=says):
        Predictor(folder)


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, struct.pack("<Q", 4) + b"null"])
def test_a_file_that_holds_no_tensors_is_refused(folder: Path, content: bytes) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(content)
    edit_manifest(folder, lambda m: m.update(weights_sha256=file_sha256(path)))
    with pytest.raises(CheckpointError, match="cannot read"):
        Predictor(folder)


def test_the_self_test_notices_wrong_statistics(folder: Path) -> None:
    edit_manifest(folder, lambda m: m["actions"]["mean"].__setitem__(0, 0.05))
    with pytest.raises(CheckpointError, match=r"differ by 0\.0"):
        Predictor(folder).warm_up()


def test_the_self_test_notices_weights_that_were_changed_on_purpose(folder: Path) -> None:
    edit_weights(folder, lambda t: t["head.action_pred.bias"].add_(1.0))
    with pytest.raises(CheckpointError, match="this machine must not run the checkpoint"):
        Predictor(folder).warm_up()


def test_a_missing_self_test_is_refused(folder: Path) -> None:
    (folder / "self_test.safetensors").unlink()
    with pytest.raises(CheckpointError, match="self_test"):
        Predictor(folder).warm_up()


def test_a_checkpoint_holds_no_pickle(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        "self_test.safetensors",
        "weights.safetensors",
    ]
    assert np.isfinite(load_manifest(folder).actions.std).all()
