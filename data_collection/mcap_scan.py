"""Reads an MCAP file from the front, verifying everything, up to the first damage.

The index at the end of the file is not used, so a file whose end is missing reads equally well.
Layout of the records: https://mcap.dev/spec
"""

import dataclasses
import mmap
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcap.records import ChunkIndex

from data_collection.errors import EpisodeError
from data_collection.mcap_finish import MAGIC, LogIndex
from data_collection.messages import MessageSchema

# rosbag2 keeps the hash of a type in the metadata of the channel.
TYPE_HASH_KEY = "topic_type_hash"
_FOOTER_SIZE = 9 + 20
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _MESSAGE_INDEX = 3, 4, 5, 6, 7
_METADATA, _DATA_END = 12, 15


class McapDamage(EpisodeError):  # noqa: N818 - it is what the file has, not what we did
    """The file is damaged or ends too early; everything before `offset` is verified.

    Attributes:
        offset: Where the verified part ends [bytes].
        is_cut: True if the file simply ends there, as after a kill or a power cut.
    """

    def __init__(self, path: Path, offset: int, reason: str, *, is_cut: bool) -> None:
        super().__init__(
            f"{path}: {reason} at byte {offset}; `mailctl episodes repair {path.parent}` keeps "
            "everything before"
        )
        self.offset = offset
        self.is_cut = is_cut


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message as it lies in the file.

    Attributes:
        topic: Absolute name.
        schema: Its type.
        log_time_ns: When it was recorded [ns].
        cdr: Its bytes.
    """

    topic: str
    schema: MessageSchema
    log_time_ns: int
    cdr: bytes


@dataclass(frozen=True, slots=True)
class RawMetadata:
    """A named dictionary as it lies in the file."""

    name: str
    values: dict[str, str]


def scan(path: Path, index: LogIndex | None = None) -> Iterator[RawMessage | RawMetadata]:
    """Yield what a file holds, in the order of writing.

    Args:
        path: The file.
        index: Is filled with what has been verified, to complete the file with.

    Raises:
        McapDamage: After the last verified message, unless the file is complete.
        EpisodeError: The file cannot be opened.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield from _Scanner(path, data, index or LogIndex()).contents()
    except OSError as error:
        raise EpisodeError(f"cannot read {path}: {error}") from error
    except ValueError as error:
        if isinstance(error, EpisodeError):
            raise
        # An empty file cannot be mapped.
        raise McapDamage(path, 0, "the file is empty", is_cut=True) from error


class _Scanner:
    """Walks over the records of a mapped file."""

    def __init__(self, path: Path, data: mmap.mmap, index: LogIndex) -> None:
        self._path = path
        self._data = data
        self._index = index
        self._schemas: dict[int, MessageSchema] = {}
        self._channels: dict[int, tuple[str, MessageSchema]] = {}

    def contents(self) -> Iterator[RawMessage | RawMetadata]:
        if self._data[:8] != MAGIC:
            raise self._damage(0, "this is not an MCAP file", is_cut=len(self._data) < 8)
        index = self._index
        index.end, index.crc = 8, zlib.crc32(MAGIC)
        while True:
            position = index.end
            opcode, body, end = self._record_at(position)
            try:
                if opcode == _CHUNK:
                    messages = self._messages_of_chunk(body)
                    self._note_chunk(body, position, end)
                    yield from messages
                elif opcode == _MESSAGE_INDEX:
                    self._note_message_index(body, position, end)
                elif opcode == _METADATA:
                    index.metadata += 1
                    yield _metadata(body)
                elif opcode == _DATA_END:
                    self._check_end(body, position, end)
                    return
            except (struct.error, KeyError, UnicodeDecodeError, _BadChunk) as error:
                raise self._damage(position, f"unreadable record ({error})") from error
            index.crc = zlib.crc32(self._data[position:end], index.crc)
            index.end = end

    def _record_at(self, position: int) -> tuple[int, bytes, int]:
        """Return opcode, content and end of a record."""
        if position + 9 > len(self._data):
            raise self._damage(position, "the recording was cut off", is_cut=True)
        opcode, length = struct.unpack_from("<BQ", self._data, position)
        end = position + 9 + length
        if end > len(self._data):
            raise self._damage(position, "the recording was cut off", is_cut=True)
        return opcode, self._data[position + 9 : end], end

    def _messages_of_chunk(self, body: bytes) -> list[RawMessage]:
        """Verify a chunk as a whole, then return its messages."""
        _, _, size, crc = struct.unpack_from("<QQQI", body)
        compression, position = _string(body, 28)
        records = body[position + 8 :]
        if compression:
            raise _BadChunk(f"compression {compression!r} is not used by this software")
        if len(records) != size or (crc and zlib.crc32(records) != crc):
            raise _BadChunk("checksum differs")
        return list(self._records_of_chunk(records))

    def _note_chunk(self, body: bytes, position: int, end: int) -> None:
        first_ns, last_ns, size, _ = struct.unpack_from("<QQQI", body)
        chunk = ChunkIndex(
            chunk_length=end - position,
            chunk_start_offset=position,
            compression="",
            compressed_size=size,
            message_end_time=last_ns,
            message_index_length=0,
            message_index_offsets={},
            message_start_time=first_ns,
            uncompressed_size=size,
        )
        self._index.chunks.append(chunk)

    def _note_message_index(self, body: bytes, position: int, end: int) -> None:
        (channel,) = struct.unpack_from("<H", body)
        if not self._index.chunks:
            raise _BadChunk("an index of messages without messages")
        chunk = self._index.chunks[-1]
        chunk.message_index_offsets[channel] = position
        chunk.message_index_length += end - position

    def _records_of_chunk(self, records: bytes) -> Iterator[RawMessage]:
        position = 0
        while position < len(records):
            opcode, length = struct.unpack_from("<BQ", records, position)
            start, position = position + 9, position + 9 + length
            if opcode == _MESSAGE:
                channel, _, log_time_ns, _ = struct.unpack_from("<HIQQ", records, start)
                topic, schema = self._channels[channel]
                self._index.counts[channel] = self._index.counts.get(channel, 0) + 1
                yield RawMessage(topic, schema, log_time_ns, records[start + 22 : position])
            elif opcode == _SCHEMA:
                (number,) = struct.unpack_from("<H", records, start)
                name, after = _string(records, start + 2)
                _, after = _string(records, after)
                text, _ = _string(records, after)
                self._schemas[number] = MessageSchema(name, text)
                self._index.schemas[number] = records[start - 9 : position]
            elif opcode == _CHANNEL:
                number, schema_number = struct.unpack_from("<HH", records, start)
                topic, after = _string(records, start + 4)
                _, after = _string(records, after)
                type_hash = _mapping(records, after).get(TYPE_HASH_KEY, "")
                schema = dataclasses.replace(self._schemas[schema_number], type_hash=type_hash)
                self._channels[number] = (topic, schema)
                self._index.channels[number] = records[start - 9 : position]

    def _check_end(self, body: bytes, position: int, summary_start: int) -> None:
        """Verify the data as a whole, and that the index behind it is complete."""
        (crc,) = struct.unpack("<I", body)
        if crc and crc != self._index.crc:
            raise self._damage(position, "checksum of the whole recording differs")
        footer = len(self._data) - len(MAGIC) - _FOOTER_SIZE
        if footer < summary_start or self._data[-8:] != MAGIC:
            raise self._damage(position, "the index was cut off", is_cut=True)
        (crc,) = struct.unpack_from("<I", self._data, footer + _FOOTER_SIZE - 4)
        if crc != zlib.crc32(self._data[summary_start : footer + _FOOTER_SIZE - 4]):
            raise self._damage(position, "checksum of the index differs")

    def _damage(self, offset: int, reason: str, *, is_cut: bool = False) -> McapDamage:
        return McapDamage(self._path, offset, reason, is_cut=is_cut)


class _BadChunk(ValueError):  # noqa: N818 - never leaves this file
    """A chunk does not hold what it says."""


def _string(data: bytes, position: int) -> tuple[str, int]:
    """Return a string with a length in front, and where it ends."""
    (length,) = struct.unpack_from("<I", data, position)
    end = position + 4 + length
    return data[position + 4 : end].decode(), end


def _mapping(data: bytes, position: int) -> dict[str, str]:
    """Return a dictionary of strings with its size in front."""
    (size,) = struct.unpack_from("<I", data, position)
    position += 4
    end = position + size
    values = {}
    while position < end:
        key, position = _string(data, position)
        values[key], position = _string(data, position)
    return values


def _metadata(body: bytes) -> RawMetadata:
    name, position = _string(body, 0)
    return RawMetadata(name, _mapping(body, position))
