"""Keeps the blocking gripper away from everything that must not wait."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

from mail_franka.arm_config import GripperConfig
from mail_franka.gripper_desk import GripperDesk
from mail_franka.gripper_status import GripperStatus
from mail_franka.gripper_values import GripperResult, GripperView, HandGoal, Order, order_for
from mail_policy.core.devices import DeviceError, Gripper

_LOGGER = logging.getLogger(__name__)
_AT_THE_END = "the arm node was deactivated"
# A stop that comes before the vendor's library has sent the command is lost [s].
_HALT_AGAIN_S = 0.3


class GripperWorker:
    """Commands a gripper from one thread, reads it from another, stops it from a third.

    The hand belongs to the arm while that moves under a lease; of its wishes only the newest
    counts. Otherwise it obeys operators and other programs, one command at a time. No method
    but `stop` waits for the hand; futures say how a command ended. Their callbacks run under the
    worker's lock.

    Args:
        gripper: The hand, already open.
        config: Thresholds, limits and times.
        steady_s: A clock that never jumps [s].
    """

    def __init__(
        self, gripper: Gripper, config: GripperConfig, steady_s: Callable[[], float]
    ) -> None:
        self._gripper = gripper
        self._config = config
        self._steady_s = steady_s
        self._wake = threading.Condition()
        self._stopping = threading.Event()
        self._status = GripperStatus()
        self._desk = GripperDesk(config)
        self._running: Order | None = None
        self._deadline_s: float | None = None
        self._next_command_s = float("-inf")
        self._interruption = ""
        self._is_halting = False
        self._halts: list[Future[GripperResult]] = []
        self._threads = [
            threading.Thread(target=task, name=name, daemon=True)
            for task, name in (
                (self._command, "gripper commands"),
                (self._read, "gripper readings"),
                (self._halt_when_due, "gripper stop"),
            )
        ]

    def start(self) -> None:
        """Start all threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 1.5) -> None:
        """End all threads; a command under way is interrupted, the fingers stay where they are.

        A thread inside the vendor's library must not outlive this: it would abort the process at
        its end. A hand that does not even answer a stop is given up after the limit.
        """
        with self._wake:
            self._stopping.set()
            self._interruption = self._interruption or _AT_THE_END
            self._wake.notify_all()
        deadline_s = self._steady_s() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - self._steady_s()))
        late = [thread.name for thread in self._threads if thread.is_alive()]
        if late:
            _LOGGER.error("still busy after %.1f s: %s", timeout_s, ", ".join(late))
        with self._wake:
            orders = [order for order in (self._desk.drop(), self._running) if order is not None]
            for answer in [order.answer for order in orders] + self._halts:
                self._resolve(answer, _AT_THE_END)

    def view(self) -> GripperView:
        """Return what is known now."""
        with self._wake:
            return self._status.view

    def follow(self, owner: str, width_m: float | None) -> None:
        """Say who holds a lease on the arm, and which width that holder wants.

        Args:
            owner: "policy", "teleop" or "homing"; "" while the arm may not move.
            width_m: Wanted width [m], None for no wish.
        """
        with self._wake:
            taken = self._desk.follow(owner, width_m)
            if taken:
                self._drop(taken)
                if self._running is not None and self._running.grip is None:
                    self._interrupt(taken, Future())
            if self._desk.has_order(self._status.link_fault):
                self._wake.notify_all()

    def pursue(self, goal: HandGoal) -> Future[GripperResult]:
        """Do what an operator or a program asks for."""
        with self._wake:
            order = order_for(goal, self._status.view.reading, self._config)
            refused = self._desk.refusal(self._running, self._status.link_fault)
            if self._stopping.is_set():
                refused = _AT_THE_END
            if refused:
                self._resolve(order.answer, refused)
            else:
                self._desk.ask(order)
                self._wake.notify_all()
        return order.answer

    def halt(self) -> Future[GripperResult]:
        """Stop the fingers where they are, whoever moves them."""
        answer: Future[GripperResult] = Future()
        with self._wake:
            if self._stopping.is_set():
                self._resolve(answer, _AT_THE_END)
                return answer
            self._desk.settle()
            self._drop("stopped on request")
            self._interrupt("stopped on request", answer)
        return answer

    def _drop(self, reason: str) -> None:
        order = self._desk.drop()
        if order is not None:
            self._resolve(order.answer, reason)

    def _interrupt(self, reason: str, answer: Future[GripperResult]) -> None:
        self._interruption = reason
        self._halts.append(answer)
        self._wake.notify_all()

    def _command(self) -> None:
        while (order := self._next_order()) is not None:
            try:
                failure = self._carry_out(order)
            except DeviceError as error:
                failure = str(error)
                self._lose_link(failure)
                with self._wake:
                    if not self._interruption:
                        self._desk.put_back(order)
            self._finish(order, failure)

    def _carry_out(self, order: Order) -> str:
        is_done = order.run(self._gripper)
        reading = self._gripper.read()
        with self._wake:
            self._status.accept(reading)
        return "" if is_done else f"the hand could not {order.name}"

    def _next_order(self) -> Order | None:
        """Wait until there is a command and the hand may have one; None at the end."""
        with self._wake:
            while not self._stopping.is_set():
                wait_s = self._next_command_s - self._steady_s()
                if self._is_halting or not self._desk.has_order(self._status.link_fault):
                    self._wake.wait()
                elif wait_s > 0.0:
                    self._wake.wait(wait_s)
                else:
                    return self._begin()
        return None

    def _begin(self) -> Order:
        order = self._desk.take(self._status.view.reading)
        now_s = self._steady_s()
        self._next_command_s = now_s + self._config.command_period_s
        self._running, self._deadline_s = order, now_s + order.allowed_s
        self._interruption = ""
        self._status.begin(order.target_width_m)
        self._wake.notify_all()
        return order

    def _finish(self, order: Order, failure: str) -> None:
        with self._wake:
            reason = failure and (self._interruption or failure)
            if reason:
                _LOGGER.warning("gripper %s: %s", order.name, reason)
            self._running = self._deadline_s = None
            self._status.end(is_done=not failure)
            self._resolve(order.answer, reason)
            self._wake.notify_all()

    def _halt_when_due(self) -> None:
        while True:
            with self._wake:
                while not self._must_halt():
                    self._wake.wait(self._time_left_s())
                if self._is_late():
                    self._give_up()
                is_last = self._stopping.is_set()
                self._is_halting = bool(self._halts) or self._running is not None
            failure = self._stop_fingers() if self._is_halting else ""
            with self._wake:
                self._end_halt(failure)
            if is_last:
                return

    def _end_halt(self, failure: str) -> None:
        self._is_halting = False
        self._status.touch()
        for answer in self._halts:
            self._resolve(answer, failure)
        self._halts.clear()
        if self._running is not None:
            self._deadline_s = self._steady_s() + _HALT_AGAIN_S
        self._wake.notify_all()

    def _must_halt(self) -> bool:
        return bool(self._halts) or self._is_late() or self._stopping.is_set()

    def _is_late(self) -> bool:
        return self._deadline_s is not None and self._steady_s() >= self._deadline_s

    def _time_left_s(self) -> float | None:
        return None if self._deadline_s is None else max(0.0, self._deadline_s - self._steady_s())

    def _give_up(self) -> None:
        order = self._running
        assert order is not None
        if not self._interruption:
            self._interruption = f"{order.name} did not end within {order.allowed_s:.1f} s"
            self._status.give_up(f"{self._interruption} and was stopped")
        self._resolve(order.answer, self._interruption)

    def _stop_fingers(self) -> str:
        try:
            self._gripper.stop()
        except DeviceError as error:
            _LOGGER.error("could not stop the hand: %s", error)
            return str(error)
        return ""

    def _read(self) -> None:
        while not self._stopping.is_set():
            with self._wake:
                moment, must_reopen = self._status.moment, self._status.must_reopen
            try:
                if must_reopen and not self._reopen():
                    return
                reading = self._gripper.read()
            except DeviceError as error:
                self._lose_link(str(error))
                continue
            with self._wake:
                self._status.accept(reading, moment)
                self._wake.notify_all()
            self._stopping.wait(self._config.read_period_s)

    def _reopen(self) -> bool:
        """Build a new connection after a while; False if there is no time left for that."""
        if self._stopping.wait(self._config.reopen_s):
            return False
        self._gripper.__exit__(None, None, None)
        self._gripper.__enter__()
        with self._wake:
            self._status.reopen()
        return True

    def _lose_link(self, fault: str) -> None:
        _LOGGER.error("hand: %s", fault)
        with self._wake:
            self._status.lose_link(fault)

    def _resolve(self, answer: Future[GripperResult], failure: str) -> None:
        if not answer.done():
            answer.set_result(GripperResult(not failure, failure, self._status.view.reading))
