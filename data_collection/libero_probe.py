"""Looks once at all that describes an HDF5 file, in a process of its own that may hang or crash.

The HDF5 library loops for ever over some damaged files and crashes on others. `probe` therefore
lets another process go first; that one says nothing about what it finds.
"""

import subprocess
import sys
from pathlib import Path

import h5py

from data_collection.errors import EpisodeError

# data/demo_N/obs/name
_DEPTH = 4
_LIMIT_S = 60.0


def probe(path: Path, limit_s: float = _LIMIT_S) -> None:
    """Raise EpisodeError for a file on which the HDF5 library hangs or crashes.

    Args:
        path: The file.
        limit_s: How long to look [s].
    """
    command = [sys.executable, "-m", __name__, str(path.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise EpisodeError(
            f"{path} is damaged: HDF5 has not found its way through it in {limit_s:.0f} s"
        ) from error
    if done.returncode < 0:
        raise EpisodeError(f"{path} is damaged: HDF5 crashes on it (signal {-done.returncode})")


def _look_at(group: h5py.Group, depth: int) -> None:
    """Read all attributes below a group, and where every piece of data lies."""
    list(group.attrs.items())
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Group) and depth > 1:
            _look_at(item, depth - 1)
        elif isinstance(item, h5py.Dataset):
            list(item.attrs.items())
            if item.chunks:
                item.id.chunk_iter(lambda chunk: None)


if __name__ == "__main__":
    with h5py.File(sys.argv[1], "r") as opened:
        _look_at(opened, _DEPTH)
