"""Reads LIBERO's demonstration files, which need not be trusted."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from data_collection.errors import EpisodeError

# An hour at 20 Hz.
_LONGEST = 72_000
_LARGEST_ROW_BYTES = 64 << 20
_LARGEST_CHUNK_BYTES = 256 << 20


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; whatever is damaged in it shows as EpisodeError."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    # h5py tells damage by any of these, depending on where it is.
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, MemoryError) as error:
        if isinstance(error, EpisodeError):
            raise
        raise EpisodeError(f"{path} cannot be read: {str(error)[:300]}") from error


def group_at(parent: h5py.Group, name: str) -> h5py.Group:
    """Return a group that really lies in this file. Raises EpisodeError if it does not."""
    found = _real(parent, name)
    if not isinstance(found, h5py.Group):
        raise EpisodeError(f"{parent.name}/{name} must be a group")
    return found


def array_at(
    parent: h5py.Group, name: str, steps: int | None, row: tuple[int | None, ...], kinds: str
) -> h5py.Dataset:
    """Return an array that really lies in this file, still unread.

    Args:
        parent: The group.
        name: In the group.
        steps: Its length, None for any.
        row: The shape of a step; None for any size.
        kinds: NumPy's letters for the kinds of numbers that are accepted.

    Raises:
        EpisodeError: It is missing, lies elsewhere, or has another shape or type.
    """
    found = _real(parent, name)
    where = f"{parent.name}/{name}"
    if not isinstance(found, h5py.Dataset):
        raise EpisodeError(f"{where} must be an array")
    if found.is_virtual or found.external:
        raise EpisodeError(f"{where} takes its data from another file; refused")
    # Objects are Python's or references: reading some of them runs code.
    if found.dtype.kind not in kinds:
        raise EpisodeError(f"{where} must hold numbers, has the type {found.dtype}")
    is_shape = len(found.shape) == 1 + len(row) and all(
        wanted in (None, size) for wanted, size in zip((steps, *row), found.shape, strict=True)
    )
    if not is_shape or not 0 < found.shape[0] <= _LONGEST:
        raise EpisodeError(f"{where} must have the shape {(steps, *row)}, has {found.shape}")
    row_bytes = found.dtype.itemsize * int(np.prod(found.shape[1:]))
    chunk_bytes = found.dtype.itemsize * int(np.prod(found.chunks or (1,)))
    if row_bytes > _LARGEST_ROW_BYTES or chunk_bytes > _LARGEST_CHUNK_BYTES:
        raise EpisodeError(f"{where} is too large: {row_bytes} bytes per step")
    return found


def numbers_at(
    parent: h5py.Group, name: str, steps: int | None, columns: int
) -> NDArray[np.float64]:
    """Read numbers, shape (steps, columns). Raises EpisodeError if they are not what they must."""
    values = np.asarray(array_at(parent, name, steps, (columns,), "fiu"), dtype=np.float64)
    if not np.isfinite(values).all():
        raise EpisodeError(f"{parent.name}/{name} holds values that are no numbers")
    return values


def text_of(group: h5py.Group, name: str) -> str:
    """Return an attribute as text, "" if it is missing or something else."""
    value = group.attrs.get(name, "")
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return value if isinstance(value, str) else ""


def json_of(group: h5py.Group, name: str) -> dict[str, Any]:
    """Return an attribute that holds JSON, {} if it is missing or something else."""
    try:
        content = json.loads(text_of(group, name) or "{}")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _real(parent: h5py.Group, name: str) -> Any:
    link = parent.get(name, getlink=True) if name in parent.keys() else None  # noqa: SIM118
    if link is None:
        raise EpisodeError(f"{parent.file.filename} has no {parent.name}/{name}")
    if not isinstance(link, h5py.HardLink):
        raise EpisodeError(f"{parent.name}/{name} is a link to somewhere else; refused")
    return parent[name]
