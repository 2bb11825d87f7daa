"""Imports LeRobot data sets, version 3.0. The data set need not be trusted."""

from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_collection import lerobot_layout as layout
from data_collection.disk import DiskGuard
from data_collection.episode_import import (
    ForeignEpisode,
    ImportOptions,
    OpenedEpisode,
    Steps,
    checked_manifest,
    import_episodes,
    lost_interventions,
)
from data_collection.errors import EpisodeError
from data_collection.exchange import ExchangeReport, OnProgress, inside, seconds_of
from data_collection.foreign_names import joint_columns
from data_collection.lerobot_reading import (
    DatasetInfo,
    ForeignCamera,
    matrix,
    read_info,
    read_table,
    whole,
)
from data_collection.manifest import EpisodeManifest, EpisodeSource
from data_collection.untrusted_pictures import decode_promised
from data_collection.videos import Pictures, decode
from mail_policy.core.types import Observation

_NEEDED_COLUMNS = {"episode_index", "tasks", "length", "data/chunk_index", "data/file_index"}


def import_lerobot(
    root: Path,
    out: Path,
    options: ImportOptions,
    on_progress: OnProgress = lambda done, total: None,
    disk_guard: DiskGuard | None = None,
) -> ExchangeReport:
    """Write the episodes of a data set as ours.

    Raises:
        EpisodeError: The data set as a whole cannot be understood.
    """
    info = read_info(root, options)
    # What cannot be mapped is the same in every episode: say it once.
    joint_columns(info.state_names, layout.STATE, options.gripper_open_m)
    if not info.schema.is_cartesian:
        joint_columns(info.action_names, layout.ACTION, options.gripper_open_m)
    episodes = [
        ForeignEpisode(f"episode {row['episode_index']}", partial(_open, info, row, options))
        for row in _episode_rows(info)
    ]
    return import_episodes(episodes, len(episodes), out, on_progress, disk_guard)


def _episode_rows(info: DatasetInfo) -> list[dict[str, Any]]:
    folder = info.root / "meta" / "episodes"
    files = sorted(folder.glob("chunk-*/file-*.parquet"))
    if not files:
        raise EpisodeError(f"{folder} holds no table of episodes; the data set is not complete")
    rows: list[dict[str, Any]] = []
    for file in files:
        table = read_table(info.root, file.relative_to(info.root).as_posix())
        if missing := _NEEDED_COLUMNS - set(table.column_names):
            raise EpisodeError(f"{file} lacks the column {', '.join(sorted(missing))}")
        kept = [name for name in table.column_names if not name.startswith("stats/")]
        rows += table.select(kept).to_pylist()
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The steps of an episode without its pictures; L is their number.

    Attributes:
        table: As stored.
        times_s: Capture stamps [s], shape (L,).
        joint_positions: [rad], shape (L, 7).
        widths_m: Distance between the fingers [m], shape (L,).
        actions: Rows of the action schema, shape (L, size).
    """

    table: pa.Table
    times_s: NDArray[np.float64]
    joint_positions: NDArray[np.float64]
    widths_m: NDArray[np.float64]
    actions: NDArray[np.float64]


def _open(info: DatasetInfo, row: dict[str, Any], options: ImportOptions) -> OpenedEpisode:
    rows = _read_rows(info, row, options)
    lost = lost_interventions(sum(_flags(rows.table, layout.INTERVENTION)))
    return OpenedEpisode(_manifest(info, row, rows, options), _steps(info, row, rows), lost)


def _read_rows(info: DatasetInfo, row: dict[str, Any], options: ImportOptions) -> _Rows:
    file = layout.DATA_TEMPLATE.format(
        chunk_index=whole(row, "data/chunk_index"), file_index=whole(row, "data/file_index")
    )
    table = read_table(info.root, file, whole(row, "episode_index"))
    length = whole(row, "length")
    if table.num_rows != length or not length:
        raise EpisodeError(f"{file} holds {table.num_rows} steps of the episode, promised {length}")
    states = matrix(table, layout.STATE, len(info.state_names))
    actions = matrix(table, layout.ACTION, len(info.action_names))
    state = joint_columns(info.state_names, layout.STATE, options.gripper_open_m)
    if not info.schema.is_cartesian:
        wanted = joint_columns(info.action_names, layout.ACTION, options.gripper_open_m)
        actions = np.column_stack([wanted.joint_positions(actions), wanted.widths_m(actions)])
    return _Rows(
        table=table,
        times_s=_times_s(info, table),
        joint_positions=state.joint_positions(states),
        widths_m=state.widths_m(states),
        actions=actions,
    )


def _times_s(info: DatasetInfo, table: pa.Table) -> NDArray[np.float64]:
    """Return the capture stamps if they are known, the ideal times otherwise."""
    if "frame_index" not in table.column_names:
        raise EpisodeError("the table of steps has no column frame_index")
    counts = np.array(table.column("frame_index").to_pylist())
    if not np.array_equal(counts, np.arange(table.num_rows)):
        raise EpisodeError("frame_index must count the steps from 0, it does not")
    if layout.CAPTURE_STAMP not in table.column_names:
        return counts / info.rate_hz
    stamps_ns = np.array(table.column(layout.CAPTURE_STAMP).to_pylist())
    if stamps_ns.dtype != np.int64 or (stamps_ns < 0).any() or (np.diff(stamps_ns) <= 0).any():
        raise EpisodeError(f"{layout.CAPTURE_STAMP} must be rising nanoseconds, it is not")
    return seconds_of(stamps_ns)


def _manifest(
    info: DatasetInfo, row: dict[str, Any], rows: _Rows, options: ImportOptions
) -> EpisodeManifest:
    ours = _ours(row)
    tasks = row["tasks"]
    if not isinstance(tasks, list) or len(tasks) != 1 or not isinstance(tasks[0], str):
        raise EpisodeError(f"an episode must have one task, this has {str(tasks)[:200]}")
    success = ours.get("success") if ours else _success(rows.table)
    if success is None and options.assume_success:
        success = True
    return checked_manifest(
        id=str(ours.get("id") or f"{info.plain_name}-{whole(row, 'episode_index'):06d}"),
        task=tasks[0],
        source=_source(ours, options),
        robot_type=info.robot_type,
        cameras=tuple(info.cameras),
        created_at=str(ours.get("created_at") or ""),
        operator=options.operator or str(ours.get("operator") or ""),
        seed=ours.get("seed"),
        success=success,
        failure_reason=str(ours.get("failure_reason") or ""),
        rate_hz=info.rate_hz,
        action_schema=info.schema.name,
        origin={"imported from": f"LeRobot {layout.CODEBASE_VERSION}, {info.plain_name}"},
    )


def _ours(row: dict[str, Any]) -> dict[str, Any]:
    """Return what our export has said of an episode, {} of one that LeRobot has added since."""
    ours = {
        name.removeprefix(layout.OUR_PREFIX): value
        for name, value in row.items()
        if name.startswith(layout.OUR_PREFIX)
    }
    return ours if ours.get("id") else {}


def _source(ours: dict[str, Any], options: ImportOptions) -> EpisodeSource:
    try:
        return EpisodeSource(ours.get("source", options.source))
    except ValueError as error:
        raise EpisodeError(str(error)) from error


def _success(table: pa.Table) -> bool | None:
    """Return the verdict of a foreign data set, None if it has none."""
    return any(_flags(table, layout.SUCCESS)) if layout.SUCCESS in table.column_names else None


def _flags(table: pa.Table, key: str) -> list[bool]:
    """Return a column that says yes or no, some data sets write numbers for it."""
    if key not in table.column_names:
        return []
    return [bool(np.any(value)) for value in table.column(key).to_pylist()]


def _steps(info: DatasetInfo, row: dict[str, Any], rows: _Rows) -> Steps:
    """Yield the steps, with one picture of each camera in memory at a time."""
    with ExitStack() as opened:
        streams = {
            name: opened.enter_context(closing(_pictures(info, row, rows.table, camera)))
            for name, camera in info.cameras.items()
        }
        for step, time_s in enumerate(rows.times_s):
            images = {camera: next(stream) for camera, stream in streams.items()}
            width_m = float(rows.widths_m[step])
            observation = Observation(float(time_s), images, rows.joint_positions[step], width_m)
            yield observation, rows.actions[step]


def _pictures(
    info: DatasetInfo, row: dict[str, Any], table: pa.Table, camera: ForeignCamera
) -> Pictures:
    if not camera.is_video:
        return _pictures_in_table(table, camera)
    place = f"videos/{camera.key}"
    file = layout.VIDEO_TEMPLATE.format(
        video_key=camera.key,
        chunk_index=whole(row, f"{place}/chunk_index"),
        file_index=whole(row, f"{place}/file_index"),
    )
    start_s = row.get(f"{place}/from_timestamp")
    if not isinstance(start_s, int | float) or not 0.0 <= start_s < 1e7:
        raise EpisodeError(f"{place}/from_timestamp must be seconds, got {str(start_s)[:80]!r}")
    return decode(
        inside(info.root, file),
        start_s=float(start_s),
        count=table.num_rows,
        rate_hz=info.rate_hz,
        height=camera.height,
        width=camera.width,
    )


def _pictures_in_table(table: pa.Table, camera: ForeignCamera) -> Pictures:
    """Yield pictures that lie as PNG or JPEG in the table; paths in there are not followed."""
    if camera.key not in table.column_names:
        raise EpisodeError(f"the table of steps has no column {camera.key}")
    for value in table.column(camera.key):
        stored = value.as_py()
        data = stored.get("bytes") if isinstance(stored, dict) else None
        try:
            yield decode_promised(data or b"", camera.height, camera.width)
        except ValueError as error:
            raise EpisodeError(
                f"a picture of {camera.key} is none of {camera.height} x {camera.width}"
            ) from error
