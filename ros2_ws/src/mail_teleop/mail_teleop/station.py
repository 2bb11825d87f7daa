"""Joins a device, a second device with the switch or keys, and the pace of commands. No ROS."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from mail_policy.core.frames import Array
from mail_policy.core.types import TeleopCommand
from mail_teleop.mapping import ArmView, CommandMaker, MappingConfig
from mail_teleop.readings import DeviceReading, GripperAction, OperatorKey

# While the switch is held: the arm takes silence of 0.1 s for a loss.
HELD_PERIOD_S = 0.02
# Otherwise: often enough that the arm sees the switch open before it is pressed.
OPEN_PERIOD_S = 0.1
# A switch on a second device that says nothing for so long is open [s].
_SWITCH_SILENCE_S = 0.1
# The pose of a tool that moves is not that of so long ago [s].
_POSE_AGE_S = 0.3
_STOPS = {OperatorKey.ESTOP, OperatorKey.STOP}
_OF_THE_MAPPING = {OperatorKey.FASTER, OperatorKey.SLOWER}


@dataclass(frozen=True, slots=True)
class StationStatus:
    """How the device does.

    Attributes:
        is_held: The arm is told that the switch is held.
        speed_share: The chosen share of full speed.
        glitches: Readings that made no sense.
        silent_for_s: Time since the last reading [s].
        is_lost: The device has gone.
        problem: Why the arm does not follow, "" if it does or would.
    """

    is_held: bool
    speed_share: float
    glitches: int
    silent_for_s: float
    is_lost: bool
    problem: str


class TeleopStation:
    """Takes the readings of all devices, and decides which commands are sent when.

    Its methods may be called from the devices' threads. `now_s` is steady time, `stamp_s` the
    clock of the observations.
    """

    def __init__(
        self,
        source: str,
        config: MappingConfig,
        send: Callable[[TeleopCommand], None],
        on_key: Callable[[OperatorKey], None],
        *,
        has_switch_elsewhere: bool,
    ) -> None:
        """Describe the station.

        Args:
            source: Name of the device.
            config: What its readings mean.
            send: Sends a command.
            on_key: Carries out what a key asks of others than the arm's motion.
            has_switch_elsewhere: The dead-man switch is on a second device.
        """
        self._source, self._config = source, config
        self._send, self._on_key = send, on_key
        self._has_switch_elsewhere = has_switch_elsewhere
        self._lock = threading.RLock()
        self._arm, self._arm_seen_at_s = ArmView(), float("-inf")
        self.begin(0.0)

    def begin(self, now_s: float) -> None:
        """Forget everything that was heard."""
        with self._lock:
            self._maker = CommandMaker(self._source, self._config)
            self._last = DeviceReading()
            self._heard_at_s = now_s
            self._loss = ""
            self._switch_is_held, self._switch_heard_at_s = False, now_s
            self._pending_keys: tuple[OperatorKey, ...] = ()
            self._pending_gripper: GripperAction | None = None
            self._sent_dead_man, self._due_s = False, now_s

    def status(self, now_s: float) -> StationStatus:
        """Return how the device does."""
        with self._lock:
            return StationStatus(
                is_held=self._maker.is_held,
                speed_share=self._maker.speed_share,
                glitches=self._maker.glitches,
                silent_for_s=now_s - self._heard_at_s,
                is_lost=bool(self._loss),
                problem=self._loss or self._maker.problem,
            )

    def see_tool(self, rotation_tcp_to_base: Array | None, now_s: float) -> None:
        """Hear how the tool is turned, shape (3, 3)."""
        with self._lock:
            self._arm = replace(self._arm, rotation_tcp_to_base=rotation_tcp_to_base)
            self._arm_seen_at_s = now_s

    def see_gripper(self, width_m: float) -> None:
        """Hear the distance between the fingers [m]."""
        with self._lock:
            self._arm = replace(self._arm, gripper_width_m=width_m)

    def on_reading(self, reading: DeviceReading, now_s: float, stamp_s: float) -> None:
        """Take a reading of the device that the person moves."""
        with self._lock:
            self._heard_at_s, self._loss = now_s, ""
            self._last = replace(reading, keys=(), gripper=None)
            merged = replace(
                reading,
                dead_man=self._switch(reading, now_s),
                keys=self._pending_keys + reading.keys,
                gripper=reading.gripper or self._pending_gripper,
            )
            self._pending_keys, self._pending_gripper = (), None
            self._emit(self._maker.make(merged, stamp_s, self._arm_now(now_s)), now_s)
        self._tell(reading.keys)

    def on_helper(
        self, reading: DeviceReading, now_s: float, stamp_s: float, *, is_switch: bool
    ) -> None:
        """Take a reading of a second device; one of them may carry the switch."""
        with self._lock:
            if _STOPS & set(reading.keys):
                self._emit(self._maker.lose(stamp_s, "stopped by the person"), now_s)
            self._pending_keys += tuple(set(reading.keys) & _OF_THE_MAPPING)
            self._pending_gripper = reading.gripper or self._pending_gripper
            if is_switch:
                self._switch_is_held, self._switch_heard_at_s = reading.dead_man, now_s
                if self._maker.is_held and not reading.dead_man:
                    released = replace(self._last, dead_man=False)
                    self._emit(self._maker.make(released, stamp_s, self._arm_now(now_s)), now_s)
        self._tell(reading.keys)

    def on_silence(self, now_s: float, stamp_s: float) -> None:
        """Hear that the state of the device is not known."""
        with self._lock:
            silent_s = now_s - self._heard_at_s
            if self._maker.is_held and silent_s > self._config.silence_s:
                problem = f"nothing heard of the {self._source} for {silent_s:.2f} s"
                self._emit(self._maker.lose(stamp_s, problem), now_s)

    def on_loss(self, problem: str, now_s: float, stamp_s: float) -> None:
        """Hear that the device has gone: the switch opens at once, then nothing is sent."""
        with self._lock:
            self._loss = problem
            was_held = self._maker.is_held
            command = self._maker.lose(stamp_s, "release the dead-man switch first")
            if was_held:
                self._emit(command, now_s)

    def _arm_now(self, now_s: float) -> ArmView:
        if now_s - self._arm_seen_at_s <= _POSE_AGE_S:
            return self._arm
        return replace(self._arm, rotation_tcp_to_base=None)

    def _switch(self, reading: DeviceReading, now_s: float) -> bool:
        if not self._has_switch_elsewhere:
            return reading.dead_man
        return self._switch_is_held and now_s - self._switch_heard_at_s <= _SWITCH_SILENCE_S

    def _emit(self, command: TeleopCommand | None, now_s: float) -> None:
        if command is None:
            return
        period_s = HELD_PERIOD_S if command.dead_man else OPEN_PERIOD_S
        has_changed = command.dead_man != self._sent_dead_man
        if not has_changed and now_s < self._due_s:
            return
        self._sent_dead_man = command.dead_man
        # On a schedule, so that the pace of the readings does not slow that of the commands.
        self._due_s = now_s + period_s if has_changed else max(self._due_s, now_s - period_s)
        if not has_changed:
            self._due_s += period_s
        self._send(command)

    def _tell(self, keys: tuple[OperatorKey, ...]) -> None:
        for key in keys:
            if key not in _OF_THE_MAPPING:
                self._on_key(key)
