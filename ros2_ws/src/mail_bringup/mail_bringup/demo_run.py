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
from mail_bringup.runner import Ended, StackRunner

STARTUP_LIMIT_S = 120.0
# After success the run goes on for so long, so that the video does not end abruptly [s].
_AFTERGLOW_S = 1.0
_CHECK_PERIOD_S = 0.1
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
        # The required process that ended by itself, if any.
        self.ended: Ended | None = None

    def must_end(self) -> bool:
        """Whether the user or a dead process ends the run."""
        for ended in self._runner.newly_ended():
            if ended.process.required:
                self.ended = ended
        return self._requested.is_set() or self.ended is not None

    def perform(self, operator: Operator) -> DemoOutcome:
        """Bring the stack to the task, watch it, and stop it."""
        with self._step("starting the twin, the cameras, the arm and the policy"):
            self._wait_until_ready(operator)
        ready_s = self._elapsed_s()
        with self._step("homing the arm"):
            operator.arm()
            self._home(operator)
        operator.reset_scene(self._settings.seed, "")
        resolved = operator.set_task(self._settings.task)
        self._say(f"task {self._settings.task!r} means {resolved!r}")
        episode = Path(operator.start_recording(resolved))
        operator.start(resolved, self._settings.limit_s + 5.0)
        policy_start_s = self._elapsed_s()
        success, measure, duration_s, factor = self._watch(operator, resolved)
        arm = operator.arm_state
        # Saved first: the stop below is ours, and no fault of the run.
        operator.save_recording()
        operator.trigger("arm/stop")
        return DemoOutcome(
            success=success,
            measure=measure,
            resolved_task=resolved,
            duration_s=duration_s,
            real_time_factor=factor,
            ready_s=ready_s,
            first_motion_s=self._first_motion_s,
            policy_start_s=policy_start_s,
            peak_memory_mb={
                child.process.name: peak_memory_mb(child.popen.pid)
                for child in self._runner.children
            },
            episode=episode,
            arm_state=arm.state if arm else "",
            arm_cause=arm.cause if arm else "",
        )

    def _wait_until_ready(self, operator: Operator) -> None:
        # Arm and policy publish only once they are active; the recorder comes last.
        def is_ready() -> bool:
            return operator.arm_state is not None and operator.policy_status is not None

        if not operator.wait_until(is_ready, STARTUP_LIMIT_S):
            raise DemoError(f"the stack is not ready after {STARTUP_LIMIT_S:.0f} s")
        if not operator.wait_for_active("recorder", STARTUP_LIMIT_S):
            raise DemoError(f"the recorder is not active after {STARTUP_LIMIT_S:.0f} s")

    def _home(self, operator: Operator) -> None:
        operator.node.create_timer(0.02, lambda: self._note_motion(operator))
        operator.home()

    def _note_motion(self, operator: Operator) -> None:
        arm = operator.arm_state
        moves = arm is not None and max(map(abs, arm.joint_velocities)) > _MOTION_RAD_S
        if moves and self._first_motion_s == 0.0:
            self._first_motion_s = self._elapsed_s()

    def _watch(self, operator: Operator, task: str) -> tuple[bool, float, float, float]:
        """Wait for success, the time limit, or the arm to stop by itself."""
        begun_s, begun_wall_s = operator.time_s(), time.monotonic()
        done_s: float | None = None
        success, measure = False, 0.0
        with self._console.status("") as status:
            while True:
                now_s = operator.time_s()
                success, measure = operator.check_success(task)
                if success and done_s is None:
                    done_s = now_s
                status.update(
                    f"{now_s - begun_s:5.1f} s simulated, measure {measure:.3f}"
                    + (", done" if success else "")
                )
                if self._is_over(operator, now_s - begun_s, done_s and now_s - done_s):
                    break
                operator.wait_until(lambda: False, _CHECK_PERIOD_S)
        wall_s = time.monotonic() - begun_wall_s
        duration_s = (now_s if done_s is None else done_s) - begun_s
        self._say(f"{'success' if success else 'no success'} after {duration_s:.1f} s simulated")
        return success, measure, duration_s, (now_s - begun_s) / wall_s

    def _is_over(self, operator: Operator, elapsed_s: float, since_done_s: float | None) -> bool:
        if since_done_s is not None:
            return since_done_s >= _AFTERGLOW_S
        arm = operator.arm_state
        # The first state with the lease may be on its way for a moment.
        has_stopped = elapsed_s > 1.0 and arm is not None and arm.lease_holder != "policy"
        return elapsed_s >= self._settings.limit_s or has_stopped

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._settings.started_s

    def _say(self, text: str) -> None:
        self._console.print(f"{self._elapsed_s():6.1f} s  {text}")

    @contextmanager
    def _step(self, text: str) -> Iterator[None]:
        with self._console.status(text):
            yield
        self._say(text)
