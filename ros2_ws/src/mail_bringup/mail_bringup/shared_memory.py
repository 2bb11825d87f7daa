"""Removes shared memory that Fast DDS left behind when a process was killed or crashed.

A living owner holds a lock on `<name>_el` (one reader or owner) or `<name>_sl` (several readers);
the kernel drops it when the owner ends in any way. Memory without such a lock is of no use to
anybody. Locks, unlike lists of processes, are also seen from other containers.
"""

import fcntl
import re
import time
from collections.abc import Iterator
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
# A file younger than this may be about to be locked [s].
_MIN_AGE_S = 1.0
_NAME = re.compile(r"fastrtps_(port\d+|[0-9a-f]{16})")


def remove_leftovers(folder: Path = SHARED_MEMORY) -> list[str]:
    """Remove the files of dead processes; return the names of what was removed."""
    leftovers = find_leftovers(folder)
    for path in leftovers:
        for file in _files_of(path):
            file.unlink(missing_ok=True)
    return [path.name for path in leftovers]


def find_leftovers(folder: Path = SHARED_MEMORY) -> list[Path]:
    """Return the segments and ports of dead processes."""
    return [
        path
        for path in sorted(folder.glob("fastrtps_*"))
        if _NAME.fullmatch(path.name) and not _is_young(path) and not _has_owner(path)
    ]


def _files_of(path: Path) -> Iterator[Path]:
    yield path
    yield from _lock_files(path)
    yield path.with_name(f"sem.{path.name}_mutex")


def _lock_files(path: Path) -> Iterator[Path]:
    yield from (path.with_name(f"{path.name}{ending}") for ending in ("_el", "_sl"))


def _is_young(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < _MIN_AGE_S
    except FileNotFoundError:
        return True


def _has_owner(path: Path) -> bool:
    return any(map(_is_locked, _lock_files(path)))


def _is_locked(path: Path) -> bool:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return False
    except PermissionError:
        # Of another user: not ours to judge.
        return True
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
