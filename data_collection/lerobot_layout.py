"""Names, paths and features of LeRobot data sets, version 3.0.

Source: `lerobot/datasets/{utils,lerobot_dataset}.py` of lerobot 0.4.4.
"""

from dataclasses import dataclass
from typing import Any

from data_collection import topics
from mail_policy.core.action_schema import ActionSchema

CODEBASE_VERSION = "v3.0"
INFO_PATH = "meta/info.json"
STATS_PATH = "meta/stats.json"
TASKS_PATH = "meta/tasks.parquet"
# Ours, beside theirs: what the numbers mean, and a hash of every other file.
EXPORT_PATH = "meta/mail_export.json"
EPISODES_TEMPLATE = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA_TEMPLATE = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_TEMPLATE = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"

FILES_PER_CHUNK = 1000
DATA_FILE_MB = 100
VIDEO_FILE_MB = 200

STATE, ACTION, INTERVENTION = "observation.state", "action", "intervention"
SUCCESS, DONE = "next.success", "next.done"
# LeRobot makes an input of the policy of every number below "observation.", which a stamp must
# not be, and float32 of every float, which cannot hold one.
CAPTURE_STAMP = "capture_stamp_ns"
_IMAGE_PREFIX = "observation.images."

# Columns of meta/episodes that only we know.
OUR_PREFIX = "mail/"


def image_key(camera: str) -> str:
    """Return the feature of a camera."""
    return f"{_IMAGE_PREFIX}{camera}"


def camera_of(key: str) -> str:
    """Return the camera of a feature, "" if it is something else."""
    return key.removeprefix(_IMAGE_PREFIX) if key.startswith(_IMAGE_PREFIX) else ""


@dataclass(frozen=True, slots=True)
class DatasetShape:
    """What all episodes of a data set have in common.

    Attributes:
        robot_type: "fer" or "fr3".
        rate_hz: Steps per second.
        schema: What the actions mean.
        sizes: Height and width of the pictures, by camera name.
    """

    robot_type: str
    rate_hz: int
    schema: ActionSchema
    sizes: tuple[tuple[str, int, int], ...]

    def difference(self, other: "DatasetShape") -> str:
        """Say in what another episode differs, "" if it fits."""
        for name in ("robot_type", "rate_hz", "sizes"):
            mine, others = getattr(self, name), getattr(other, name)
            if mine != others:
                return f"its {name} is {others}, that of the episodes before {mine}"
        if self.schema != other.schema:
            return f"its actions are {other.schema.name}, those before {self.schema.name}"
        return ""


def state_names(robot_type: str) -> list[str]:
    """Name the numbers of `observation.state`: seven joints [rad] and the gripper's width [m]."""
    return [*topics.joint_names(robot_type)[:7], "gripper_width"]


def features_of(shape: DatasetShape, video_info: dict[str, Any]) -> dict[str, Any]:
    """Return the description of all columns and videos, as it stands in info.json."""
    videos: dict[str, Any] = {
        image_key(camera): {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": {"video.height": height, "video.width": width, **video_info},
        }
        for camera, height, width in shape.sizes
    }
    names = state_names(shape.robot_type)
    return {
        **videos,
        STATE: _feature("float32", len(names), names),
        ACTION: _feature("float32", shape.schema.size, list(shape.schema.names)),
        CAPTURE_STAMP: _feature("int64"),
        INTERVENTION: _feature("bool"),
        SUCCESS: _feature("bool"),
        DONE: _feature("bool"),
        "timestamp": _feature("float32"),
        "frame_index": _feature("int64"),
        "episode_index": _feature("int64"),
        "index": _feature("int64"),
        "task_index": _feature("int64"),
    }


def _feature(dtype: str, size: int = 1, names: list[str] | None = None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [size], "names": names}
