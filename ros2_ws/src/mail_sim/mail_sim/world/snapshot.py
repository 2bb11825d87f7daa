"""The visible state of the twin in shared memory: written by the physics, read by the renderer.

Snapshots lie on the policy's time grid and are numbered. A short ring keeps the last ones, so
that a renderer that is late still finds the exact instants that it owes. Two more numbers travel
with them: the simulated time of every control step, and the last snapshot that the renderer has
finished, by which the physics knows whether to wait.

The memory is anonymous and is inherited by the two processes. The same rules of ordering apply
as in `mail_policy.core.frame_ring`.
"""

import mmap
import os
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SLOTS = 8
_HEADER_FLOATS = 8
_TIME, _NEWEST, _RENDERED, _STATE_SIZE = range(4)
_NO_SNAPSHOT = 0.0


# eq=False: comparing two arrays yields an array, so a generated == would raise.
@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Everything that a picture depends on, at one instant.

    Attributes:
        number: Counts up from 1 on the grid.
        time_s: Simulated time [s].
        state: Generalised positions, then the poses of bodies placed by hand (mocap).
    """

    number: int
    time_s: float
    state: Array


class SnapshotRing:
    """Views on the shared state. One process writes snapshots, one reports what it rendered.

    All entries are float64: frame numbers stay exact far beyond any run (2^53).
    """

    def __init__(self, file_descriptor: int) -> None:
        """Map memory that `create` has prepared. The descriptor stays the caller's."""
        size = os.fstat(file_descriptor).st_size
        self._memory = mmap.mmap(file_descriptor, size)
        self._header = np.frombuffer(self._memory, np.float64, _HEADER_FLOATS)
        self.state_size = int(self._header[_STATE_SIZE])
        slot_floats = 2 + self.state_size
        expected = 8 * (_HEADER_FLOATS + SLOTS * slot_floats)
        if size != expected:
            raise ValueError(
                f"shared state of {self.state_size} numbers must have {expected} bytes, got {size}"
            )
        slots = np.frombuffer(self._memory, np.float64, offset=8 * _HEADER_FLOATS)
        self._slots = slots.reshape(SLOTS, slot_floats)

    @classmethod
    def create(cls, file_descriptor: int, state_size: int) -> Self:
        """Size the memory for a state of so many numbers and map it."""
        os.ftruncate(file_descriptor, 8 * (_HEADER_FLOATS + SLOTS * (2 + state_size)))
        header = np.zeros(_HEADER_FLOATS)
        header[_STATE_SIZE] = state_size
        os.pwrite(file_descriptor, header.tobytes(), 0)
        return cls(file_descriptor)

    @property
    def time_s(self) -> float:
        """Simulated time of the last control step [s]."""
        return float(self._header[_TIME])

    @time_s.setter
    def time_s(self, time_s: float) -> None:
        self._header[_TIME] = time_s

    @property
    def newest_number(self) -> int:
        """Number of the newest snapshot, 0 before the first."""
        return int(self._header[_NEWEST])

    @property
    def rendered_number(self) -> int:
        """Number of the last snapshot whose pictures are published."""
        return int(self._header[_RENDERED])

    @rendered_number.setter
    def rendered_number(self, number: int) -> None:
        self._header[_RENDERED] = number

    def write(self, snapshot: Snapshot) -> None:
        """Publish a snapshot under a number one larger than the last."""
        slot = self._slots[snapshot.number % SLOTS]
        slot[0] = _NO_SNAPSHOT
        slot[1] = snapshot.time_s
        slot[2:] = snapshot.state
        slot[0] = snapshot.number
        self._header[_NEWEST] = snapshot.number

    def read(self, number: int) -> Snapshot | None:
        """Copy a snapshot out; None if the ring does not hold it, or no longer."""
        slot = self._slots[number % SLOTS]
        if slot[0] != number:
            return None
        snapshot = Snapshot(number, float(slot[1]), slot[2:].copy())
        return snapshot if slot[0] == number else None
