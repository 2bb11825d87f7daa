"""Exports episodes as a LeRobot data set, version 3.0."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data_collection import lerobot_layout as layout
from data_collection.demonstration import Demonstration, read_demonstration, thinned
from data_collection.errors import EpisodeError
from data_collection.exchange import ExchangeReport, OnProgress, new_folder
from data_collection.lerobot_files import (
    DataFiles,
    VideoFiles,
    checksums,
    limit_bytes,
    parquet_writer,
    write_json,
    write_tasks,
)
from data_collection.lerobot_layout import DatasetShape
from data_collection.lerobot_rows import RowPlace, episode_row, step_columns
from data_collection.lerobot_stats import PictureStats, number_stats
from data_collection.provenance import software_versions
from data_collection.step_index import pictures
from data_collection.videos import VideoCodec, VideoFormat, encode

_PARTS = "parts"
_CARD = """---
tags: [LeRobot]
---
{episodes} episodes of MaIL on Franka Panda, {seconds:.0f} s at {rate} Hz.

    LeRobotDataset("{repo_id}", root="path/to/this/folder")

`capture_stamp_ns` says when the first camera took a picture; `timestamp` is its ideal time.
Pictures are upright, RGB, and lost a little in {codec} (crf {crf}).
"""


@dataclass(frozen=True, slots=True)
class LeRobotOptions:
    """How to export.

    Attributes:
        rate_hz: Steps per second, None for as many as were recorded.
        codec: Of the videos.
        crf: Of the videos.
        repo_id: Name of the data set for its card.
        video_file_mb: When a video file is full.
    """

    rate_hz: int | None = None
    codec: VideoCodec = VideoCodec.H264
    crf: int = 18
    repo_id: str = ""
    video_file_mb: int = layout.VIDEO_FILE_MB

    def __post_init__(self) -> None:
        """Refuse what no data set can have, before the first episode is read."""
        if self.rate_hz is not None and self.rate_hz < 1:
            raise EpisodeError(f"fps must be at least 1, got {self.rate_hz}")
        VideoFormat(self.rate_hz or 1, self.codec, self.crf)


def export_lerobot(
    folders: Sequence[Path],
    out: Path,
    options: LeRobotOptions,
    on_progress: OnProgress = lambda done, total: None,
) -> ExchangeReport:
    """Write a data set. An episode that cannot be a part of it is left out, with the reason.

    Raises:
        EpisodeError: The folder exists already, or no episode can be exported.
    """
    report = ExchangeReport()
    with new_folder(out) as root:
        dataset: _Dataset | None = None
        for done, folder in enumerate(folders):
            try:
                demonstration = _read(folder, options)
                shape = _shape_of(demonstration)
                dataset = dataset or _Dataset(root, shape, options)
                dataset.add(demonstration, shape)
                report.done.append(demonstration.index.manifest.id)
            except EpisodeError as error:
                report.skipped[str(folder)] = str(error)
            on_progress(done + 1, len(folders))
        if dataset is None or not report.done:
            reasons = "\n".join(report.skipped.values())
            raise EpisodeError(f"no episode could be exported\n{reasons}")
        dataset.finish(options.repo_id or f"local/{out.name}")
    return report


def _read(folder: Path, options: LeRobotOptions) -> Demonstration:
    demonstration = read_demonstration(folder)
    if options.rate_hz not in (None, demonstration.rate_hz):
        demonstration = thinned(demonstration, options.rate_hz)
    if demonstration.rate_hz != round(demonstration.rate_hz):
        raise EpisodeError(
            f"{folder} has {demonstration.rate_hz:g} steps per second; LeRobot needs a whole "
            "number, choose one with --fps"
        )
    return demonstration


def _shape_of(demonstration: Demonstration) -> DatasetShape:
    index = demonstration.index
    firsts = {camera: next(pictures(index, camera)) for camera in index.pictures}
    return DatasetShape(
        robot_type=index.manifest.robot_type,
        rate_hz=round(demonstration.rate_hz),
        schema=demonstration.schema,
        sizes=tuple((camera, *image.shape[:2]) for camera, image in firsts.items()),
    )


@dataclass(slots=True)
class _Totals:
    """What has been written so far."""

    frames: int = 0
    tasks: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    columns: list[dict[str, Any]] = field(default_factory=list)
    pictures: dict[str, PictureStats] = field(default_factory=dict)


class _Dataset:
    """A data set that is being written."""

    def __init__(self, root: Path, shape: DatasetShape, options: LeRobotOptions) -> None:
        self._root = root
        self._shape = shape
        self._options = options
        self._form = VideoFormat(shape.rate_hz, options.codec, options.crf)
        self._features = layout.features_of(shape, _video_info(self._form))
        self._data = DataFiles(root, self._features, limit_bytes(layout.DATA_FILE_MB))
        self._videos = {
            camera: VideoFiles(
                root, layout.image_key(camera), self._form, limit_bytes(options.video_file_mb)
            )
            for camera, _, _ in shape.sizes
        }
        self._totals = _Totals(pictures={camera: PictureStats() for camera in self._videos})
        for camera in self._videos:
            (root / _PARTS / camera).mkdir(parents=True)

    def add(self, demonstration: Demonstration, shape: DatasetShape) -> None:
        """Write an episode, or nothing of it if it does not fit."""
        folder = demonstration.index.folder
        if difference := self._shape.difference(shape):
            raise EpisodeError(f"{folder} does not fit into this data set: {difference}")
        counted = {camera: PictureStats() for camera in self._videos}
        parts = {camera: self._part(camera) for camera in self._videos}
        # First all that can fail: a row in a table cannot be taken back.
        for camera, part in parts.items():
            images = pictures(demonstration.index, camera)
            encode(counted[camera].watching(images, len(demonstration)), part, self._form)
        place = self._next_place(demonstration.index.manifest.task)
        columns = step_columns(demonstration, place)
        files = self._data.add(columns)
        for camera, part in parts.items():
            files |= self._videos[camera].add(part, len(demonstration))
            self._totals.pictures[camera].merge(counted[camera])
        stats = {name: number_stats(values) for name, values in columns.items()}
        stats |= {layout.image_key(camera): seen.stats() for camera, seen in counted.items()}
        self._totals.rows.append(episode_row(demonstration, place, files, stats))
        self._totals.columns.append(columns)
        self._totals.frames += len(demonstration)

    def finish(self, repo_id: str) -> None:
        """Complete all files and describe them."""
        self._data.finish()
        for video in self._videos.values():
            video.finish()
        shutil.rmtree(self._root / _PARTS)
        write_tasks(self._root, self._totals.tasks)
        self._write_episodes()
        write_json(self._root / layout.INFO_PATH, self._info())
        write_json(self._root / layout.STATS_PATH, self._stats())
        card = _CARD.format(
            episodes=len(self._totals.rows),
            seconds=self._totals.frames / self._shape.rate_hz,
            rate=self._shape.rate_hz,
            repo_id=repo_id,
            codec=self._form.codec,
            crf=self._form.crf,
        )
        (self._root / "README.md").write_text(card)
        write_json(self._root / layout.EXPORT_PATH, self._meaning())

    def _part(self, camera: str) -> Path:
        return self._root / _PARTS / camera / f"{len(self._totals.rows):06d}.mp4"

    def _next_place(self, task: str) -> RowPlace:
        tasks = self._totals.tasks
        if task not in tasks:
            tasks.append(task)
        return RowPlace(len(self._totals.rows), self._totals.frames, tasks.index(task))

    def _write_episodes(self) -> None:
        rows = self._totals.rows
        # A column in which everything is unknown has no type of its own.
        types = {f"{layout.OUR_PREFIX}success": pa.bool_(), f"{layout.OUR_PREFIX}seed": pa.int64()}
        columns = {name: pa.array([row[name] for row in rows], types.get(name)) for name in rows[0]}
        table = pa.table(columns)
        file = self._root / layout.EPISODES_TEMPLATE.format(chunk_index=0, file_index=0)
        with parquet_writer(file, table.schema) as writer:
            writer.write_table(table)

    def _stats(self) -> dict[str, Any]:
        columns = self._totals.columns
        stats = {
            name: number_stats(np.concatenate([values[name] for values in columns]))
            for name in columns[0]
        }
        for camera, seen in self._totals.pictures.items():
            stats[layout.image_key(camera)] = seen.stats()
        return {
            feature: {name: value.tolist() for name, value in values.items()}
            for feature, values in stats.items()
        }

    def _info(self) -> dict[str, Any]:
        episodes = len(self._totals.rows)
        return {
            "codebase_version": layout.CODEBASE_VERSION,
            "robot_type": self._shape.robot_type,
            "total_episodes": episodes,
            "total_frames": self._totals.frames,
            "total_tasks": len(self._totals.tasks),
            "chunks_size": layout.FILES_PER_CHUNK,
            "data_files_size_in_mb": layout.DATA_FILE_MB,
            "video_files_size_in_mb": self._options.video_file_mb,
            "fps": self._shape.rate_hz,
            "splits": {"train": f"0:{episodes}"},
            "data_path": layout.DATA_TEMPLATE,
            "video_path": layout.VIDEO_TEMPLATE,
            "features": self._features,
        }

    def _meaning(self) -> dict[str, Any]:
        schema = self._shape.schema
        return {
            "action_schema": schema.id_at(self._shape.rate_hz),
            "action_units": list(schema.units),
            "action_frame": schema.frame,
            "action_counted_from": str(schema.counted_from),
            "image_convention": "upright",
            "crf": self._form.crf,
            "software": software_versions(),
            "sha256": checksums(self._root),
        }


def _video_info(form: VideoFormat) -> dict[str, Any]:
    return {
        "video.codec": str(form.codec),
        "video.pix_fmt": "yuv420p",
        "video.is_depth_map": False,
        "video.fps": form.rate_hz,
        "video.channels": 3,
        "has_audio": False,
    }
