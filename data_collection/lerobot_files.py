"""Writes the files of a LeRobot data set: tables, videos and descriptions."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_collection import lerobot_layout as layout
from data_collection.videos import VideoFormat, join

_MEGABYTE = 1 << 20
_ARROW_TYPES = {"float32": pa.float32(), "int64": pa.int64(), "bool": pa.bool_()}


@dataclass(slots=True)
class FileCounter:
    """Numbers files: a new one begins when the last one is full.

    Attributes:
        limit_bytes: When a file is full.
        number: Of the current file, counted from 0.
        size_bytes: What it holds.
    """

    limit_bytes: int
    number: int = 0
    size_bytes: int = 0

    def add(self, size_bytes: int) -> bool:
        """Make room; True if that takes a new file."""
        is_new = self.size_bytes > 0 and self.size_bytes + size_bytes > self.limit_bytes
        if is_new:
            self.number += 1
            self.size_bytes = 0
        self.size_bytes += size_bytes
        return is_new

    @property
    def place(self) -> dict[str, int]:
        """The file's chunk and its number in there."""
        chunk, file = divmod(self.number, layout.FILES_PER_CHUNK)
        return {"chunk_index": chunk, "file_index": file}


@dataclass(slots=True)
class VideoFiles:
    """Joins the videos of episodes to files of a limited size.

    Attributes:
        root: The data set.
        key: Feature of the camera.
        form: How the videos were encoded.
        limit_bytes: When a file is full.
    """

    root: Path
    key: str
    form: VideoFormat
    limit_bytes: int
    _counter: FileCounter = field(init=False)
    _parts: list[Path] = field(init=False, default_factory=list)
    _frames: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Begin with the first file."""
        self._counter = FileCounter(self.limit_bytes)

    def add(self, part: Path, frames: int) -> dict[str, Any]:
        """Take the video of an episode; return where it will lie, as columns of its row."""
        before = self._counter.place
        if self._counter.add(part.stat().st_size):
            self._write(before)
        start = self._frames
        self._parts.append(part)
        self._frames += frames
        columns = {
            **self._counter.place,
            "from_timestamp": start / self.form.rate_hz,
            "to_timestamp": self._frames / self.form.rate_hz,
        }
        return {f"videos/{self.key}/{name}": value for name, value in columns.items()}

    def finish(self) -> None:
        """Write the last file."""
        self._write(self._counter.place)

    def _write(self, place: dict[str, int]) -> None:
        file = self.root / layout.VIDEO_TEMPLATE.format(video_key=self.key, **place)
        file.parent.mkdir(parents=True, exist_ok=True)
        join(self._parts, file, self.form)
        for part in self._parts:
            part.unlink()
        self._parts, self._frames = [], 0


class DataFiles:
    """Writes the rows of episodes to files of a limited size."""

    def __init__(self, root: Path, features: dict[str, Any], limit_bytes: int) -> None:
        self._root = root
        self._schema = _arrow_schema(features)
        self._counter = FileCounter(limit_bytes)
        self._writer: pq.ParquetWriter | None = None

    def add(self, columns: dict[str, Any]) -> dict[str, Any]:
        """Write the rows of an episode; return where they lie, as columns of its row."""
        arrays = [_arrow_array(columns[field.name], field.type) for field in self._schema]
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        if self._counter.add(table.nbytes):
            self.finish()
        if self._writer is None:
            file = self._root / layout.DATA_TEMPLATE.format(**self._counter.place)
            self._writer = parquet_writer(file, self._schema)
        self._writer.write_table(table)
        return {f"data/{name}": value for name, value in self._counter.place.items()}

    def finish(self) -> None:
        """Complete the current file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def parquet_writer(file: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a new table whose pages carry checksums."""
    file.parent.mkdir(parents=True, exist_ok=True)
    return pq.ParquetWriter(file, schema, compression="snappy", write_page_checksum=True)


def write_tasks(root: Path, tasks: list[str]) -> None:
    """Write the sentences. LeRobot finds them in the index of a pandas table."""
    index = {
        "index_columns": ["__index_level_0__"],
        "column_indexes": [],
        "columns": [
            {
                "name": "task_index",
                "field_name": "task_index",
                "pandas_type": "int64",
                "numpy_type": "int64",
                "metadata": None,
            },
            {
                "name": None,
                "field_name": "__index_level_0__",
                "pandas_type": "unicode",
                "numpy_type": "object",
                "metadata": None,
            },
        ],
        "pandas_version": "2.0.0",
    }
    schema = pa.schema(
        [("task_index", pa.int64()), ("__index_level_0__", pa.string())],
        metadata={"pandas": json.dumps(index)},
    )
    with parquet_writer(root / layout.TASKS_PATH, schema) as writer:
        columns = [pa.array(range(len(tasks)), pa.int64()), pa.array(tasks, pa.string())]
        writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write a description for people and programs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n")


def checksums(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a data set but our own description of it."""
    sums = {}
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        name = file.relative_to(root).as_posix()
        if name != layout.EXPORT_PATH:
            with file.open("rb") as opened:
                sums[name] = hashlib.file_digest(opened, "sha256").hexdigest()
    return sums


def limit_bytes(megabytes: int) -> int:
    """Convert one of LeRobot's size limits."""
    return megabytes * _MEGABYTE


def _arrow_schema(features: dict[str, Any]) -> pa.Schema:
    fields = []
    for name, feature in features.items():
        if feature["dtype"] == "video":
            continue
        value = _ARROW_TYPES[feature["dtype"]]
        size = feature["shape"][0]
        fields.append((name, value if size == 1 else pa.list_(value, size)))
    return pa.schema(fields)


def _arrow_array(values: Any, arrow_type: pa.DataType) -> pa.Array:
    if not pa.types.is_fixed_size_list(arrow_type):
        return pa.array(values, arrow_type)
    flat = pa.array(values.ravel(), arrow_type.value_type, safe=False)
    return pa.FixedSizeListArray.from_arrays(flat, arrow_type.list_size)
