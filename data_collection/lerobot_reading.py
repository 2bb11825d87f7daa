"""Reads the files of a LeRobot data set that need not be trusted."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data_collection import lerobot_layout as layout
from data_collection.episode_import import ImportOptions
from data_collection.errors import EpisodeError
from data_collection.exchange import inside, plain_camera_name
from data_collection.foreign_names import action_schema_of, names_of
from data_collection.topics import JOINT_PREFIXES
from mail_policy.core.action_schema import ActionSchema, schema_with_id

_LARGEST_JSON_BYTES = 64 << 20
_LARGEST_SIDE = 8192


@dataclass(frozen=True, slots=True)
class ForeignCamera:
    """A camera of the data set.

    Attributes:
        key: Its feature.
        is_video: Pictures are in a video; otherwise they lie compressed in the table.
        height: Rows.
        width: Columns.
    """

    key: str
    is_video: bool
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What all episodes of a data set have in common.

    Attributes:
        root: Its folder.
        rate_hz: Steps per second.
        robot_type: "fer" or "fr3".
        cameras: By our names.
        state_names: Of the numbers of the state.
        action_names: Of the numbers of an action.
        schema: What the actions mean.
    """

    root: Path
    rate_hz: float
    robot_type: str
    cameras: dict[str, ForeignCamera]
    state_names: list[str]
    action_names: list[str]
    schema: ActionSchema

    @property
    def plain_name(self) -> str:
        """The folder's name with nothing in it that an id must not have."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.root.resolve().name).strip("-")[:80] or "episode"


def read_info(root: Path, options: ImportOptions) -> DatasetInfo:
    """Read what a data set says about itself, and check what can be checked.

    Raises:
        EpisodeError: It is no data set of this version, is damaged, or cannot be understood.
    """
    info = _read_json(root, layout.INFO_PATH)
    _check_version(root, info)
    ours = _read_json(root, layout.EXPORT_PATH) if (root / layout.EXPORT_PATH).exists() else {}
    _check_sums(root, ours)
    features = info.get("features")
    if not isinstance(features, dict):
        raise EpisodeError(f"{root / layout.INFO_PATH} describes no features")
    for key in (layout.STATE, layout.ACTION):
        if not isinstance(features.get(key), dict):
            raise EpisodeError(f"{root} has no feature {key}; it has {', '.join(features)[:400]}")
    rate_hz = info.get("fps")
    if not isinstance(rate_hz, int | float) or not 0 < rate_hz <= 1000:
        raise EpisodeError(f"{root / layout.INFO_PATH}: fps must be a rate, got {rate_hz!r}")
    action_names = names_of(features[layout.ACTION], layout.ACTION)
    return DatasetInfo(
        root=root,
        rate_hz=float(rate_hz),
        robot_type=_robot_type(root, info, options),
        cameras=_cameras(root, features, options),
        state_names=names_of(features[layout.STATE], layout.STATE),
        action_names=action_names,
        schema=_schema(ours, action_names, float(rate_hz)),
    )


def read_table(root: Path, relative: str, episode: int | None = None) -> pa.Table:
    """Read a table, or the rows of one episode, with its checksums if it has any.

    Raises:
        EpisodeError: It is missing or damaged.
    """
    file = inside(root, relative)
    filters = None if episode is None else [("episode_index", "=", episode)]
    try:
        return pq.read_table(file, filters=filters, page_checksum_verification=True)
    # Damage shows as any of these, depending on where it is.
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        raise EpisodeError(f"{file} cannot be read: {str(error)[:300]}") from error


def matrix(table: pa.Table, key: str, size: int) -> NDArray[np.float64]:
    """Return a column of vectors, shape (rows, size). Raises EpisodeError if it is none."""
    if key not in table.column_names:
        raise EpisodeError(f"the table of steps has no column {key}")
    try:
        values = np.array(table.column(key).to_pylist(), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise EpisodeError(f"{key} is no table of numbers: {error}") from error
    if values.shape != (table.num_rows, size):
        raise EpisodeError(f"{key} must have shape {(table.num_rows, size)}, has {values.shape}")
    if not np.isfinite(values).all():
        raise EpisodeError(f"{key} holds values that are no numbers (NaN or infinite)")
    return values


def whole(row: dict[str, Any], key: str) -> int:
    """Return a number that counts something. Raises EpisodeError if it does not."""
    value = row.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
        raise EpisodeError(f"{key} must be a whole number, got {str(value)[:80]!r}")
    return value


def _read_json(root: Path, relative: str) -> dict[str, Any]:
    file = inside(root, relative)
    if file.stat().st_size > _LARGEST_JSON_BYTES:
        raise EpisodeError(f"{file} is larger than {_LARGEST_JSON_BYTES >> 20} MiB; refused")
    try:
        content = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise EpisodeError(f"{file} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise EpisodeError(f"{file} must hold an object")
    return content


def _check_version(root: Path, info: dict[str, Any]) -> None:
    version = info.get("codebase_version")
    if version != layout.CODEBASE_VERSION:
        raise EpisodeError(
            f"{root} is of LeRobot's format {str(version)[:40]!r}, known is "
            f"{layout.CODEBASE_VERSION}; lerobot converts: "
            "python -m lerobot.datasets.v30.convert_dataset_v21_to_v30"
        )
    # Templates are filled with names: any other one could lead anywhere.
    for key, template in (
        ("data_path", layout.DATA_TEMPLATE),
        ("video_path", layout.VIDEO_TEMPLATE),
    ):
        if info.get(key) not in (template, None):
            raise EpisodeError(
                f"{root / layout.INFO_PATH}: {key} is {str(info[key])[:120]!r}; only the usual "
                f"{template!r} is read"
            )


def _check_sums(root: Path, ours: dict[str, Any]) -> None:
    """Compare the files with the hashes that our export has left, if it has."""
    sums = ours.get("sha256", {})
    if not isinstance(sums, dict):
        raise EpisodeError(f"{root / layout.EXPORT_PATH}: sha256 must name files")
    for name, expected in sums.items():
        with inside(root, name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                raise EpisodeError(
                    f"{root / name} is not what was exported: damaged, or changed on purpose; in "
                    f"that case delete {layout.EXPORT_PATH}"
                )


def _robot_type(root: Path, info: dict[str, Any], options: ImportOptions) -> str:
    told = str(info.get("robot_type") or "").lower()
    robot_type = options.robot_type or {"panda": "fer", "franka": "fer"}.get(told, told)
    if robot_type not in JOINT_PREFIXES:
        raise EpisodeError(
            f"{root} is of the robot {told[:80]!r}; say which of ours it is with --robot-type "
            f"{' or '.join(JOINT_PREFIXES)}"
        )
    return robot_type


def _cameras(
    root: Path, features: dict[str, Any], options: ImportOptions
) -> dict[str, ForeignCamera]:
    ours_of = {theirs: ours for ours, theirs in options.cameras.items()}
    cameras: dict[str, ForeignCamera] = {}
    for key, feature in features.items():
        dtype = feature.get("dtype") if isinstance(feature, dict) else None
        if dtype not in ("video", "image") or not layout.camera_of(key):
            continue
        theirs = layout.camera_of(key)
        ours = ours_of.pop(theirs, None) or plain_camera_name(theirs)
        if ours in cameras:
            raise EpisodeError(f"two cameras would be called {ours}; map them with --camera-map")
        cameras[ours] = ForeignCamera(key, dtype == "video", *_size(key, feature))
    if ours_of:
        raise EpisodeError(
            f"{root} has no camera {', '.join(ours_of)}; it has {', '.join(cameras)}"
        )
    if not cameras:
        raise EpisodeError(f"{root} has no camera; an episode needs one")
    mapped = [camera for camera in options.cameras if camera in cameras]
    # The first camera sets the instants, and the order is that of the mapping.
    return {camera: cameras[camera] for camera in dict.fromkeys([*mapped, *cameras])}


def _size(key: str, feature: dict[str, Any]) -> tuple[int, int]:
    shape, names = feature.get("shape"), feature.get("names")
    if not isinstance(shape, list) or len(shape) != 3:
        raise EpisodeError(f"{key} must have a shape like [height, width, 3], got {shape}")
    if isinstance(names, list) and names and str(names[0]).startswith("channel"):
        shape = [*shape[1:], shape[0]]
    if shape[2] != 3 or not all(isinstance(n, int) and 0 < n <= _LARGEST_SIDE for n in shape):
        raise EpisodeError(f"{key} must have a shape like [height, width, 3], got {shape}")
    # The name makes a path.
    if "/" in key or "\0" in key or ".." in key:
        raise EpisodeError(f"{key[:120]!r} is no name of a camera")
    return shape[0], shape[1]


def _schema(ours: dict[str, Any], names: list[str], rate_hz: float) -> ActionSchema:
    if "action_schema" not in ours:
        return action_schema_of(names)
    try:
        return schema_with_id(str(ours["action_schema"]), rate_hz)
    except ValueError as error:
        raise EpisodeError(str(error)) from error
