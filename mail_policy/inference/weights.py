"""Reads and writes the weights of a policy as safetensors."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from mail_policy.inference.checkpoint import CheckpointError, require_hash, require_tensors
from mail_policy.models.config import ModelConfig
from mail_policy.models.policy import MailPolicy

_KINDS = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64", torch.uint8: "U8"}


def load_policy(path: Path, config: ModelConfig, tasks: int, sha256: str) -> MailPolicy:
    """Build a policy and fill it from a file, ready to predict.

    Args:
        path: The weights.
        config: Which model.
        tasks: How many sentences it knows.
        sha256: Hash that the file must have.

    Raises:
        CheckpointError: The file does not hold finite weights of exactly this model.
    """
    require_hash(path, sha256)
    # On "meta" nothing is allocated before the file has been compared with the model.
    with torch.device("meta"):
        policy = MailPolicy(config, tasks)
    require_tensors(path, {name: tensor_kind(v) for name, v in policy.state_dict().items()})
    values = load_tensors(path)
    for name, value in values.items():
        if not value.isfinite().all():
            raise CheckpointError(f"{path}: {name!r} holds NaN or infinity; train again")
    policy = MailPolicy(config, tasks)
    policy.load_state_dict(values)
    return policy.eval()


def save_policy(policy: MailPolicy, path: Path) -> None:
    """Write the weights of a policy."""
    save_tensors({name: v.detach() for name, v in policy.state_dict().items()}, path)


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a safetensors file, under another name first: a killed run leaves no half file."""
    partial = path.with_name(f"{path.name}.partial")
    # Not save_file, which makes files that only their owner may read.
    partial.write_bytes(save({name: value.contiguous() for name, value in tensors.items()}))
    partial.replace(path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raises CheckpointError if it is damaged."""
    try:
        values: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    return values


def tensor_kind(tensor: Tensor) -> tuple[str, tuple[int, ...]]:
    """Return type and shape of a tensor as safetensors writes them."""
    return _KINDS[tensor.dtype], tuple(tensor.shape)
