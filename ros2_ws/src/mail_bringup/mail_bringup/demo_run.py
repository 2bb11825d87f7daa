"""One run of the demo: acts as the operator of a stack that was just started."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from mail_bringup.demo_values import DemoOutcome, DemoSettings
from mail_bringup.memory import peak_memory_mb
from mail_bringup.operator_node import Operator
from mail_bringup.runner import StackRunner
from mail_bringup.task_attempt import STARTUP_LIMIT_S, attempt_task, is_ready

# After success the run goes on for so long, so that the video does not end abruptly [s].
_AFTERGLOW_S = 1.0
_MOTION_RAD_S = 0.01


class DemoError(RuntimeError):
    """The demo could not be carried out."""


class DemoRun:
    """Performs the demo on a running stack.

    Args:
        settings: What to do.
        runner: The running stack.
        requested: Set when the user wants to stop.
        console: For progress.
    """

    def __init__(
        self,
        settings: DemoSettings,
        runner: StackRunner,
        requested: threading.Event,
        console: Console,
    ) -> None:
        self._settings = settings
        self._runner = runner
        self._requested = requested
        self._console = console
        self._first_motion_s = 0.0

    def must_end(self) -> bool:
        """Whether the user or a dead process ends the run."""
        return self._requested.is_set() or self._runner.required_ended() is not None

    def perform(self, operator: Operator) -> DemoOutcome:
        """Bring the stack to the task, watch it, and stop it."""
        with self._step("starting the twin, the cameras, the arm and the policy"):
            if not is_ready(operator, recorder=True):
                raise DemoError(f"the stack is not ready after {STARTUP_LIMIT_S:.0f} s")
        ready_s = self._elapsed_s()
        with self._step("homing the arm"):
            operator.arm()
            self._home(operator)
        operator.reset_scene(self._settings.seed, "")
        resolved = operator.set_task(self._settings.task)
        self._say(f"task {self._settings.task!r} means {resolved!r}")
        episode = Path(operator.start_recording(resolved))
        policy_start_s = self._elapsed_s()
        with self._console.status("") as status:
            attempt = attempt_task(
                operator,
                resolved,
                limit_s=self._settings.limit_s,
                afterglow_s=_AFTERGLOW_S,
                on_progress=status.update,
            )
        verdict = "success" if attempt.success else "no success"
        self._say(f"{verdict} after {attempt.duration_s:.1f} s simulated")
        # Saved first: the stop below is ours, and no fault of the run.
        operator.save_recording()
        operator.trigger("arm/stop")
        return DemoOutcome(
            attempt=attempt,
            resolved_task=resolved,
            ready_s=ready_s,
            first_motion_s=self._first_motion_s,
            policy_start_s=policy_start_s,
            peak_memory_mb={
                child.process.name: peak_memory_mb(child.popen.pid)
                for child in self._runner.children
            },
            episode=episode,
        )

    def _home(self, operator: Operator) -> None:
        operator.node.create_timer(0.02, lambda: self._note_motion(operator))
        operator.home()

    def _note_motion(self, operator: Operator) -> None:
        arm = operator.arm_state
        moves = arm is not None and max(map(abs, arm.joint_velocities)) > _MOTION_RAD_S
        if moves and self._first_motion_s == 0.0:
            self._first_motion_s = self._elapsed_s()

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._settings.started_s

    def _say(self, text: str) -> None:
        self._console.print(f"{self._elapsed_s():6.1f} s  {text}")

    @contextmanager
    def _step(self, text: str) -> Iterator[None]:
        with self._console.status(text):
            yield
        self._say(text)
