"""`mailctl bench fuzz`: hostile messages against the arm's process; none may move the robot.

The robot is the fault-injecting FCI server, the oracle reads its set-points. A lease is granted
again and again, so that messages meet a policy that may move the arm. Chunks that are sound except
for one defect would move it.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
from matplotlib import pyplot as plt
from rich.progress import Progress

from tests.bench.harness import Results, make_console
from tests.ros.arm_rig import ArmRig
from tests.ros.hostile_sender import HostileSender

REVIVE_EVERY = 50
MOVED_RAD = 1e-4
# Refused chunks alone shall not end the lease: every rule shall be met.
BOUNDS = {"max_rejected_share": 1.0, "stall_s": 1.5, "late_s": 0.5, "dead_man_s": 0.4}


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
        sender, process = HostileSender(rig, options.seed), psutil.Process(rig.arm_process.pid)
        rig.arm()
        since = rig.robot.newest_cycle()
        shown = progress.add_task("fuzzing", total=options.messages)
        largest_rad, start = 0.0, rig.trajectory(since).joint_positions[0]
        sent = 0
        while sent < options.messages and rig.arm_process.poll() is None:
            if sent % REVIVE_EVERY == 0:
                sender.revive()
                memory_mb.append(process.memory_info().rss / 1e6)
                joints = rig.trajectory(since).joint_positions
                largest_rad = max(largest_rad, float(np.abs(joints - start).max()))
                since = rig.robot.newest_cycle()
                progress.update(shown, completed=sent)
            sender.send_next()
            sent += 1
        crashes = int(rig.arm_process.poll() is not None)
        answers = not crashes and rig.operator.wait_until(lambda: bool(rig.state), 5.0)
        summarise(results, sent, crashes, answers, largest_rad, memory_mb, sender)
        rules = Counter(d.rule or "accepted (moves nothing)" for d in rig.decisions)
        results.notes.append(f"{rules.total()} chunks were judged; accepted ones moved nothing")
    for name, count in (*sorted(sender.fuzzer.kinds.items()), *rules.most_common()):
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
    sender: HostileSender,
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
        "leases": sender.revivals,
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
