"""Sends what a fuzzer makes to the arm's process."""

import time

from mail_msgs.msg import ActionChunk, PolicyStatus
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message

from mail_bringup.operator_node import OperatorError
from mail_ros.conversions import seconds_to_stamp
from tests.ros.arm_rig import TASK, ArmRig
from tests.ros.fuzzer import TOPICS, Fuzzer

# A little less than one message per topic and control tick, so that each is read.
RATE_HZ = 90.0
BEAT_EVERY = 10


class HostileSender:
    """Sends messages at a steady rate, and keeps granting a lease that they can meet.

    Args:
        rig: Arm and robot.
        seed: Of all choices.
    """

    def __init__(self, rig: ArmRig, seed: int) -> None:
        self.rig = rig
        self._period_s = rig.slowdown / RATE_HZ
        self.fuzzer = Fuzzer(seed, rig.operator.time_s, self.lease)
        # Our own operator need not decode what only the arm must survive.
        for subscription in list(rig.node.subscriptions):
            if subscription.topic_name.lstrip("/") in TOPICS:
                rig.node.destroy_subscription(subscription)
        self._publishers = {
            topic: rig.node.create_publisher(kind, topic, QoSProfile(depth=1))
            for topic, kind in TOPICS.items()
        }
        self._next_s = dict.fromkeys(TOPICS, 0.0)
        self.revivals = self._sent = 0

    def lease(self) -> tuple[int, str]:
        """Return epoch and task of the lease."""
        return int(self.rig.states[-1].lease_epoch), TASK

    def send_next(self) -> None:
        """Send a hostile message; now and then a sound heartbeat."""
        self._sent += 1
        if self._sent % BEAT_EVERY == 0:
            self.beat()
        self.send(*self.fuzzer.next())

    def send(self, topic: str, raw: bytes) -> None:
        """Publish bytes when the topic's turn has come."""
        left_s = self._next_s[topic] - time.monotonic()
        if left_s > 0.0:
            time.sleep(left_s)
        self._next_s[topic] = time.monotonic() + self._period_s
        self._publishers[topic].publish(raw)

    def beat(self) -> None:
        """Send a sound heartbeat of the policy."""
        msg = PolicyStatus(lease_epoch=self.lease()[0])
        msg.header.stamp = seconds_to_stamp(self.rig.operator.time_s())
        self.send("policy/status", serialize_message(msg))

    def revive(self) -> None:
        """Give the policy a lease if it has none."""
        state = self.rig.state
        if state == "policy":
            return
        self.revivals += 1
        steps = {"estop": ("reset_estop", "arm"), "fault": ("recover",), "idle": ("arm",)}
        try:
            for name in steps.get(state, ("resume",) if state == "stopped" else ()):
                self.rig.operator.trigger(f"arm/{name}")
            self.rig.operator.start(TASK, 3000.0)
        except OperatorError:
            return
        self.rig.pass_time(0.05)
        self.beat()
        chunk: ActionChunk = self.fuzzer.sound_chunk()
        self.send("policy/action_chunk", serialize_message(chunk))
