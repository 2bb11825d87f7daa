"""`mailctl bench fuzz`: hostile messages against the arm's process; none may move the robot.

The robot is the fault-injecting FCI server, the oracle reads its set-points. A lease is granted
again and again, so that messages meet a policy that may move the arm. Chunks that are sound except
for one defect would move it.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
from mail_msgs.msg import ActionChunk, PolicyStatus
from matplotlib import pyplot as plt
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from rich.progress import Progress

from mail_bringup.operator_node import OperatorError
from mail_franka.conversions import seconds_to_stamp
from tests.bench.harness import Results, make_console
from tests.ros.arm_rig import TASK, ArmRig
from tests.ros.fuzzer import TOPICS, Fuzzer

# Below the limit of the arm's node, so that it reads every message.
RATE_HZ = 180.0
REVIVE_EVERY = 50
MOVED_RAD = 1e-4
# Refused chunks alone shall not end the lease: every rule shall be met.
BOUNDS = {"max_rejected_share": 1.0, "stall_s": 1.5, "late_s": 0.5, "dead_man_s": 0.4}


class Bench:
    """Sends messages at a steady rate and keeps the lease alive."""

    def __init__(self, rig: ArmRig, seed: int) -> None:
        self.rig = rig
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
        self.revivals = 0

    def lease(self) -> tuple[int, str]:
        """Return epoch and task of the lease."""
        return int(self.rig.states[-1].lease_epoch), TASK

    def send(self, topic: str, raw: bytes) -> None:
        """Publish bytes when the topic's turn has come."""
        left_s = self._next_s[topic] - time.monotonic()
        if left_s > 0.0:
            time.sleep(left_s)
        self._next_s[topic] = time.monotonic() + 1.0 / RATE_HZ
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


def main(argv: Sequence[str]) -> int:
    """Send the messages, then judge."""
    parser = argparse.ArgumentParser(prog="mailctl bench fuzz", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    console, results = make_console(), Results("fuzz")
    memory_mb: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        ArmRig(Path(folder), slowdown=1.0, bounds=BOUNDS) as rig,
        Progress(console=console, transient=True) as progress,
    ):
        bench, process = Bench(rig, options.seed), psutil.Process(rig.arm_process.pid)
        rig.arm()
        since = rig.robot.newest_cycle()
        shown = progress.add_task("fuzzing", total=options.messages)
        largest_rad, start = 0.0, rig.trajectory(since).joint_positions[0]
        sent = 0
        while sent < options.messages and rig.arm_process.poll() is None:
            if sent % REVIVE_EVERY == 0:
                bench.revive()
                memory_mb.append(process.memory_info().rss / 1e6)
                joints = rig.trajectory(since).joint_positions
                largest_rad = max(largest_rad, float(np.abs(joints - start).max()))
                since = rig.robot.newest_cycle()
                progress.update(shown, completed=sent)
            if sent % 10 == 0:
                bench.beat()
            bench.send(*bench.fuzzer.next())
            sent += 1
        crashes = int(rig.arm_process.poll() is not None)
        answers = not crashes and rig.operator.wait_until(lambda: bool(rig.state), 5.0)
        summarise(results, sent, crashes, answers, largest_rad, memory_mb, bench)
        rules = Counter(d.rule or "accepted (moves nothing)" for d in rig.decisions)
        results.notes.append(f"{rules.total()} chunks were judged; accepted ones moved nothing")
    for name, count in (*sorted(bench.fuzzer.kinds.items()), *rules.most_common()):
        results.rows.append({"what": name, "messages": count})
    results.save(draw(memory_mb, rules), console)
    return int(bool(crashes) or largest_rad > MOVED_RAD)


def summarise(
    results: Results,
    sent: int,
    crashes: int,
    answers: bool,
    largest_rad: float,
    memory_mb: Sequence[float],
    bench: Bench,
) -> None:
    """Note the numbers."""
    quarter = max(1, len(memory_mb) // 4)
    results.metrics |= {
        "messages": sent,
        "crashes": crashes,
        "reached_arm": int(largest_rad > MOVED_RAD),
        "answers_at_the_end": int(answers),
        "largest_motion_mrad": 1e3 * largest_rad,
        "memory_growth_mb": float(np.mean(memory_mb[-quarter:]) - np.mean(memory_mb[:quarter])),
        "memory_end_mb": memory_mb[-1],
        "leases": bench.revivals,
    }
    results.notes.append(
        "memory_growth_mb: mean of the last quarter of the run minus that of the first"
    )


def draw(memory_mb: Sequence[float], rules: Counter[str]) -> plt.Figure:
    """Plot memory, and which rules refused chunks."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6))
    left.plot(np.arange(len(memory_mb)) * REVIVE_EVERY, memory_mb)
    left.set(xlabel="messages", ylabel="memory of the arm's process [MB]", ylim=(0, None))
    names = [name for name, _ in rules.most_common(14)]
    right.barh(names, [rules[name] for name in names])
    right.set(xlabel="chunks", xscale="log", title="refused by rule")
    figure.tight_layout()
    return figure
