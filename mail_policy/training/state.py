"""Saves a run so that it can go on exactly where it was. Safetensors and JSON, no pickle."""

import json
from pathlib import Path

import torch
from torch import Tensor

from mail_policy.core.config import to_plain
from mail_policy.inference.checkpoint import CheckpointError
from mail_policy.inference.weights import load_tensors, save_tensors
from mail_policy.training.trainer import Trainer

STATE_NAME = "state.safetensors"
RUN_NAME = "run.json"
_STEP = "step"


def save_state(folder: Path, trainer: Trainer, dataset_sha256: str) -> None:
    """Write everything that a run needs to go on.

    Args:
        folder: Of the run.
        trainer: The run.
        dataset_sha256: Of what it learns from.
    """
    # The step lies beside the tensors, not in the other file: both must be of one moment.
    tensors: dict[str, Tensor] = {_STEP: torch.tensor(trainer.step)}
    for part, policy in (("policy", trainer.policy), ("averaged", trainer.averaged.policy)):
        for name, value in policy.state_dict().items():
            tensors[f"{part}/{name}"] = value.detach().contiguous()
    for number, moments in trainer.optimiser.state_dict()["state"].items():
        for name, value in moments.items():
            tensors[f"optimiser/{number}/{name}"] = value.contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"dataset_sha256": dataset_sha256, "config": to_plain(trainer.config)}
    (folder / RUN_NAME).write_text(json.dumps(facts, indent=2) + "\n")
    save_tensors(tensors, folder / STATE_NAME)


def load_state(folder: Path, trainer: Trainer, dataset_sha256: str) -> None:
    """Go on with a run.

    Raises:
        CheckpointError: The run was made with another configuration or other data.
    """
    try:
        facts = json.loads((folder / RUN_NAME).read_text())
        config, data = facts["config"], facts["dataset_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"cannot go on with {folder}: {error!r}; start a new run") from error
    if config != to_plain(trainer.config):
        raise CheckpointError(
            f"{folder} was trained with another configuration, see {RUN_NAME}; use that one, or "
            "start a new run"
        )
    if data != dataset_sha256:
        raise CheckpointError(f"{folder} was trained on other data; start a new run")
    tensors = load_tensors(folder / STATE_NAME)
    try:
        trainer.step = int(tensors.pop(_STEP))
        trainer.policy.load_state_dict(_part(tensors, "policy/"))
        trainer.averaged.policy.load_state_dict(_part(tensors, "averaged/"))
        _load_optimiser(trainer, _part(tensors, "optimiser/"))
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{folder / STATE_NAME} does not fit: {error}") from error


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _load_optimiser(trainer: Trainer, tensors: dict[str, Tensor]) -> None:
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition("/")
        moments.setdefault(int(number), {})[name] = value
    groups = trainer.optimiser.state_dict()["param_groups"]
    trainer.optimiser.load_state_dict({"state": moments, "param_groups": groups})
