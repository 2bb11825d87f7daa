"""Keeps the last seconds of the control loop, and writes them down when the arm is stopped."""

import json
import logging
import threading
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mail_franka.control_loop import LoopTick
from mail_policy.core.motion.values import LATCHED_STATES, MotionState

_LOGGER = logging.getLogger(__name__)
_BEFORE_S = 2.0
_AFTER_S = 0.3
# Older files are removed, so that a robot that stops every minute never fills a disk.
_MOST_FILES = 200


class BlackBox:
    """Writes one JSON file per latched stop: what was commanded, what was measured, and why.

    Args:
        folder: Where files go; made when the first is written. None writes nothing.
        tick_s: Time between two ticks [s].
    """

    def __init__(self, folder: Path | None, tick_s: float) -> None:
        self._folder = folder
        self._ticks: deque[LoopTick] = deque(maxlen=round((_BEFORE_S + _AFTER_S) / tick_s))
        self._ticks_after = round(_AFTER_S / tick_s)
        self._last_state = MotionState.OFFLINE
        self._countdown = 0
        self._stop: LoopTick | None = None
        self._writer: threading.Thread | None = None

    def add(self, tick: LoopTick) -> None:
        """Take a tick; a file is written in a thread of its own, some ticks after a stop."""
        if self._folder is None:
            return
        self._ticks.append(tick)
        state = tick.outputs.state
        if state in LATCHED_STATES and self._last_state is not state and self._stop is None:
            self._stop, self._countdown = tick, self._ticks_after
        self._last_state = state
        if self._stop is None:
            return
        self._countdown -= 1
        if self._countdown <= 0:
            stop, self._stop = self._stop, None
            self._write_in_background(self._folder, stop, list(self._ticks))

    def close(self) -> None:
        """Write what is pending, and wait for it."""
        if self._stop is not None and self._folder is not None:
            self._write_in_background(self._folder, self._stop, list(self._ticks))
            self._stop = None
        if self._writer is not None:
            self._writer.join(2.0)

    def _write_in_background(self, folder: Path, stop: LoopTick, ticks: list[LoopTick]) -> None:
        self._writer = threading.Thread(target=_write, args=(folder, stop, ticks), daemon=True)
        self._writer.start()


def _write(folder: Path, stop: LoopTick, ticks: list[LoopTick]) -> None:
    now = datetime.now(UTC)
    content = {
        "state": stop.outputs.state.value,
        "cause": stop.outputs.cause,
        "written_at": now.isoformat(),
        "stopped_at_s": stop.observation_time_s,
        "ticks": [_row(tick) for tick in ticks],
    }
    name = f"{now:%Y%m%d-%H%M%S-%f}-{stop.outputs.state.value}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("*.json"))[: -_MOST_FILES + 1]:
            old.unlink()
        (folder / name).write_text(json.dumps(content))
    except OSError as error:
        _LOGGER.error("could not write the black box: %s", error)
        return
    _LOGGER.info("black box: %s", folder / name)


def _row(tick: LoopTick) -> dict[str, Any]:
    reading, target = tick.reading, tick.outputs.set_point
    row: dict[str, Any] = {
        "time_s": tick.observation_time_s,
        "state": tick.outputs.state.value,
        "cause": tick.outputs.cause,
        "lease_holder": tick.outputs.lease_holder,
        "lease_epoch": tick.outputs.lease_epoch,
        "set_point_rad": target.positions.tolist() if target is not None else None,
    }
    if reading is not None:
        row |= {
            "robot_time_s": reading.robot_time_s,
            "joint_positions_rad": reading.joint_positions.tolist(),
            "joint_velocities_rad_s": reading.joint_velocities.tolist(),
            "external_torques_nm": reading.external_torques.tolist(),
            "robot_mode": reading.mode,
            "errors": list(reading.errors),
        }
    return row
