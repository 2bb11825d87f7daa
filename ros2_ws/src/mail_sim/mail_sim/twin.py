"""Starts and stops the simulated twin: a robot, its world and its cameras, in two processes.

The robot listens at a loopback address and speaks the protocol of the real one. Pictures are
offered under the run's id, see `mail_policy.core.frame_share`. Whatever ends this process ends
the twin too, and neither files nor shared memory stay behind.
"""

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

from mail_policy.core.config import to_plain
from mail_sim.child_process import ChildProcess, TwinError
from mail_sim.world.address import AddressError, require_free
from mail_sim.world.board_place import BoardPlace
from mail_sim.world.graphics import GraphicsError, require_graphics
from mail_sim.world.process_channel import Message
from mail_sim.world.render_gate import RenderGateConfig
from mail_sim.world.snapshot import SnapshotRing

__all__ = ["TaskCheck", "Twin", "TwinConfig", "TwinError"]

_START_LIMIT_S = 90.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TwinConfig:
    """How the twin runs.

    Attributes:
        board: Where a calibration board is; the furniture makes room for it.
        cameras: Cameras of the scene to render.
        image_height: Rows of a picture.
        image_width: Columns of a picture.
        lockstep_rendering: The world waits for its pictures, so that a slow machine slows the
            world instead of losing pictures.
        render_gate: How it waits.
        renderer_niceness: Scheduling niceness of the renderer.
    """

    board: BoardPlace = BoardPlace.NONE
    cameras: tuple[str, ...] = ("agentview", "wrist")
    image_height: int = 256
    image_width: int = 256
    lockstep_rendering: bool = True
    render_gate: RenderGateConfig = field(default_factory=RenderGateConfig)
    renderer_niceness: int = 5


@dataclass(frozen=True, slots=True)
class TaskCheck:
    """Whether a task is solved.

    Attributes:
        first_held_s: Simulated time [s] at which its success was seen first since the last
            reset; None if never.
        measure: The task's own number, for example how far a drawer is open [m].
    """

    first_held_s: float | None
    measure: float

    @property
    def success(self) -> bool:
        """True if the task was solved at any time since the last reset."""
        return self.first_held_s is not None


class Twin:
    """A running twin. Enter it to start, leave it to stop; use it from one thread at a time."""

    def __init__(self, address: str, run_id: str, config: TwinConfig | None = None) -> None:
        """Choose where the twin will run.

        Args:
            address: Loopback address at which the robot will answer, for example 127.0.0.1.
            run_id: Name under which pictures are offered; unique on this machine.
            config: How it runs.
        """
        self.robot_ip = address
        self.run_id = run_id
        self._config = config or TwinConfig()

    def __enter__(self) -> Self:
        try:
            require_graphics()
            require_free(self.robot_ip)
        except (GraphicsError, AddressError) as error:
            raise TwinError(str(error)) from error
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def time_s(self) -> float:
        """Simulated time [s]; it never runs backwards, also not over a reset."""
        return self._ring.time_s

    @property
    def snapshots(self) -> int:
        """Instants of the policy's grid since the start."""
        return self._ring.newest_number

    @property
    def rendered(self) -> int:
        """Number of the last of these instants whose pictures are published."""
        return self._ring.rendered_number

    @property
    def has_priority(self) -> bool:
        """True if the physics runs with real-time priority."""
        return self._has_priority

    def require_running(self) -> None:
        """Raise TwinError if one of the twin's processes has ended."""
        for process in (self._physics, self._renderer):
            process.require_running()

    def reset(self, seed: int) -> None:
        """Put the scene back to the initial state of a seed; the arm must be at home."""
        self._physics.request({"command": "reset", "seed": seed})

    def check(self, sentence: str) -> TaskCheck:
        """Return whether a task is or was solved since the last reset."""
        answer = self._physics.request({"command": "check", "sentence": sentence})
        return TaskCheck(answer["first_held_s"], answer["measure"])

    def statistics(self) -> Message:
        """Return what the physics counted: `time_s` and `render_wait_s`, how long it waited."""
        return self._physics.request({"command": "statistics"})

    def _start(self, stack: ExitStack) -> None:
        snapshot_fd = os.memfd_create("mail_snapshots", os.MFD_CLOEXEC)
        event_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        for descriptor in (snapshot_fd, event_fd):
            stack.callback(os.close, descriptor)
        files = {"snapshot_fd": snapshot_fd, "event_fd": event_fd}
        self._renderer = stack.enter_context(
            ChildProcess("mail_sim.world.renderer", self._renderer_settings(), files)
        )
        self._physics = stack.enter_context(
            ChildProcess("mail_sim.world.process_fci", self._physics_settings(), files)
        )
        scene = self._physics.await_answer(_START_LIMIT_S)
        self._has_priority = bool(scene["has_priority"])
        self._ring = SnapshotRing(snapshot_fd)
        self._renderer.channel.send({"xml": scene["xml"]})
        self._renderer.await_answer(_START_LIMIT_S)

    def _physics_settings(self) -> Message:
        gate = self._config.render_gate if self._config.lockstep_rendering else None
        return {
            "address": self.robot_ip,
            "render_gate": to_plain(gate),
            "board": self._config.board,
        }

    def _renderer_settings(self) -> Message:
        return {
            "run_id": self.run_id,
            "cameras": list(self._config.cameras),
            "image_height": self._config.image_height,
            "image_width": self._config.image_width,
            "in_order": self._config.lockstep_rendering,
            "niceness": self._config.renderer_niceness,
        }
