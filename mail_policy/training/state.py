"""Saves a run so that it can go on exactly where it was. Safetensors and JSON, no pickle."""

from pathlib import Path

import torch
from torch import Tensor

from mail_policy.core.config import to_plain
from mail_policy.inference.checkpoint import CheckpointError
from mail_policy.inference.weights import load_tensors, save_tensors
from mail_policy.training.export import Learned
from mail_policy.training.record import RUN_NAME, load_record
from mail_policy.training.trainer import Trainer

STATE_NAME = "state.safetensors"
_STEP = "step"


def save_state(folder: Path, trainer: Trainer) -> None:
    """Write everything that changes in a run, as a whole or not at all.

    Args:
        folder: Of the run.
        trainer: The run.
    """
    tensors: dict[str, Tensor] = {_STEP: torch.tensor(trainer.step)}
    for part, policy in (("policy", trainer.policy), ("averaged", trainer.averaged.policy)):
        for name, value in policy.state_dict().items():
            tensors[f"{part}/{name}"] = value.detach().contiguous()
    for number, moments in trainer.optimiser.state_dict()["state"].items():
        for name, value in moments.items():
            tensors[f"optimiser/{number}/{name}"] = value.contiguous()
    for name, number in trainer.engine.state().items():
        tensors[f"engine/{name}"] = torch.tensor(number, dtype=torch.float64)
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(tensors, folder / STATE_NAME)


def load_state(folder: Path, trainer: Trainer, learned: Learned) -> None:
    """Go on with a run.

    Args:
        folder: Of the run.
        trainer: Is brought to where the run was.
        learned: What it is made from now.

    Raises:
        CheckpointError: The run was made with another configuration or other data, or started
            from other weights.
    """
    record = load_record(folder)
    if record.config != to_plain(trainer.config):
        raise CheckpointError(
            f"{folder} was trained with another configuration, see {RUN_NAME}; use that one, or "
            "start a new run"
        )
    if record.dataset_sha256 != learned.dataset_sha256:
        raise CheckpointError(f"{folder} was trained on other data; start a new run")
    if record.started_from_sha256 != learned.started_from_sha256:
        raise CheckpointError(
            f"{folder} started from other weights; give the same --start-from as at its start, or "
            "start a new run"
        )
    tensors = load_tensors(folder / STATE_NAME)
    try:
        trainer.step = int(tensors.pop(_STEP))
        trainer.policy.load_state_dict(_part(tensors, "policy/"))
        trainer.averaged.policy.load_state_dict(_part(tensors, "averaged/"))
        _load_optimiser(trainer, _part(tensors, "optimiser/"))
        numbers = _part(tensors, "engine/")
        trainer.engine.load_state({name: float(value) for name, value in numbers.items()})
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
