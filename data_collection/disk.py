"""Keeps recordings from filling the disk: a full disk stops more than the recorder."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_collection.errors import DiskFullError

_GIB = 1 << 30


def free_bytes_of(folder: Path) -> int:
    """Return the free space of the disk on which a folder lies [bytes]."""
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True)
class DiskGuard:
    """Refuses to start, or to go on, when the disk runs full.

    Attributes:
        reserve_bytes: A running recording ends when less is free [bytes].
        start_margin_bytes: How much more must be free to start one [bytes]. Ten minutes of two
            cameras of 640x480 at 30 Hz fit in the default.
        free_bytes: How to measure.
    """

    reserve_bytes: int = 2 * _GIB
    start_margin_bytes: int = 3 * _GIB
    free_bytes: Callable[[Path], int] = free_bytes_of

    def check_start(self, folder: Path) -> None:
        """Raise DiskFullError if a recording should not begin."""
        self._require(folder, self.reserve_bytes + self.start_margin_bytes, "to start recording")

    def check_running(self, folder: Path) -> None:
        """Raise DiskFullError if a running recording should end."""
        self._require(folder, self.reserve_bytes, "to go on recording")

    def _require(self, folder: Path, needed_bytes: int, purpose: str) -> None:
        free = self.free_bytes(folder)
        if free < needed_bytes:
            raise DiskFullError(
                f"{free / _GIB:.2f} GiB are free in {folder}, {needed_bytes / _GIB:.2f} GiB are "
                f"needed {purpose}; delete or move episodes"
            )
