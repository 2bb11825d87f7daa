"""What the robot did, cycle by cycle, in memory that the test maps: reading costs it nothing."""

import mmap
import os
import struct
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

CAPACITY = 600_000
_ROW = struct.Struct("<q14d3B5x")
_DTYPE = np.dtype(
    {
        "names": ["cycle", "q_d", "dq_d", "robot_mode", "in_motion", "lost"],
        "formats": ["<i8", ("<f8", 7), ("<f8", 7), "u1", "?", "?"],
        "offsets": [0, 8, 64, 120, 121, 122],
        "itemsize": _ROW.size,
    }
)


class OracleWriter:
    """The robot's side: a ring of the last 600 s."""

    def __init__(self) -> None:
        self.file_descriptor = os.memfd_create("fci-oracle")
        os.ftruncate(self.file_descriptor, CAPACITY * _ROW.size)
        self._memory = mmap.mmap(self.file_descriptor, CAPACITY * _ROW.size)

    def write(
        self, cycle: int, q_d: Sequence[float], dq_d: Sequence[float], flags: tuple[int, int, int]
    ) -> None:
        """Note one cycle; flags are robot mode, whether a motion runs, whether it was lost."""
        at = cycle % CAPACITY * _ROW.size
        _ROW.pack_into(self._memory, at, cycle, *q_d, *dq_d, *flags)


class OracleReader:
    """The test's side. Memory stays readable after the robot's process has ended."""

    def __init__(self, process_id: int, file_descriptor: int) -> None:
        """Map the memory of a running robot of the same user."""
        path = f"/proc/{process_id}/fd/{file_descriptor}"
        descriptor = os.open(path, os.O_RDONLY)
        try:
            self._memory = mmap.mmap(descriptor, CAPACITY * _ROW.size, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
        self._rows = np.frombuffer(self._memory, dtype=_DTYPE)
        self._newest = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        del self._rows
        self._memory.close()

    def newest(self) -> int:
        """Return the newest cycle that was noted."""
        newest = self._newest
        while self._rows["cycle"][(newest + 1) % CAPACITY] == newest + 1:
            newest += 1
        self._newest = newest
        return newest

    def rows(self, first: int, last: int) -> NDArray[np.void]:
        """Return a copy of the cycles `first` to `last`, both included.

        Raises:
            ValueError: The robot has already overwritten the first one.
        """
        if last - first >= CAPACITY:
            raise ValueError(f"cycle {first} is overwritten; the last {CAPACITY} are kept")
        return self._rows[np.arange(first, last + 1) % CAPACITY]
