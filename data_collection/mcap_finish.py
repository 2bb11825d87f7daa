"""Completes an MCAP file in place: cuts off what is not verified and appends the index.

Nothing of the verified part is copied or touched, so a long recording is mended in the time that
it takes to read it. Killed in the middle of this, the file is merely cut off once more.
"""

import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import ChunkIndex, DataEnd, Footer, Statistics, SummaryOffset

from data_collection.errors import EpisodeError

MAGIC = b"\x89MCAP0\r\n"


@dataclass(slots=True)
class LogIndex:
    """What a scan has verified, as far as an index needs it.

    Attributes:
        schemas: Whole schema records, by id.
        channels: Whole channel records, by id.
        chunks: One entry per chunk.
        counts: Messages by channel id.
        metadata: How many metadata records there are.
        end: Where the verified part ends [bytes].
        crc: Checksum of the verified part.
    """

    schemas: dict[int, bytes] = field(default_factory=dict)
    channels: dict[int, bytes] = field(default_factory=dict)
    chunks: list[ChunkIndex] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    metadata: int = 0
    end: int = 0
    crc: int = 0


def complete_in_place(path: Path, index: LogIndex) -> None:
    """Make a file complete that ends, or shall end, after its verified part.

    Raises:
        EpisodeError: The file cannot be written.
    """
    try:
        with path.open("r+b") as file:
            file.truncate(index.end)
            file.seek(index.end)
            file.write(_ending(index))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise EpisodeError(f"cannot complete {path}: {error}") from error


def _ending(index: LogIndex) -> bytes:
    """Return everything that follows the data: its end mark, the index, the footer."""
    builder = RecordBuilder()
    DataEnd(index.crc).write(builder)
    data_end = _taken(builder)
    summary_start = index.end + len(data_end)
    groups = {
        Opcode.SCHEMA: b"".join(index.schemas.values()),
        Opcode.CHANNEL: b"".join(index.channels.values()),
        Opcode.STATISTICS: _statistics(index),
        Opcode.CHUNK_INDEX: _chunk_indexes(index),
    }
    summary = b"".join(groups.values())
    position = summary_start
    for opcode, group in groups.items():
        if group:
            SummaryOffset(opcode, position, len(group)).write(builder)
        position += len(group)
    summary += _taken(builder)
    Footer(summary_start, position, 0).write(builder)
    # The checksum covers the footer up to the checksum itself, its last four bytes.
    covered = summary + _taken(builder)[:-4]
    return data_end + covered + zlib.crc32(covered).to_bytes(4, "little") + MAGIC


def _taken(builder: RecordBuilder) -> bytes:
    """Return what has been built and start afresh."""
    return bytes(builder.end())  # type: ignore[no-untyped-call]


def _chunk_indexes(index: LogIndex) -> bytes:
    builder = RecordBuilder()
    for chunk in index.chunks:
        chunk.write(builder)
    return _taken(builder)


def _statistics(index: LogIndex) -> bytes:
    builder = RecordBuilder()
    Statistics(
        attachment_count=0,
        channel_count=len(index.channels),
        channel_message_counts=index.counts,
        chunk_count=len(index.chunks),
        message_count=sum(index.counts.values()),
        message_start_time=min((chunk.message_start_time for chunk in index.chunks), default=0),
        message_end_time=max((chunk.message_end_time for chunk in index.chunks), default=0),
        metadata_count=index.metadata,
        schema_count=len(index.schemas),
    ).write(builder)
    return _taken(builder)
