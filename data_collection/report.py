"""Numbers of a recorded run: timing, lost frames, faults. Part of `summary.json`."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_collection import messages, topics
from data_collection.manifest import EpisodeManifest, load_manifest
from data_collection.reader import EpisodeMessage, iterate_messages

# States of mail_msgs/ArmState in which the arm was kept from its work.
FAULT_STATES = ("hold", "stopped", "fault", "user_stop", "estop")
_TOPICS = (topics.ARM_STATE, topics.ADMISSION, topics.ACTION_CHUNK)


@dataclass(slots=True)
class _Collected:
    """What one pass over an episode found."""

    camera_to_command_s: list[float] = field(default_factory=list)
    inference_s: list[float] = field(default_factory=list)
    join_jumps_rad: list[float] = field(default_factory=list)
    success_rates: list[float] = field(default_factory=list)
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    faults: list[dict[str, Any]] = field(default_factory=list)
    stamps_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    start_s: float | None = None
    arm_state: str = ""


def timing_summary(folder: Path) -> dict[str, Any]:
    """Measure a recorded run.

    Returns:
        `timing` with `camera_to_command_ms`, `inference_ms`, `chunk_join_jump_rad` and
        `control_success_rate`, each with `count`, `min`, `p50`, `p99` and `max` (None without
        data); `dropped_frames` by camera; `chunks` with `accepted` and `rejected` by rule;
        `faults` as a list of `time_s` (since the first message), `state` and `cause`.
    """
    manifest = load_manifest(folder)
    found = _Collected()
    wanted = (*_TOPICS, *(topics.image_topic(camera) for camera in manifest.cameras))
    for item in iterate_messages(folder, wanted):
        if found.start_s is None:
            found.start_s = item.stamp_s
        _collect(found, item)
    return {
        "timing": {
            "camera_to_command_ms": spread(1e3 * np.array(found.camera_to_command_s)),
            "inference_ms": spread(1e3 * np.array(found.inference_s)),
            "chunk_join_jump_rad": spread(np.array(found.join_jumps_rad)),
            "control_success_rate": spread(np.array(found.success_rates)),
        },
        "dropped_frames": _dropped_frames(found, manifest),
        "chunks": {"accepted": found.accepted, "rejected": dict(found.rejected)},
        "faults": found.faults,
    }


def spread(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float | None]:
    """Return count, min, p50, p99 and max of some numbers; None where there are none."""
    if not len(values):
        return {"count": 0, "min": None, "p50": None, "p99": None, "max": None}
    return {
        "count": len(values),
        "min": float(values.min()),
        "p50": float(np.percentile(values, 50)),
        "p99": float(np.percentile(values, 99)),
        "max": float(values.max()),
    }


def count_dropped_frames(stamps_s: list[float], rate_hz: float) -> int:
    """Count the instants of a grid, from the first to the last stamp, that have no picture."""
    if len(stamps_s) < 2:
        return 0
    start_s = min(stamps_s)
    instants = {round((stamp_s - start_s) * rate_hz) for stamp_s in stamps_s}
    return max(instants) + 1 - len(instants)


def _dropped_frames(found: _Collected, manifest: EpisodeManifest) -> dict[str, int]:
    return {
        camera: count_dropped_frames(found.stamps_s[camera], manifest.rate_hz)
        for camera in manifest.cameras
    }


def _collect(found: _Collected, item: EpisodeMessage) -> None:
    message = item.message
    camera = topics.camera_of(item.topic)
    if camera:
        found.stamps_s[camera].append(messages.stamp_to_seconds(message.header.stamp))
    elif item.topic == topics.ACTION_CHUNK:
        found.inference_s.append(message.inference_duration)
    elif item.topic == topics.ARM_STATE:
        _collect_arm_state(found, item)
    elif message.accepted:
        found.accepted += 1
        found.camera_to_command_s.append(message.camera_to_command)
        found.join_jumps_rad.append(message.join_jump)
    else:
        found.rejected[message.rule] += 1


def _collect_arm_state(found: _Collected, item: EpisodeMessage) -> None:
    """Note how well the arm was served while it moved, and every change into a fault state."""
    message = item.message
    if message.may_move:
        found.success_rates.append(message.control_success_rate)
    # An arm that was already in the state when the recording began did not change into it.
    if found.arm_state not in ("", message.state) and message.state in FAULT_STATES:
        since_start_s = item.stamp_s - (found.start_s or 0.0)
        found.faults.append(
            {"time_s": round(since_start_s, 3), "state": message.state, "cause": message.cause}
        )
    found.arm_state = message.state
