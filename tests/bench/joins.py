"""`mailctl bench joins`: how smoothly chunks follow each other while inference takes 0 to 300 ms.

A scripted policy draws a figure eight in the air, 16 rows at 20 Hz per chunk, a new chunk every
0.4 s, each made from the pose that was commanded when its "picture" was taken and delivered later.
An unsure policy changes its mind: every chunk bends away by a few millimetres. The baseline plays
each chunk as it comes, from the row that is due, without blending and without a limits filter.

Then the arm's process drives the fault-injecting FCI server in real time with a scripted policy
that thinks for 50 ms: from the stamp of the "picture" to the first set-point, jitter of the control
tick, and the robot's rate of commands that came in time.
"""

import argparse
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from rich.progress import track
from sensor_msgs.msg import JointState

from mail_policy.core.action_schema import EE_DELTA, targets_from_rows
from mail_policy.core.frames import Array, make_transform, pose_error
from mail_policy.core.kinematics import (
    HOME_JOINT_POSITIONS,
    TCP_FRAME,
    chain_frames,
    forward_kinematics,
    inverse_kinematics,
)
from mail_policy.core.motion.config import AdmissionConfig, JoinConfig, JoinMode, MotionConfig
from mail_policy.core.types import ActionChunk
from mail_ros.conversions import stamp_to_seconds
from tests.bench.harness import Results, make_console
from tests.ros.arm_rig import ArmRig
from tests.unit.motion_rig import TICK_S, Rig

LATENCIES_MS = (0, 50, 100, 150, 200, 250, 300)
ROWS, ROW_S, EXEC_ROWS = 16, 0.05, 8
# An unsure policy's chunk ends this far from the sure one's [m].
UNSURE_M = 0.01
PERIOD_S = 8.0
SIZE_M = (0.10, 0.12, 0.05)
# Slower than this share of the wanted speed for three ticks is a pause.
PAUSE_SHARE, PAUSE_TICKS = 0.3, 3
WARM_UP_S = 1.5


def wanted_position(time_s: float, centre: Array) -> Array:
    """Return a point of the figure eight [m]."""
    phase = 2.0 * math.pi * time_s / PERIOD_S
    x, y, z = SIZE_M
    # It begins at the centre at rest: the first second eases in.
    ease = min(1.0, time_s) ** 2 * (3.0 - 2.0 * min(1.0, time_s))
    way = np.array([x * math.sin(2.0 * phase) / 2, y * math.sin(phase), z * (math.cos(phase) - 1)])
    return centre + ease * way


@dataclass
class Run:
    """What one run showed.

    Attributes:
        jump_mrad: Largest second difference of set-points around the joins.
        disagreement_mrad: Largest distance between old and new trajectory at a join.
        pauses: How often the arm slowed down to less than a third for no reason.
        jerk_rad_s3: 99th percentile of the largest joint jerk.
        error_mm: Mean distance to the figure at the same instant.
        refused: Chunks that were not admitted.
    """

    jump_mrad: float
    disagreement_mrad: float
    pauses: int
    jerk_rad_s3: float
    error_mm: float
    refused: int


class ScriptedPolicy:
    """Sees a pose, thinks for a while, answers with a chunk."""

    def __init__(self, centre: Array, unsure_m: float, seed: int) -> None:
        self._centre = centre
        self._unsure_m = unsure_m
        self._random = np.random.default_rng(seed)
        self._rotation = forward_kinematics(HOME_JOINT_POSITIONS)[:3, :3]

    def rows(self, time_s: float, commanded: Array) -> Array:
        """Return EE_DELTA rows from a commanded TCP pose at a time [s] on."""
        direction = self._random.normal(size=3)
        bend = self._unsure_m * direction / np.linalg.norm(direction)
        values = np.zeros((ROWS, 7))
        values[:, 6] = 0.08
        pose = commanded
        for row in range(ROWS):
            share = (row + 1) / ROWS
            point = wanted_position(time_s + (row + 1) * ROW_S, self._centre) + share * bend
            target = make_transform(self._rotation, point)
            values[row, :6] = pose_error(pose, target)
            pose = target
        return values


def play(mode: JoinMode, latency_s: float, unsure_m: float, duration_s: float) -> Run:
    """Run the motion core with one way of joining."""
    admission = AdmissionConfig(max_age_s=0.35, max_rejected_share=1.0)
    rig = Rig(
        config=replace(MotionConfig(), admission=admission, join=JoinConfig(mode=mode)),
    )
    rig.start_policy()
    begin_s, start = rig.robot_time_s, len(rig.set_points)
    centre = forward_kinematics(rig.positions)[:3, 3]
    policy = ScriptedPolicy(centre, unsure_m, seed=1)
    pending: list[tuple[float, ActionChunk]] = []
    joins: list[int] = []
    disagreements, refused, ticks = [], 0, 0
    while rig.robot_time_s - begin_s < duration_s:
        time_s = rig.robot_time_s - begin_s
        if ticks % round(EXEC_ROWS * ROW_S / TICK_S) == 0:
            rows = policy.rows(time_s, forward_kinematics(rig.positions))
            chunk = rig.chunk(rows, observed_at_s=rig.now_s)
            pending.append((time_s + latency_s, chunk))
        due = pending.pop(0)[1] if pending and pending[0][0] <= time_s + 1e-9 else None
        outputs = rig.step(chunk=due)
        ticks += 1
        if outputs.decision is not None and not outputs.decision.accepted:
            refused += 1
        elif outputs.decision is not None:
            joins.append(len(rig.set_points) - 1)
            disagreements.append(outputs.decision.disagreement_rad)
    return measure(np.array(rig.set_points), start, joins, disagreements, refused, centre)


def baseline(latency_s: float, unsure_m: float, duration_s: float) -> Run:
    """Play chunks row by row as they come: no blend, no filter."""
    q = HOME_JOINT_POSITIONS
    centre = forward_kinematics(q)[:3, 3]
    policy = ScriptedPolicy(centre, unsure_m, seed=1)
    past = [q]
    pending: list[tuple[float, float, Array]] = []
    active: tuple[float, Array] | None = None
    joins, disagreements = [], []
    for tick in range(round(duration_s / TICK_S)):
        time_s = tick * TICK_S
        if tick % round(EXEC_ROWS * ROW_S / TICK_S) == 0:
            rows = policy.rows(time_s, forward_kinematics(past[-1]))
            poses = targets_from_rows(EE_DELTA, forward_kinematics(past[-1]), rows)
            seed, path = past[-1], [past[-1]]
            for pose in poses:
                seed = inverse_kinematics(pose, seed).joint_positions
                path.append(seed)
            pending.append((time_s + latency_s, time_s, np.array(path)))
        if pending and pending[0][0] <= time_s + 1e-9:
            _, observed_s, path = pending.pop(0)
            active = (observed_s, path)
            joins.append(len(past))
        if active is None:
            past.append(past[-1])
            continue
        row = min((time_s - active[0]) / ROW_S, ROWS - 1e-6)
        low = int(row)
        new = active[1][low] + (row - low) * (active[1][low + 1] - active[1][low])
        if joins and joins[-1] == len(past):
            disagreements.append(float(np.abs(new - past[-1]).max()))
        past.append(new)
    return measure(np.array(past), 1, joins, disagreements, 0, centre)


def measure(
    set_points: Array,
    start: int,
    joins: Sequence[int],
    disagreements: Sequence[float],
    refused: int,
    centre: Array,
) -> Run:
    """Judge a run by its set-points alone."""
    second = np.abs(np.diff(set_points, 2, axis=0)).max(axis=1)
    jerk = np.abs(np.diff(set_points, 3, axis=0)).max(axis=1) / TICK_S**3
    # Second difference i ends at set-point i + 2; a blend lasts ten ticks.
    around = [second[max(0, join - 3) : join + 12].max() for join in joins[1:]]
    points = chain_frames(set_points[start:])[TCP_FRAME, :, :3, 3]
    times_s = TICK_S * np.arange(1, len(points) + 1)
    wanted = np.array([wanted_position(float(t), centre) for t in times_s])
    late = times_s > WARM_UP_S
    errors_m = np.linalg.norm(points - wanted, axis=1)[late]
    speed = np.linalg.norm(np.diff(points, axis=0), axis=1) / TICK_S
    wanted_speed = np.linalg.norm(np.diff(wanted, axis=0), axis=1) / TICK_S
    slow = (speed < PAUSE_SHARE * wanted_speed) & late[1:]
    pauses = sum(
        bool(slow[i : i + PAUSE_TICKS].all()) and not slow[i - 1]
        for i in range(1, len(slow) - PAUSE_TICKS)
    )
    return Run(
        jump_mrad=1e3 * float(max(around)),
        disagreement_mrad=1e3 * float(max(disagreements[1:])),
        pauses=int(pauses),
        jerk_rad_s3=float(np.percentile(jerk[start:], 99)),
        error_mm=1e3 * float(errors_m.mean()),
        refused=refused,
    )


def measure_graph(results: Results, duration_s: float) -> None:
    """Run the arm's process in real time and note how punctual it is."""
    # Of a busy machine without real-time priority only the measured numbers are asked here.
    bounds = {"late_s": 0.5, "dead_man_s": 0.4, "stall_s": 1.5, "max_follow_error_rad": 0.15}
    stamps_s: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        ArmRig(Path(folder), slowdown=1.0, bounds=bounds) as rig,
    ):
        rig.node.create_subscription(
            JointState,
            "joint_states",
            lambda msg: stamps_s.append(stamp_to_seconds(msg.header.stamp)),
            100,
        )
        rig.run_policy(0.15)
        stamps_s.clear()
        rig.states.clear()
        rig.pass_time(duration_s)
        rates = [state.control_success_rate for state in rig.states]
        latencies_ms = [1e3 * d.camera_to_command for d in rig.decisions if d.accepted]
        jumps_mrad = [1e3 * d.join_jump for d in rig.decisions if d.accepted]
    late_ms = 1e3 * np.abs(np.diff(stamps_s) - TICK_S)
    results.metrics |= {
        "camera_to_command_ms_p50": float(np.percentile(latencies_ms, 50)),
        "camera_to_command_ms_p99": float(np.percentile(latencies_ms, 99)),
        "tick_jitter_ms_p50": float(np.percentile(late_ms, 50)),
        "tick_jitter_ms_p99": float(np.percentile(late_ms, 99)),
        "tick_jitter_ms_max": float(late_ms.max()),
        "control_success_rate_mean": float(np.mean(rates)),
        "control_success_rate_min": float(np.min(rates)),
        "graph_jump_mrad_max": max(jumps_mrad),
    }
    results.notes.append(
        f"graph: {duration_s:.0f} s in real time without real-time priority, {len(latencies_ms)} "
        f"chunks, thinking replaced by 50 ms; tick jitter is that of the stamps of joint_states"
    )


def main(argv: Sequence[str]) -> int:
    """Run all ways of joining at all latencies."""
    parser = argparse.ArgumentParser(prog="mailctl bench joins", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="robot time per run [s]")
    options = parser.parse_args(argv)
    console, results = make_console(), Results("joins")
    cases = [
        (kind, latency_ms, unsure_m)
        for kind in ("baseline", *JoinMode)
        for unsure_m in (0.0, UNSURE_M)
        for latency_ms in LATENCIES_MS
    ]
    runs: dict[tuple[str, int, float], Run] = {}
    for kind, latency_ms, unsure_m in track(cases, "joining chunks", console=console):
        run = (
            baseline(1e-3 * latency_ms, unsure_m, options.seconds)
            if kind == "baseline"
            else play(JoinMode(kind), 1e-3 * latency_ms, unsure_m, options.seconds)
        )
        runs[str(kind), latency_ms, unsure_m] = run
        results.rows.append(
            {
                "way": str(kind),
                "policy": "unsure" if unsure_m else "sure",
                "latency [ms]": latency_ms,
                "jump [mrad]": run.jump_mrad,
                "disagreement [mrad]": run.disagreement_mrad,
                "jerk p99 [rad/s3]": run.jerk_rad_s3,
                "pauses": run.pauses,
                "error [mm]": run.error_mm,
                "refused": run.refused,
            }
        )
    summarise(results, runs)
    measure_graph(results, options.seconds)
    results.save(draw(runs), console)
    return 0


def summarise(results: Results, runs: dict[tuple[str, int, float], Run]) -> None:
    """Reduce the runs to the numbers that are compared between versions."""
    for kind in ("baseline", *JoinMode):
        own = [run for (name, _, _), run in runs.items() if name == kind]
        prefix = "" if kind == MotionConfig().join.mode else f"{kind}_"
        results.metrics |= {
            f"{prefix}jump_mrad_max": max(run.jump_mrad for run in own),
            f"{prefix}disagreement_mrad_max": max(run.disagreement_mrad for run in own),
            f"{prefix}pauses": sum(run.pauses for run in own),
            f"{prefix}jerk_p99_rad_s3": max(run.jerk_rad_s3 for run in own),
            f"{prefix}error_mm_mean": float(np.mean([run.error_mm for run in own])),
        }
    results.notes += [
        f"metrics without a prefix are those of the default, {MotionConfig().join.mode}",
        "a jump is a second difference of set-points, 10 ms apart, within 120 ms after a join",
        "observations may be 0.35 s old here; on a robot chunks older than 0.25 s are refused",
    ]


def draw(runs: dict[tuple[str, int, float], Run]) -> plt.Figure:
    """Plot what depends on latency."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.6))
    for axis, name, unit in zip(
        axes,
        ("jump_mrad", "jerk_rad_s3", "error_mm"),
        ("jump [mrad]", "jerk p99 [rad/s3]", "mean error [mm]"),
        strict=True,
    ):
        for kind in ("baseline", *JoinMode):
            values = [getattr(runs[kind, ms, UNSURE_M], name) for ms in LATENCIES_MS]
            axis.plot(LATENCIES_MS, values, marker="o", label=kind)
        axis.set(xlabel="inference latency [ms]", ylabel=unit)
        axis.set_yscale("log")
        axis.grid(alpha=0.3)
    axes[0].axhline(5.0, color="black", linestyle=":", label="limit")
    axes[0].legend()
    figure.suptitle("joins of chunks of a policy that changes its mind")
    figure.tight_layout()
    return figure
