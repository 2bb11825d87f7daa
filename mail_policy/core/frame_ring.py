"""A ring of pictures in shared memory: one writer, any number of readers, no copies through pipes.

The memory is anonymous (memfd): it lives as long as a process holds it, so that not even
`kill -9` of everything leaves a file behind. `mail_policy.core.frame_share` hands it to other
processes by name.

Each slot carries the number of the frame that it holds. The writer takes the number away before
it touches the pixels and puts it back afterwards; a reader that sees the same number before and
after its copy has a whole picture. This relies on stores becoming visible in program order,
which x86-64 guarantees.
"""

import mmap
import os
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

_NO_FRAME = 0
_HEADER_BYTES = 64
_SLOT_HEADER_BYTES = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameRingLayout:
    """How the pictures of one camera lie in memory.

    Attributes:
        image_height: Rows of a picture.
        image_width: Columns of a picture.
        slots: Pictures kept; a reader has this many frame periods minus one for its copy.
    """

    image_height: int
    image_width: int
    slots: int = 8

    def __post_init__(self) -> None:
        """Refuse layouts without room for a picture that is read while the next is written."""
        for name, least in (("image_height", 1), ("image_width", 1), ("slots", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")

    @property
    def total_bytes(self) -> int:
        """Size of the memory."""
        return _HEADER_BYTES + self.slots * self.slot_bytes

    @property
    def slot_bytes(self) -> int:
        """Size of one slot, a multiple of 64 so that slots share no cache line."""
        pixels = self.image_height * self.image_width * 3
        return _SLOT_HEADER_BYTES + -(-pixels // 64) * 64


# eq=False: comparing two arrays yields an array, so a generated == would raise.
@dataclass(frozen=True, slots=True, eq=False)
class RingFrame:
    """One picture out of the ring.

    Attributes:
        image: RGB uint8, shape (height, width, 3), the reader's own copy.
        captured_at_s: When the light was collected [s].
        sequence: Number of the frame, from 1.
    """

    image: NDArray[np.uint8]
    captured_at_s: float
    sequence: int


class _MappedRing:
    """Views on the memory of a ring: the newest number, and per slot number, stamp, pixels."""

    def __init__(self, layout: FrameRingLayout, file_descriptor: int, writable: bool) -> None:
        size = os.fstat(file_descriptor).st_size
        if size != layout.total_bytes:
            raise ValueError(
                f"shared memory of {layout.slots} pictures of {layout.image_width}x"
                f"{layout.image_height} must have {layout.total_bytes} bytes, got {size}; "
                f"writer and reader come from different versions"
            )
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self.layout = layout
        self._memory = mmap.mmap(file_descriptor, layout.total_bytes, access=access)
        self.newest = np.frombuffer(self._memory, np.int64, 1)
        self.numbers: list[NDArray[np.int64]] = []
        self.stamps: list[NDArray[np.float64]] = []
        self.pixels: list[NDArray[np.uint8]] = []
        for slot in range(layout.slots):
            self._map_slot(_HEADER_BYTES + slot * layout.slot_bytes)

    def _map_slot(self, start: int) -> None:
        shape = (self.layout.image_height, self.layout.image_width, 3)
        pixels = np.frombuffer(
            self._memory, np.uint8, int(np.prod(shape)), start + _SLOT_HEADER_BYTES
        )
        self.numbers.append(np.frombuffer(self._memory, np.int64, 1, start))
        self.stamps.append(np.frombuffer(self._memory, np.float64, 1, start + 8))
        self.pixels.append(pixels.reshape(shape))


class FrameRingWriter:
    """The camera's side of a ring. Use it from one thread."""

    def __init__(self, layout: FrameRingLayout) -> None:
        self.layout = layout
        self._descriptor = os.memfd_create("mail_frames", os.MFD_CLOEXEC)
        os.ftruncate(self._descriptor, layout.total_bytes)
        self._ring = _MappedRing(layout, self._descriptor, writable=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)

    def open_for_reading(self) -> int:
        """Return a new read-only file descriptor of the memory; the caller closes it."""
        return os.open(f"/proc/self/fd/{self._descriptor}", os.O_RDONLY | os.O_CLOEXEC)

    def write(self, image: NDArray[np.uint8], captured_at_s: float, sequence: int) -> None:
        """Publish a picture.

        Args:
            image: RGB uint8, shape (height, width, 3) of the layout.
            captured_at_s: When the light was collected [s].
            sequence: Number of the frame, larger than the one before; a gap is a lost frame.
        """
        slot = sequence % self.layout.slots
        self._ring.numbers[slot][0] = _NO_FRAME
        self._ring.pixels[slot][:] = image
        self._ring.stamps[slot][0] = captured_at_s
        self._ring.numbers[slot][0] = sequence
        self._ring.newest[0] = sequence


class FrameRingReader:
    """A reader's side of a ring; never blocks the writer."""

    def __init__(self, layout: FrameRingLayout, file_descriptor: int) -> None:
        """Map the memory. The file descriptor may be closed afterwards."""
        self.layout = layout
        self._ring = _MappedRing(layout, file_descriptor, writable=False)

    @property
    def newest_sequence(self) -> int:
        """Number of the newest frame, 0 before the first."""
        return int(self._ring.newest[0])

    def read_newest(self) -> RingFrame | None:
        """Copy the newest picture out; None before the first one or while it is overwritten."""
        sequence = self.newest_sequence
        if sequence == _NO_FRAME:
            return None
        slot = sequence % self.layout.slots
        if self._ring.numbers[slot][0] != sequence:
            return None
        image = self._ring.pixels[slot].copy()
        captured_at_s = float(self._ring.stamps[slot][0])
        if self._ring.numbers[slot][0] != sequence:
            return None
        return RingFrame(image, captured_at_s, sequence)
