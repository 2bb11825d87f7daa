"""Is there room for recordings, and is the disk fast enough?"""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from data_collection.disk import DiskGuard, free_bytes_of
from mail_bringup.doctor.finding import Finding, failure, ok, warning

_GIB = 1 << 30
# Fifty demonstrations of half a minute with two cameras of 640x480 at 30 Hz.
_ROOMY_BYTES = 20 * _GIB
# Two such cameras as JPEG need 5 MB/s; the system has other things to write [bytes/s].
_MIN_SPEED = 20e6
_SAMPLE_BYTES = 32 << 20
_BLOCK = bytes(1 << 20)
_SAMPLE_LIMIT_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskFacts:
    """Where recordings go.

    Attributes:
        folder: The folder, or the nearest one above it that exists.
        is_writable: This user may write there.
        free_bytes: Free space.
        speed: Of writing [bytes/s]; None if it could not be measured.
    """

    folder: str
    is_writable: bool
    free_bytes: int
    speed: float | None


def gather(folder: Path) -> DiskFacts:
    """Look at a disk, and write to it for a moment what nobody can see afterwards."""
    places = (folder.absolute(), *folder.absolute().parents)
    existing = next(place for place in places if place.is_dir())
    is_writable = os.access(existing, os.W_OK)
    free = free_bytes_of(existing)
    may_write = is_writable and free > 2 * _SAMPLE_BYTES
    return DiskFacts(
        folder=os.fspath(existing),
        is_writable=is_writable,
        free_bytes=free,
        speed=write_speed(existing) if may_write else None,
    )


def write_speed(folder: Path) -> float | None:
    """Return how fast a file without a name is written and synced [bytes/s]; None if refused."""
    written = 0
    start_s = time.perf_counter()
    try:
        # Unbuffered, and gone when it is closed.
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            while written < _SAMPLE_BYTES and time.perf_counter() - start_s < _SAMPLE_LIMIT_S:
                written += file.write(_BLOCK)
                os.fdatasync(file.fileno())
    except OSError:
        return None
    return written / (time.perf_counter() - start_s)


def judge(facts: DiskFacts) -> list[Finding]:
    """Judge room and speed."""
    if not facts.is_writable:
        found = f"{facts.folder} cannot be written"
        wanted = "a folder of yours for recordings"
        return [failure("disk", found, wanted, "give another one: --episodes-dir PATH")]
    findings = [_judge_room(facts)]
    if facts.speed is not None:
        findings.append(_judge_speed(facts.speed))
    return findings


def _judge_room(facts: DiskFacts) -> Finding:
    guard = DiskGuard()
    needed = guard.reserve_bytes + guard.start_margin_bytes
    found = f"{facts.free_bytes / _GIB:.1f} GiB are free in {facts.folder}"
    remedy = "delete or move episodes, or record to another disk: --episodes-dir PATH"
    if facts.free_bytes < needed:
        wanted = f"{needed / _GIB:.0f} GiB: the recorder refuses to start below"
        return failure("disk", found, wanted, remedy, is_waivable=True)
    if facts.free_bytes < _ROOMY_BYTES:
        wanted = f"{_ROOMY_BYTES / _GIB:.0f} GiB for fifty demonstrations"
        return warning("disk", found, wanted, remedy)
    return ok("disk", found)


def _judge_speed(speed: float) -> Finding:
    found = f"{speed / 1e6:.0f} MB/s"
    if speed >= _MIN_SPEED:
        return ok("disk-speed", found)
    wanted = f"{_MIN_SPEED / 1e6:.0f} MB/s, each megabyte synced"
    return warning("disk-speed", found, wanted, "record to a local SSD: --episodes-dir PATH")
