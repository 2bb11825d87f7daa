"""What exports to other formats, and imports from them, have in common."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_collection.errors import EpisodeError
from data_collection.manifest import sync_folder

# Called with how many episodes are done, and of how many.
OnProgress = Callable[[int, int], None]

_CAMERA_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


@dataclass(slots=True)
class ExchangeReport:
    """What became of the episodes.

    Attributes:
        done: Names of the episodes that were taken.
        skipped: Why the others were not, by name.
        remarks: What a user of the result should know.
    """

    done: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which appears under its name only when everything is in it.

    Args:
        folder: The final name; there must be nothing yet.

    Raises:
        EpisodeError: There is something already.
    """
    if folder.exists() or folder.is_symlink():
        raise EpisodeError(f"{folder} exists already; choose another name, or delete it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.parent / f".{folder.name}.partial-{os.getpid()}"
    partial.mkdir()
    try:
        yield partial
        _sync(partial)
        # Onto an empty folder that somebody made meanwhile, a rename would succeed.
        if folder.exists():
            raise EpisodeError(f"{folder} has come into being meanwhile; choose another name")
        partial.rename(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Force everything in a folder to the disk, so that a complete name means complete files."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            sync_folder(path)
            continue
        with path.open("rb") as file:
            os.fsync(file.fileno())


def inside(root: Path, relative: str) -> Path:
    """Return a file of a data set.

    Raises:
        EpisodeError: It is missing, or lies outside the data set, be it by a link.
    """
    path = root / relative
    try:
        real, is_file = path.resolve(), path.is_file()
    # A name may be too long, or hold a zero byte.
    except (OSError, ValueError) as error:
        raise EpisodeError(f"{str(path)[:300]!r} names no file: {error}") from error
    if not real.is_relative_to(root.resolve()):
        raise EpisodeError(f"{path} leads out of the data set to {real}; refused")
    if not is_file:
        raise EpisodeError(f"{path} is missing; the data set is not complete")
    return path


def seconds_of(stamps_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Convert stamps [ns] to seconds, with the rounding of `messages.stamp_to_seconds`."""
    seconds, rest_ns = np.divmod(stamps_ns, 1_000_000_000)
    return np.asarray(seconds + 1e-9 * rest_ns, dtype=np.float64)


def camera_names(pairs: Sequence[str]) -> dict[str, str]:
    """Turn words like "agentview=front" into a mapping.

    Raises:
        EpisodeError: A word has another form, or a name occurs twice.
    """
    mapping: dict[str, str] = {}
    for pair in pairs:
        ours, is_pair, theirs = pair.partition("=")
        if not is_pair or not theirs or not _CAMERA_PATTERN.fullmatch(ours):
            raise EpisodeError(f"a camera is mapped as OURS=THEIRS, got {pair[:100]!r}")
        if ours in mapping or theirs in mapping.values():
            raise EpisodeError(f"{pair!r} maps a camera that is mapped already")
        mapping[ours] = theirs
    return mapping


def plain_camera_name(name: str) -> str:
    """Make one of our camera names of a foreign one, for example "wrist_left" of "wrist.left".

    Raises:
        EpisodeError: Nothing usable is left.
    """
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if not _CAMERA_PATTERN.fullmatch(plain):
        raise EpisodeError(f"{name[:100]!r} cannot name a camera; map it with --camera-map")
    return plain
