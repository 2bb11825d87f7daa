"""An append-only MCAP file that a kill or a power cut cannot spoil.

Everything that one `commit` writes is one checksummed, uncompressed chunk. Once `commit` has
returned, the operating system has it, so that it outlives this process (`kill -9`); every half
second it is also forced to the disk, so that it outlives the machine. A cut in the middle of a
chunk leaves a tail that `mcap_scan` recognises. While the file is open, it is locked.
"""

import errno
import os
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mcap.writer import CompressionType, Writer

from data_collection.errors import DiskFullError, EpisodeError
from data_collection.locks import hold
from data_collection.mcap_scan import TYPE_HASH_KEY
from data_collection.messages import MessageSchema

SYNC_PERIOD_S = 0.5
# Chunks end where `commit` says so; this only has to be larger than any commit.
_CHUNK_LIMIT_BYTES = 1 << 30


class _DirectFile:
    """A file without a buffer of its own: a failed write leaves nothing behind to write later."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        # The log is locked before it has its name: a repair must not take it for a dead one.
        nameless = path.with_name(f"{path.name}.tmp")
        self.descriptor = os.open(nameless, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        hold(self.descriptor)
        nameless.rename(path)
        self._position = 0

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            written = os.write(self.descriptor, view)
            view = view[written:]
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """Do nothing: nothing is held back."""


class McapLog:
    """Appends CDR messages to a new MCAP file.

    Args:
        path: The file; it must not exist yet.
        metadata: Named dictionaries that are stored in front of all messages.
        steady_s: A clock that never jumps [s].
    """

    def __init__(
        self,
        path: Path,
        metadata: dict[str, dict[str, str]] | None = None,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._steady_s = steady_s
        self._synced_at_s = steady_s()
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        self._is_broken = False
        self.counts: Counter[str] = Counter()
        try:
            self._file = _DirectFile(path)
        except OSError as error:
            raise self._explain(error) from error
        self._writer = Writer(
            self._file,  # type: ignore[arg-type]
            chunk_size=_CHUNK_LIMIT_BYTES,
            compression=CompressionType.NONE,
            enable_data_crcs=True,
        )
        try:
            self._begin(metadata or {})
        except EpisodeError:
            self.close()
            raise

    @property
    def size_bytes(self) -> int:
        """How much has been written."""
        return self._file.tell()

    def add(self, topic: str, schema: MessageSchema, cdr: bytes, log_time_ns: int) -> None:
        """Put a message into the chunk that the next `commit` writes."""
        channel = self._channels.get(topic) or self._register(topic, schema)
        self._writer.add_message(
            channel, log_time_ns, cdr, publish_time=log_time_ns, sequence=self.counts[topic]
        )
        self.counts[topic] += 1

    def commit(self) -> None:
        """Hand everything added to the operating system, and from time to time to the disk."""
        self._guarded(self._writer.flush)
        now_s = self._steady_s()
        if now_s - self._synced_at_s >= SYNC_PERIOD_S:
            self._guarded(lambda: os.fsync(self._file.descriptor))
            self._synced_at_s = now_s

    def finish(self) -> None:
        """Write the index. The file stays open, and locked, until it is closed."""
        self._guarded(self._writer.finish)
        self._guarded(lambda: os.fsync(self._file.descriptor))

    def close(self) -> None:
        """Close the file. Without `finish` it looks as after a kill."""
        os.close(self._file.descriptor)

    def _begin(self, metadata: dict[str, dict[str, str]]) -> None:
        self._guarded(lambda: self._writer.start(profile="ros2", library="mail data_collection"))
        for name, values in metadata.items():
            self._guarded(partial(self._writer.add_metadata, name, values))

    def _register(self, topic: str, schema: MessageSchema) -> int:
        if schema.type_name not in self._schemas:
            self._schemas[schema.type_name] = self._writer.register_schema(
                schema.type_name, "ros2msg", schema.text.encode()
            )
        self._channels[topic] = self._writer.register_channel(
            topic,
            "cdr",
            self._schemas[schema.type_name],
            {"offered_qos_profiles": "", TYPE_HASH_KEY: schema.type_hash},
        )
        return self._channels[topic]

    def _guarded(self, write: Callable[[], None]) -> None:
        """Run something that writes; after a failure the file is not touched again."""
        if self._is_broken:
            raise EpisodeError(f"{self._path} is closed after a failed write")
        try:
            write()
        except OSError as error:
            self._is_broken = True
            raise self._explain(error) from error

    def _explain(self, error: OSError) -> EpisodeError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return DiskFullError(f"no space left for {self._path}: {error}; free some space")
        return EpisodeError(f"cannot write {self._path}: {error}")
