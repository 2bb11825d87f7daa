"""What every episode of a recorder has in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from data_collection.manifest import EpisodeManifest, EpisodeSource, episode_id
from data_collection.provenance import software_versions

# The path of an episode is answered in a field of 256 characters, 80 of which are the id.
MAX_DIR_LENGTH = 170


# ROS parameters: name, default, description.
PARAMETERS: tuple[tuple[str, Any, str], ...] = (
    ("episodes_dir", "runs/episodes", "folder of the episodes"),
    ("cameras", ["agentview", "wrist"], "names of the cameras; the first one sets the grid"),
    # ROS cannot tell the type of an empty list.
    ("depth_cameras", [""], "names of the cameras whose depth is recorded too"),
    ("robot_type", "fr3", "fer or fr3"),
    ("source", "policy", "who moves the arm: policy, teleop or scripted"),
    ("operator", "", "who is responsible for the recordings"),
    ("start_on", "operator", "operator: by service; takeover: also when a person takes over"),
    ("pre_roll_s", 2.0, "time before a takeover that belongs to the episode [s]"),
    ("operator_pre_roll_s", 0.0, "time before recorder/start that belongs to the episode [s]"),
)


class StartOn(StrEnum):
    """What begins an episode."""

    OPERATOR = "operator"  # the service only
    TAKEOVER = "takeover"  # also a person who takes the arm from the policy


@dataclass(frozen=True, kw_only=True, slots=True)
class RecorderConfig:
    """What every episode of a recorder has in common.

    Attributes:
        episodes_dir: Where episodes go, one folder each.
        cameras: Camera names; the first one sets the time grid.
        robot_type: "fer" or "fr3".
        source: Who moves the arm.
        operator: Who is responsible, "" if nobody.
        start_on: What begins an episode.
        pre_roll_s: How much of the time before a takeover belongs to the episode [s].
        operator_pre_roll_s: The same for episodes that the operator starts [s].
        pre_roll_bytes: Memory for that time [bytes]; two cameras of 640x480 at 30 Hz send 55 MB
            per second.
        depth_cameras: Which cameras' depth is recorded too.
        queue_limit: Messages of one topic that may wait to be written.
    """

    episodes_dir: Path
    cameras: tuple[str, ...]
    robot_type: str
    source: EpisodeSource = EpisodeSource.POLICY
    operator: str = ""
    start_on: StartOn = StartOn.OPERATOR
    pre_roll_s: float = 2.0
    operator_pre_roll_s: float = 0.0
    pre_roll_bytes: int = 256 << 20
    depth_cameras: tuple[str, ...] = ()
    queue_limit: int = 512

    def __post_init__(self) -> None:
        """Refuse what would only be found out at the first recording."""
        if len(str(self.episodes_dir)) > MAX_DIR_LENGTH:
            raise ValueError(
                f"episodes_dir must have at most {MAX_DIR_LENGTH} characters, "
                f"got {len(str(self.episodes_dir))}"
            )
        if self.queue_limit < 1:
            raise ValueError(f"queue_limit must be at least 1, got {self.queue_limit}")
        for name in ("pre_roll_s", "operator_pre_roll_s"):
            if not 0.0 <= getattr(self, name) <= 60.0:
                raise ValueError(f"{name} must be 0 to 60, got {getattr(self, name)}")
        unknown = set(self.depth_cameras) - set(self.cameras)
        if unknown:
            raise ValueError(f"depth_cameras must be among cameras, got {', '.join(unknown)}")
        self.manifest(task="check", created_at=datetime.now(UTC))

    @property
    def remembered_s(self) -> float:
        """How far the memory of the time before an episode must go back [s]."""
        takeover_s = self.pre_roll_s if self.start_on is StartOn.TAKEOVER else 0.0
        return max(takeover_s, self.operator_pre_roll_s)

    def manifest(
        self, task: str, created_at: datetime, *, is_takeover: bool = False
    ) -> EpisodeManifest:
        """Return the manifest of a new episode."""
        return EpisodeManifest(
            id=episode_id(task, created_at),
            task=task,
            source=EpisodeSource.INTERVENTION if is_takeover else self.source,
            robot_type=self.robot_type,
            cameras=self.cameras,
            created_at=created_at.isoformat(timespec="milliseconds"),
            operator=self.operator,
            software=software_versions(),
        )


def config_from_parameters(values: Mapping[str, Any]) -> RecorderConfig:
    """Build a config from ROS parameters. Raises ValueError that names a wrong one."""
    return RecorderConfig(
        **{
            **values,
            "episodes_dir": Path(values["episodes_dir"]),
            "cameras": tuple(values["cameras"]),
            "depth_cameras": tuple(name for name in values["depth_cameras"] if name),
            "source": EpisodeSource(values["source"]),
            "start_on": StartOn(values["start_on"]),
        }
    )
