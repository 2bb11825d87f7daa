"""What happens in the twin beside physics and protocol: snapshots, success, requests.

Everything runs between two control steps, in the thread of the control loop, and must cost
microseconds. Nothing here needs a lock for that reason.
"""

import time
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np

from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from mail_sim.world.layout import apply_layout, sample_layout
from mail_sim.world.process_channel import Channel, Message
from mail_sim.world.render_gate import RenderGate
from mail_sim.world.snapshot import Snapshot, SnapshotRing
from mail_sim.world.task import StateTask
from mail_sim.world.tasks import TASKS, task_for
from mail_sim.world.visible_state import STEPS_PER_SECOND, STEPS_PER_SNAPSHOT, visible_state

# Requests are answered, and one task after the other is checked, every few steps, so that ten
# tasks are checked at 20 Hz.
STEPS_PER_CHORE = 5
# How far from home [rad] the arm may be while the scene is put back around it.
HOME_TOLERANCE_RAD = 0.15


class StageError(ValueError):
    """A request cannot be fulfilled. The text names the remedy."""


class Stage:
    """Watches the world after every control step and answers the twin's requests."""

    def __init__(
        self,
        *,
        simulator: Any,
        ring: SnapshotRing,
        channel: Channel,
        gate: RenderGate | None,
        notify_renderer: Callable[[], None],
    ) -> None:
        """Begin to watch.

        Args:
            simulator: The started franky-sim simulator.
            ring: Where snapshots go.
            channel: Where requests come from.
            gate: Makes the physics wait for a slow renderer; None lets pictures get lost.
            notify_renderer: Called after every snapshot.
        """
        self._model, self._data = simulator.model, simulator.data
        self._arm = simulator.robots[0]
        self._ring, self._channel, self._gate = ring, channel, gate
        self._notify_renderer = notify_renderer
        self._first_held_s: dict[str, float] = {}
        self._render_wait_s = 0.0
        self.has_ended = False

    def after_step(self) -> None:
        """Do what is due after this control step. Raises ChannelClosedError without a parent."""
        steps = round(self._data.time * STEPS_PER_SECOND)
        self._ring.time_s = steps / STEPS_PER_SECOND
        if steps % STEPS_PER_SNAPSHOT == 0:
            self._publish_snapshot()
        if steps % STEPS_PER_CHORE == 0:
            chore = steps // STEPS_PER_CHORE
            self._check_task(TASKS[chore % len(TASKS)])
            self._answer_requests()
        if self._gate is not None:
            self._wait_for_renderer(self._gate)

    def _publish_snapshot(self) -> None:
        number = self._ring.newest_number + 1
        self._ring.write(Snapshot(number, self._ring.time_s, visible_state(self._data)))
        self._notify_renderer()

    def _check_task(self, task: StateTask) -> None:
        if task.sentence not in self._first_held_s and task.succeeded(self._model, self._data):
            self._first_held_s[task.sentence] = self._ring.time_s

    def _wait_for_renderer(self, gate: RenderGate) -> None:
        began_s = now_s = time.perf_counter()
        while gate.must_wait(self._ring.newest_number - self._ring.rendered_number, began_s, now_s):
            time.sleep(0.0005)
            now_s = time.perf_counter()
        self._render_wait_s += now_s - began_s

    def _answer_requests(self) -> None:
        request = self._channel.poll()
        if request is None:
            return
        try:
            answer = self._answer(request)
        except ValueError as error:
            answer = {"error": str(error)}
        self._channel.send({"id": request.get("id"), **answer})

    def _answer(self, request: Message) -> Message:
        match request.get("command"):
            case "reset":
                self._reset(int(request["seed"]))
                return {"time_s": self._ring.time_s}
            case "check":
                return self._check(str(request["sentence"]))
            case "statistics":
                return {"time_s": self._ring.time_s, "render_wait_s": self._render_wait_s}
            case "stop":
                self.has_ended = True
                return {}
            case other:
                raise StageError(f"unknown command {other!r}")

    def _reset(self, seed: int) -> None:
        positions = np.array(self._arm.inner_state.q)
        far = np.abs(positions - HOME_JOINT_POSITIONS)
        if far.max() > HOME_TOLERANCE_RAD:
            raise StageError(
                f"the arm must be at home while the scene is put back: joint "
                f"{int(far.argmax()) + 1} is {far.max():.2f} rad away, allowed are "
                f"{HOME_TOLERANCE_RAD} rad; call the service arm/home first"
            )
        apply_layout(self._model, self._data, sample_layout(seed))
        mujoco.mj_forward(self._model, self._data)
        self._first_held_s.clear()

    def _check(self, sentence: str) -> Message:
        task = task_for(sentence)
        if not isinstance(task, StateTask):
            raise StageError(
                f"{sentence!r} exists only in the directly stepped world; use --robot sim"
            )
        self._check_task(task)
        return {
            "first_held_s": self._first_held_s.get(task.sentence),
            "measure": float(task.measure(self._model, self._data)),
        }
