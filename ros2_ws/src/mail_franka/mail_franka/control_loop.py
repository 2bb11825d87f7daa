"""The thread that paces the motion core by the robot's clock and streams its set-points."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from queue import SimpleQueue

from mail_franka.arm_config import LoopConfig
from mail_franka.clock_probe import ClockProbe
from mail_franka.reconnection import Reconnection
from mail_franka.robot_clock import RobotClock
from mail_policy.core.devices import Arm, ArmError
from mail_policy.core.motion.core import MotionCore
from mail_policy.core.motion.values import (
    Command,
    CommandName,
    MotionInputs,
    MotionOutputs,
    Reply,
)
from mail_policy.core.types import ActionChunk, ArmReading, TeleopCommand

_LOGGER = logging.getLogger(__name__)
_IDLE_S = 0.02
_BRAKE_S = 1.5
_SHORTEST_SLEEP_S = 0.0005


@dataclass(frozen=True, slots=True, eq=False)
class LoopTick:
    """What happened in one tick.

    Attributes:
        observation_time_s: Of the reading, on the clock that stamps observations [s].
        reading: The state of the arm, None while there is no link.
        outputs: What the motion core decided.
    """

    observation_time_s: float
    reading: ArmReading | None
    outputs: MotionOutputs


@dataclass(slots=True)
class Heard:
    """What others want of the arm: the newest of each kind since the last tick.

    Attributes:
        chunk: An action chunk.
        heartbeat: The lease that a policy named, and when it said so on its own clock [s].
        teleop: A person's command.
        estop_beat: The emergency stop's heartbeat: true while nobody pressed it.
        chunk_publishers: How many programs offer action chunks.
    """

    chunk: ActionChunk | None = None
    heartbeat: tuple[int, float] | None = None
    teleop: TeleopCommand | None = None
    estop_beat: bool | None = None
    chunk_publishers: int = 1


class ControlLoop:
    """Reads the arm, asks the motion core, obeys it.

    Args:
        arm: The arm, already open. Only the loop's thread uses it from `start` on.
        core: The motion core.
        config: How to watch the robot's clock.
        tick_s: Time between set-points [s], by the robot's clock.
        clock: Translates robot time.
        observation_now_s: The clock that stamps observations [s]; 0 while it is unknown.
        poll_inputs: Called before each tick, from the loop's thread: returns what was heard since
            the last call; must not wait.
        on_tick: Called after each tick, from the loop's thread; must not wait.
    """

    def __init__(
        self,
        arm: Arm,
        core: MotionCore,
        config: LoopConfig,
        *,
        tick_s: float,
        clock: RobotClock,
        observation_now_s: Callable[[], float],
        poll_inputs: Callable[[], Heard],
        on_tick: Callable[[LoopTick], None],
    ) -> None:
        self._arm = arm
        self._core = core
        self._config = config
        self._tick_s = tick_s
        self._clock = clock
        self._observation_now_s = observation_now_s
        self._poll_inputs = poll_inputs
        self._on_tick = on_tick
        self._policy_clock = ClockProbe()
        self._clock_offset_s: float | None = None
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._numbers = count(1)
        self._waiting: dict[int, tuple[threading.Event, list[Reply]]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._controlling = False
        self._fault = ""
        self._recovered: bool | None = None
        self._last_robot_time_s = float("-inf")
        self._reconnection: Reconnection | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Brake, give control back, end the thread."""
        if self._thread.is_alive():
            self._commands.put(Command(CommandName.SHUTDOWN))
            deadline_s = time.monotonic() + _BRAKE_S
            while self._controlling and time.monotonic() < deadline_s:
                time.sleep(0.005)
        self._stopping.set()
        self._thread.join(_BRAKE_S)

    def request(self, name: CommandName, task: str = "", max_duration_s: float = 0.0) -> Reply:
        """Make an operator's request and wait for the answer."""
        command = Command(name, next(self._numbers), task, max_duration_s)
        answered: tuple[threading.Event, list[Reply]] = (threading.Event(), [])
        self._waiting[command.number] = answered
        self._commands.put(command)
        answered[0].wait(self._config.reply_s)
        del self._waiting[command.number]
        if answered[1]:
            return answered[1][0]
        return Reply(command.number, False, f"no answer within {self._config.reply_s} s")

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._step()
        except Exception:
            _LOGGER.exception("the control loop failed; the arm is released")
        finally:
            self._release()

    def _step(self) -> None:
        reading = self._next_reading()
        now_s = self._observation_time(reading)
        heard = self._poll_inputs()
        heartbeat_epoch = self._note_heartbeat(heard)
        fault, recovered = self._fault, self._recovered
        self._fault, self._recovered = "", None
        inputs = MotionInputs(
            reading=reading,
            arm_fault=fault,
            commands=self._take_commands(),
            chunk=heard.chunk,
            heartbeat_epoch=heartbeat_epoch,
            clock_offset_s=self._clock_offset_s,
            chunk_publishers=heard.chunk_publishers,
            teleop=heard.teleop,
            estop_beat=heard.estop_beat,
            recovered=recovered,
        )
        outputs = self._core.step(inputs, now_s)
        self._obey(outputs)
        for reply in outputs.replies:
            self._deliver(reply)
        self._on_tick(LoopTick(now_s, reading, outputs))

    def _take_commands(self) -> tuple[Command, ...]:
        # Only this thread takes, so what was counted is there.
        return tuple(self._commands.get() for _ in range(self._commands.qsize()))

    def _note_heartbeat(self, heard: Heard) -> int | None:
        """Learn about the policy's clock; return the lease that it named, None if it was silent."""
        if heard.heartbeat is None:
            return None
        lease_epoch, sent_at_s = heard.heartbeat
        self._policy_clock.add(sent_at_s, self._observation_now_s())
        self._clock_offset_s = self._policy_clock.offset_s
        return lease_epoch

    def _next_reading(self) -> ArmReading | None:
        """Wait until the robot's clock has moved on by a tick. None if the link is lost."""
        if self._reconnection is not None and not self._is_connected_again():
            self._stopping.wait(_IDLE_S)
            return None
        deadline_s = time.monotonic() + self._config.stall_s
        while True:
            try:
                reading = self._arm.read()
            except ArmError as error:
                self._lose_link(str(error))
                return None
            passed_s = reading.robot_time_s - self._last_robot_time_s
            if passed_s >= self._tick_s - 1e-6 or passed_s < 0.0:
                self._last_robot_time_s = reading.robot_time_s
                return reading
            if self._lost_control(reading) or self._stopping.is_set():
                return reading
            if time.monotonic() > deadline_s:
                # Any call to such a robot may block for a second, so none is made from here.
                self._lose_link(f"the robot's clock stands still for {self._config.stall_s} s")
                return None
            time.sleep(max(_SHORTEST_SLEEP_S, 0.8 * (self._tick_s - passed_s)))

    def _lost_control(self, reading: ArmReading) -> bool:
        return self._controlling and not reading.in_control

    def _lose_link(self, cause: str) -> None:
        self._fault = cause
        self._controlling = False
        self._reconnection = Reconnection(self._arm, self._config.reconnect_s)

    def _is_connected_again(self) -> bool:
        if self._reconnection is None or not self._reconnection.is_done:
            return False
        self._reconnection = None
        self._last_robot_time_s = float("-inf")
        return True

    def _observation_time(self, reading: ArmReading | None) -> float:
        now_s = self._observation_now_s()
        if reading is None:
            return now_s
        if now_s > 0.0:
            self._clock.add(reading.robot_time_s, now_s)
        return self._clock.to_observation_time(reading.robot_time_s)

    def _obey(self, outputs: MotionOutputs) -> None:
        try:
            if outputs.hard_stop or (self._controlling and not outputs.wants_control):
                self._arm.release_control()
                self._controlling = False
            elif outputs.wants_control and not self._controlling and not self._fault:
                self._arm.take_control()
                self._controlling = True
            if self._controlling and outputs.set_point is not None:
                self._arm.follow(outputs.set_point)
            if outputs.wants_recovery:
                self._recovered = self._arm.recover()
        except ArmError as error:
            self._fault = str(error)
            if outputs.wants_recovery:
                self._recovered = False

    def _deliver(self, reply: Reply) -> None:
        answered = self._waiting.get(reply.number)
        if answered is not None:
            answered[1].append(reply)
            answered[0].set()

    def _release(self) -> None:
        if self._reconnection is not None:
            self._reconnection.stop()
            return
        try:
            self._arm.release_control()
        except ArmError as error:
            _LOGGER.error("releasing the arm failed: %s", error)
        self._controlling = False
