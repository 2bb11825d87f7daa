"""Keeps the blocking gripper away from everything that must not wait."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mail_franka.arm_config import GripperConfig
from mail_policy.core.devices import DeviceError, Gripper
from mail_policy.core.types import GripperReading

_LOGGER = logging.getLogger(__name__)


class Grip(StrEnum):
    """What a hand is told to do."""

    OPEN = "open"
    CLOSE = "close"


def decide_grip(width_m: float, now: Grip | None, config: GripperConfig) -> Grip | None:
    """Turn a wanted width into a grip, with hysteresis.

    Args:
        width_m: Wanted width [m].
        now: The grip that holds now, None before the first command.
        config: The thresholds.
    """
    if width_m < config.close_below_m:
        return Grip.CLOSE
    if width_m > config.open_above_m:
        return Grip.OPEN
    return now


@dataclass(frozen=True, slots=True)
class GripperView:
    """What is known of the gripper.

    Attributes:
        reading: The newest reading, None before the first.
        target_width_m: Width of the last command [m].
        is_moving: A command runs.
        fault: Why the gripper does not answer, "" while it does.
    """

    reading: GripperReading | None
    target_width_m: float
    is_moving: bool
    fault: str


class GripperWorker:
    """Commands a gripper from one thread and reads it from another.

    Only the newest wish counts: a hand that is busy goes on with the last one when it is done.

    Args:
        gripper: The hand, already open.
        config: Thresholds, speed and force.
        steady_s: A clock that never jumps [s].
    """

    def __init__(
        self, gripper: Gripper, config: GripperConfig, steady_s: Callable[[], float]
    ) -> None:
        self._gripper = gripper
        self._config = config
        self._steady_s = steady_s
        self._wake = threading.Condition()
        self._wanted: Grip | None = None
        self._done: Grip | None = None
        self._view = GripperView(None, 0.0, False, "")
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(task, name), name=name, daemon=True)
            for task, name in (
                (self._command_when_wanted, "gripper commands"),
                (self._read_once, "gripper readings"),
            )
        ]

    def start(self) -> None:
        """Start both threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 1.5) -> None:
        """End all threads; a command under way is interrupted, the fingers stay where they are.

        A thread inside the vendor's library must not outlive this: it would abort the process at
        its end. A hand that does not even answer a stop is given up after the limit.
        """
        self._stopping.set()
        with self._wake:
            self._wake.notify_all()
            is_moving = self._view.is_moving
        if is_moving:
            interrupt = threading.Thread(target=self._interrupt, name="gripper stop", daemon=True)
            self._threads.append(interrupt)
            interrupt.start()
        deadline_s = self._steady_s() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - self._steady_s()))
        late = [thread.name for thread in self._threads if thread.is_alive()]
        if late:
            _LOGGER.error("still busy after %.1f s: %s", timeout_s, ", ".join(late))

    def _interrupt(self) -> None:
        try:
            self._gripper.stop()
        except DeviceError as error:
            _LOGGER.error("could not stop the hand: %s", error)

    def want(self, width_m: float) -> None:
        """Say the wanted width [m]. Never waits."""
        with self._wake:
            grip = decide_grip(width_m, self._wanted, self._config)
            if grip is not self._wanted:
                self._wanted = grip
                self._wake.notify_all()

    def view(self) -> GripperView:
        """Return what is known now. Never waits for the hand."""
        with self._wake:
            return self._view

    def _run(self, task: Callable[[], None], name: str) -> None:
        while not self._stopping.is_set():
            try:
                task()
            except DeviceError as error:
                _LOGGER.error("%s: %s", name, error)
                self._note(fault=str(error))
                self._stopping.wait(1.0)

    def _command_when_wanted(self) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._stopping.is_set() or self._wanted is not self._done)
            grip = self._wanted
        if self._stopping.is_set() or grip is None:
            return
        started_s = self._steady_s()
        max_width_m = self._view.reading.max_width_m if self._view.reading else 0.08
        self._note(is_moving=True, target_width_m=max_width_m if grip is Grip.OPEN else 0.0)
        try:
            self._carry_out(grip, max_width_m)
            self._done = grip
        finally:
            self._note(is_moving=False)
        left_s = self._config.command_period_s - (self._steady_s() - started_s)
        self._stopping.wait(max(0.0, left_s))

    def _carry_out(self, grip: Grip, max_width_m: float) -> None:
        if grip is Grip.CLOSE:
            held = self._gripper.grasp(self._config.force_n, self._config.speed_m_s)
            _LOGGER.info("gripper closed %s", "on an object" if held else "on nothing")
        elif not self._gripper.move(max_width_m, self._config.speed_m_s):
            _LOGGER.warning("gripper did not open fully")

    def _read_once(self) -> None:
        reading = self._gripper.read()
        self._note(reading=reading, fault="")
        self._stopping.wait(self._config.read_period_s)

    def _note(
        self,
        *,
        reading: GripperReading | None = None,
        target_width_m: float | None = None,
        is_moving: bool | None = None,
        fault: str | None = None,
    ) -> None:
        with self._wake:
            old = self._view
            self._view = GripperView(
                old.reading if reading is None else reading,
                old.target_width_m if target_width_m is None else target_width_m,
                old.is_moving if is_moving is None else is_moving,
                old.fault if fault is None else fault,
            )
