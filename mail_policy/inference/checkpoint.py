"""Finds checkpoints on disk and reads them, trusting nothing. Imports no torch.

A checkpoint is a folder: `manifest.json`, `weights.safetensors`, and `self_test.safetensors`
with a few windows and the chunks that the policy predicted for them when it was saved. Nothing
is unpickled.
"""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from mail_policy.core.config import ConfigError, build_config, to_plain
from mail_policy.core.text_files import read_text
from mail_policy.inference.manifest import CheckpointManifest, migrated

MANIFEST_NAME = "manifest.json"
WEIGHTS_NAME = "weights.safetensors"
SELF_TEST_NAME = "self_test.safetensors"
# Checkpoints that come with the code.
SHIPPED = Path(__file__).parents[1] / "checkpoints"
_MAX_TENSOR_BYTES = 2**30
_MAX_HEADER_BYTES = 16 * 2**20


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, or does not say what it should."""


def find_checkpoint(name: str | Path) -> Path:
    """Return the folder of a checkpoint.

    Args:
        name: Name of a shipped checkpoint, or path of a folder.

    Raises:
        CheckpointError: There is none; lists the shipped ones.
    """
    for folder in (Path(name), SHIPPED / name):
        if (folder / MANIFEST_NAME).is_file():
            return folder
    shipped = sorted(file.parent.name for file in SHIPPED.glob(f"*/{MANIFEST_NAME}"))
    raise CheckpointError(
        f"{str(name)!r} is no checkpoint: no {MANIFEST_NAME} in {Path(name).absolute()}; shipped "
        f"are: {', '.join(shipped) or 'none'}; give the path of a folder, or train one with "
        "mailctl train"
    )


def load_manifest(folder: Path) -> CheckpointManifest:
    """Read and check what a checkpoint says about itself.

    Raises:
        CheckpointError: Names the field that is missing or wrong.
    """
    path = folder / MANIFEST_NAME
    try:
        values = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    try:
        values = migrated(values) if isinstance(values, dict) else values
        return build_config(CheckpointManifest, values, where=str(path))
    except ConfigError as error:
        raise CheckpointError(str(error)) from error


def save_manifest(folder: Path, manifest: CheckpointManifest) -> None:
    """Write the manifest of a checkpoint."""
    (folder / MANIFEST_NAME).write_text(json.dumps(to_plain(manifest), indent=2) + "\n")


def require_hash(path: Path, sha256: str) -> None:
    """Refuse a file of tensors that is not the one that the manifest means.

    Raises:
        CheckpointError: The file is missing, too large, or has another hash.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise CheckpointError(f"{path} is no regular file; copy the whole folder")
        if size > _MAX_TENSOR_BYTES:
            raise CheckpointError(f"{path} has {size} bytes, limit is {_MAX_TENSOR_BYTES}")
        found = file_sha256(path)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error}; copy the whole folder") from error
    if found != sha256:
        raise CheckpointError(
            f"{path} is not the file of the manifest: sha256 is {found[:12]}..., expected "
            f"{sha256[:12]}...; copy the folder again"
        )


def require_files(folder: Path, manifest: CheckpointManifest) -> None:
    """Refuse a checkpoint whose files of tensors are missing or not those of its manifest.

    Raises:
        CheckpointError: See `require_hash`.
    """
    require_hash(folder / WEIGHTS_NAME, manifest.weights_sha256)
    require_hash(folder / SELF_TEST_NAME, manifest.self_test_sha256)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_tensors(path: Path, expected: dict[str, tuple[str, tuple[int, ...]]]) -> None:
    """Compare the header of a safetensors file with what is expected, before reading any of it.

    Args:
        path: The file.
        expected: Type (as safetensors writes it, for example "F32") and shape by name.

    Raises:
        CheckpointError: Names the first tensor that is missing, unknown or different.
    """
    header = _read_header(path)
    for name in expected.keys() - header.keys():
        raise CheckpointError(f"{path} has no tensor {name!r}, which the model needs")
    for name, entry in header.items():
        if name not in expected:
            raise CheckpointError(f"{path} has a tensor {name!r}, which the model does not know")
        kind, shape = expected[name]
        if entry.get("dtype") != kind or tuple(entry.get("shape", ())) != shape:
            raise CheckpointError(
                f"{path}: {name!r} must be {kind} of shape {shape}, got {entry.get('dtype')} of "
                f"shape {entry.get('shape')}"
            )


def _read_header(path: Path) -> dict[str, dict[str, Any]]:
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _MAX_HEADER_BYTES:
                raise ValueError(f"its header says it has {length} bytes")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        if not all(isinstance(entry, dict) for entry in header.values()):
            raise ValueError("its header does not describe tensors")
    except (OSError, ValueError, struct.error, AttributeError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    return dict(header)
