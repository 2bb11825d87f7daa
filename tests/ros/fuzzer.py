"""Messages that must never move the arm: broken bytes, broken values, broken order."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from mail_msgs.msg import ActionChunk, PolicyStatus, TeleopCommand
from rclpy.serialization import serialize_message
from std_msgs.msg import Bool

from mail_policy.core.action_schema import EE_DELTA, POLICY_RATE_HZ
from mail_ros.conversions import seconds_to_stamp

NASTY = (float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 1e20, -1.0, 1e3, 0.5, -0.5)
TOPICS: dict[str, Any] = {
    "policy/action_chunk": ActionChunk,
    "policy/status": PolicyStatus,
    "teleop/command": TeleopCommand,
    "estop/heartbeat": Bool,
}
HUGE_BYTES = 200_000


class Fuzzer:
    """Makes hostile messages around a lease.

    Args:
        seed: Of all choices.
        now_s: The clock of the stack [s].
        lease: Epoch and task of the lease that holds now.
    """

    def __init__(
        self, seed: int, now_s: Callable[[], float], lease: Callable[[], tuple[int, str]]
    ) -> None:
        self._random = random.Random(seed)
        self._now_s = now_s
        self._lease = lease
        self._sequence = 0
        self._sent: list[bytes] = []
        self.kinds: dict[str, int] = {}

    def next(self) -> tuple[str, bytes]:
        """Return a topic and a serialised message for it."""
        make = self._random.choice(
            (
                *[self._bad_chunk] * 5,
                *[self._broken_bytes] * 3,
                *(self._bad_teleop, self._foreign_heartbeat, self._replay, self._huge),
                self._random_bytes,
            )
        )
        topic, raw = make()
        name = make.__name__.strip("_")
        self.kinds[name] = self.kinds.get(name, 0) + 1
        return topic, raw

    def sound_chunk(self, **changes: Any) -> ActionChunk:
        """Return a chunk that would be admitted and moves nothing."""
        self._sequence += 1
        epoch, task = self._lease()
        values = np.zeros((16, EE_DELTA.size))
        values[:, 6] = 0.08
        fields: dict[str, Any] = {
            "observed_at": seconds_to_stamp(self._now_s() - 0.02),
            "step_period": 1.0 / POLICY_RATE_HZ,
            "schema": EE_DELTA.id_at(POLICY_RATE_HZ),
            "action_size": EE_DELTA.size,
            "values": values.ravel().tolist(),
            "lease_epoch": epoch,
            "sequence": self._sequence,
            "task": task,
        }
        return ActionChunk(**(fields | changes))

    def _moving(self) -> list[float]:
        values = np.zeros((16, EE_DELTA.size))
        values[:, self._random.randrange(3)] = self._random.choice((-0.012, 0.012))
        values[:, 6] = 0.08
        return values.ravel().tolist()

    def _bad_chunk(self) -> tuple[str, bytes]:
        """A well-formed message with one defect; without it the arm would move."""
        pick, now_s = self._random.choice, self._now_s()
        epoch, _ = self._lease()
        moving = self._moving()
        spoilt = list(moving)
        spoilt[self._random.randrange(len(spoilt))] = pick(NASTY)
        # Whole rows would be a sound, shorter chunk.
        cut = EE_DELTA.size * self._random.randrange(16) + self._random.randrange(1, EE_DELTA.size)
        defect: dict[str, Any] = pick(
            (
                {"values": spoilt},
                {"values": moving[:cut]},
                {"action_size": pick((0, 1, 6, 8, 65535))},
                {"observed_at": seconds_to_stamp(now_s - pick((0.3, 1.0, 3600.0, 1e6)))},
                {"observed_at": seconds_to_stamp(now_s + pick((0.1, 1.0, 3600.0)))},
                {"step_period": pick((0.0, -0.05, 0.01, 1.0, *NASTY[:4]))},
                {"schema": pick(("", "ee_delta", "joint_position", "x" * 64))},
                {"lease_epoch": pick((0, epoch - 1, epoch + 1, 2**63))},
                {"task": pick(("", "another task", "\u202e" * 80, "x" * 256))},
                {"values": [0.08] * (7 * 100)},
            )
        )
        chunk = self.sound_chunk(**({"values": moving} | defect))
        return "policy/action_chunk", serialize_message(chunk)

    def _replay(self) -> tuple[str, bytes]:
        """A message that was sent before: duplicated, or out of order."""
        if self._sent and self._random.random() < 0.8:
            return "policy/action_chunk", self._random.choice(self._sent)
        raw = serialize_message(self.sound_chunk())
        self._sent = [*self._sent[-20:], raw]
        return "policy/action_chunk", raw

    def _bad_teleop(self) -> tuple[str, bytes]:
        """A person whose switch was never open, with or without nonsense."""
        self._sequence += 1
        pick = self._random.choice
        msg = TeleopCommand(
            source=pick(("a", "b", "")),
            sequence=self._sequence,
            dead_man=True,
            kind=pick((0, 1, 2, 255)),
            gripper_width=pick(NASTY),
        )
        msg.header.stamp = seconds_to_stamp(self._now_s() + pick((0.0, -1.0, 1.0)))
        msg.twist.linear.x = pick((*NASTY, 0.1))
        msg.joint_positions = [pick(NASTY) for _ in range(7)]
        return "teleop/command", serialize_message(msg)

    def _foreign_heartbeat(self) -> tuple[str, bytes]:
        msg = PolicyStatus(lease_epoch=self._random.randrange(2**63), task="x" * 200)
        msg.header.stamp = seconds_to_stamp(self._now_s())
        return "policy/status", serialize_message(msg)

    def _broken_bytes(self) -> tuple[str, bytes]:
        """A sound message with flipped, cut or added bytes; its lease is a foreign one."""
        topic = self._random.choice(list(TOPICS))
        kind = TOPICS[topic]
        sound = self.sound_chunk(lease_epoch=7) if kind is ActionChunk else kind()
        raw = bytearray(serialize_message(sound))
        for _ in range(self._random.randrange(1, 8)):
            raw[self._random.randrange(len(raw))] = self._random.randrange(256)
        if self._random.random() < 0.5:
            del raw[self._random.randrange(len(raw)) :]
        if topic == "estop/heartbeat":
            # Any other byte than 0 would be a sound beat, and 0 a sound press.
            raw = raw[:4]
        return topic, bytes(raw)

    def _random_bytes(self) -> tuple[str, bytes]:
        topic = self._random.choice(("policy/action_chunk", "policy/status", "teleop/command"))
        return topic, self._random.randbytes(self._random.randrange(400))

    def _huge(self) -> tuple[str, bytes]:
        """Far more than the type allows."""
        topic = self._random.choice(("policy/action_chunk", "teleop/command"))
        return topic, b"\x00\x01\x00\x00" + self._random.randbytes(8) * (HUGE_BYTES // 8)
