"""A policy that needs no pictures: it sweeps the hand to and fro. Run as a process of its own.

`python -m tests.ros.scripted_policy --ros-args -p use_sim_time:=true`. It obeys the contract of the
policy node: chunks and heartbeats under the lease that the arm announces, nothing without one.
"""

import numpy as np
import rclpy
from mail_msgs.msg import ActionChunk, ArmState, PolicyStatus
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from mail_policy.core.action_schema import EE_DELTA, POLICY_RATE_HZ
from mail_policy.core.types import ActionChunk as Chunk
from mail_policy_ros.conversions import chunk_to_msg
from mail_ros.conversions import seconds_to_stamp, stamp_to_seconds

ROWS = 24
TURN_AT_M = 0.22
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
NEWEST = QoSProfile(depth=1)


class ScriptedPolicy(Node):
    """Sweeps along y at the speed of the parameter `speed_m_s`."""

    def __init__(self) -> None:
        super().__init__("policy")
        self._step_m = self.declare_parameter("speed_m_s", 0.2).value / POLICY_RATE_HZ
        self._latency_s = self.declare_parameter("latency_s", 0.05).value
        self._direction = 1.0
        self._lease: tuple[int, str] | None = None
        self._sequence = 0
        self._seen: list[tuple[float, float]] = []
        self.create_subscription(ArmState, "arm/state", self._on_state, LATCHED)
        self._chunks = self.create_publisher(ActionChunk, "policy/action_chunk", NEWEST)
        self._status = self.create_publisher(PolicyStatus, "policy/status", NEWEST)
        self.create_timer(0.05, self._beat)
        self.create_timer(0.2, self._plan)

    def _now_s(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _on_state(self, msg: ArmState) -> None:
        self._lease = (msg.lease_epoch, msg.task) if msg.lease_holder == "policy" else None
        self._seen = [
            *self._seen[-50:],
            (stamp_to_seconds(msg.header.stamp), msg.tcp_target.position.y),
        ]
        if abs(msg.tcp_target.position.y) > TURN_AT_M:
            self._direction = -float(np.sign(msg.tcp_target.position.y))

    def _beat(self) -> None:
        msg = PolicyStatus(ready=True, lease_epoch=self._lease[0] if self._lease else 0)
        msg.waiting_for = "" if self._seen else "arm/state"
        msg.header.stamp = seconds_to_stamp(self._now_s())
        self._status.publish(msg)

    def _plan(self) -> None:
        if self._lease is None or not self._seen:
            return
        values = np.zeros((ROWS, EE_DELTA.size))
        values[:, 1] = self._direction * self._step_m
        values[:, 6] = 0.08
        self._sequence += 1
        chunk = Chunk(
            values=values,
            schema=EE_DELTA.id_at(POLICY_RATE_HZ),
            observed_at_s=self._now_s() - self._latency_s,
            step_period_s=1.0 / POLICY_RATE_HZ,
            lease_epoch=self._lease[0],
            sequence=self._sequence,
            task=self._lease[1],
            inference_s=self._latency_s,
        )
        self._chunks.publish(chunk_to_msg(chunk, seconds_to_stamp(self._now_s())))


def main() -> None:
    rclpy.init()
    rclpy.spin(ScriptedPolicy())


if __name__ == "__main__":
    main()
