"""How the motion core bears chunks that mean harm: no set-point may leave any limit.

Chunks go all the way: admission, planning, joining, limits filter. They walk at random, run at
full speed into every face and joint limit, alternate, jump, hold NaN, come late, early or not at
all, while an operator stops and resumes. A second instance of the independent checker judges what
comes out. Half of the runs have boxes that are too large to help, so that the arm meets itself,
its singularities and its joint limits.

Times are those of the thread, so that other programs count little. A slow tick of the filter is
taken three more times from the same state, and the fastest counts: what remains is the filter's
own worst case, without hiccups of the machine.
"""

import argparse
import gc
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from unittest.mock import patch

import numpy as np
from matplotlib import pyplot as plt
from rich.progress import Progress

from mail_policy.core.action_schema import EE_DELTA, MAX_ROTATION_STEP_RAD, POLICY_RATE_HZ
from mail_policy.core.frames import Array
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, chain_frames
from mail_policy.core.motion.checker import SetPointChecker
from mail_policy.core.motion.config import EnvelopeConfig, MotionConfig
from mail_policy.core.motion.limits_filter import JointMotion, LimitsFilter
from mail_policy.core.motion.posture_check import posture_refusal
from mail_policy.core.motion.self_collision import self_collision
from mail_policy.core.motion.values import CommandName, MotionState
from mail_policy.core.motion.workspace import workspace
from mail_policy.core.robot_limits import JointLimits, RobotType, joint_limits, tightened
from tests.bench.harness import Results, make_console
from tests.unit.motion_rig import TASK, TICK_S, Rig

CHUNKS_PER_RUN = 250
_SCHEMA = EE_DELTA.id_at(POLICY_RATE_HZ)
_KINDS = ("walk", "rush", "alternate", "teleport", "broken", "untimely", "fold")
_SLOW_MS = 0.5
_EDGES_MS = np.geomspace(0.03, 30.0, 121)
_SHARES = np.linspace(0.0, 1.02, 103)
_MARGINS = ("velocity", "acceleration", "jerk", "speed in space")
_WIDE = {
    f"{part}_{corner}_m": (sign * 2.0,) * 3
    for part in ("tcp", "hand", "elbow", "wrist")
    for corner, sign in (("lower", -1.0), ("upper", 1.0))
}


@dataclass
class Tally:
    """What came out of some runs.

    Attributes:
        counts: Of chunks, admitted chunks, set-points.
        violations: What the checker said, at most once per run.
        rules: Rejected chunks by rule.
        filter_ms: Histogram of the filter's ticks over `_EDGES_MS`.
        tick_ms: Histogram of the core's ticks.
        worst_filter_ms: Longest tick of the filter [ms].
        used: Histogram of the largest share of each limit that each set-point uses.
        nearest_m: Smallest distance of the arm from itself [m].
        deepest_m: Farthest that a point was outside its box [m]; negative is inside.
    """

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    rules: Counter[str] = field(default_factory=Counter)
    filter_ms: Array = field(default_factory=lambda: np.zeros(len(_EDGES_MS) - 1))
    tick_ms: Array = field(default_factory=lambda: np.zeros(len(_EDGES_MS) - 1))
    worst_filter_ms: float = 0.0
    used: Array = field(default_factory=lambda: np.zeros((len(_MARGINS), len(_SHARES) - 1)))
    nearest_m: float = np.inf
    deepest_m: float = -np.inf

    def add(self, other: "Tally") -> None:
        """Add what came out of other runs."""
        self.counts += other.counts
        self.violations += other.violations
        self.rules += other.rules
        self.filter_ms += other.filter_ms
        self.tick_ms += other.tick_ms
        self.used += other.used
        self.worst_filter_ms = max(self.worst_filter_ms, other.worst_filter_ms)
        self.nearest_m = min(self.nearest_m, other.nearest_m)
        self.deepest_m = max(self.deepest_m, other.deepest_m)


@contextmanager
def timed_filter(times_ms: list[float]) -> Iterator[None]:
    """Time every tick of every limits filter."""
    step = LimitsFilter.step

    def once(limits_filter: LimitsFilter, reference: JointMotion) -> tuple[bool, float]:
        started = time.thread_time()
        free = step(limits_filter, reference)
        return free, 1e3 * (time.thread_time() - started)

    def timed(limits_filter: LimitsFilter, reference: JointMotion) -> bool:
        guard = limits_filter._guard
        before = limits_filter.__dict__.copy(), guard.__dict__.copy()
        free, fastest_ms = once(limits_filter, reference)
        for _ in range(3 if fastest_ms > _SLOW_MS else 0):
            limits_filter.__dict__.update(before[0])
            guard.__dict__.update(before[1])
            fastest_ms = min(fastest_ms, once(limits_filter, reference)[1])
        times_ms.append(fastest_ms)
        return free

    with patch.object(LimitsFilter, "step", timed):
        yield


class Attack:
    """One run: an arm somewhere, and chunks against it.

    Args:
        number: Of the run; seeds everything, and chooses arm and boxes in turn.
    """

    def __init__(self, number: int) -> None:
        self._random = np.random.default_rng([number, 26])
        robot_type = (RobotType.FR3, RobotType.FER)[number % 2]
        envelope = EnvelopeConfig() if number // 2 % 2 else EnvelopeConfig(**_WIDE)  # type: ignore[arg-type]
        self.config = replace(MotionConfig(), envelope=envelope)
        self.limits = tightened(joint_limits(robot_type), self.config.joints)
        start = self._start(self.limits)
        self._rig = Rig(robot_type, self.config, start)
        self._checker = SetPointChecker(self.limits, envelope, TICK_S)
        self._checker.reset(start)
        self._tally = Tally()
        self._tick_ms: list[float] = []
        self._push = np.zeros(6)
        self._kind = ""
        self._observed_at_s = -np.inf

    def carry_out(self) -> Tally:
        """Play the run."""
        filter_ms: list[float] = []
        rig, tally = self._rig, self._tally
        gc.disable()
        with timed_filter(filter_ms):
            rig.arm()
            while tally.counts["chunks"] < CHUNKS_PER_RUN and not tally.violations:
                self._take_a_tick()
        gc.enable()
        tally.counts["admitted"] = rig.last.accepted_chunks
        tally.counts["set_points"] = len(rig.set_points)
        tally.filter_ms += np.histogram(filter_ms, _EDGES_MS)[0]
        tally.tick_ms += np.histogram(self._tick_ms, _EDGES_MS)[0]
        tally.worst_filter_ms = max(filter_ms)
        self._measure_margins()
        return tally

    def _start(self, limits: JointLimits) -> Array:
        for _ in range(300):
            spread = self._random.choice([0.2, 0.8])
            q = HOME_JOINT_POSITIONS + self._random.normal(0.0, spread, 7)
            q = np.clip(q, limits.lower, limits.upper)
            if not posture_refusal(q[None], self.config.envelope):
                return q
        return HOME_JOINT_POSITIONS

    def _take_a_tick(self) -> None:
        """Let the operator or the policy do something, or nothing."""
        rig, random = self._rig, self._random
        state = rig.last.state
        if state in (MotionState.POLICY, MotionState.HOLD):
            command = CommandName.STOP if random.random() < 0.002 else None
        else:
            command = {
                MotionState.READY: CommandName.START_POLICY,
                MotionState.STOPPED: CommandName.RESUME,
            }.get(state)
        moving = state in (MotionState.POLICY, MotionState.HOLD)
        chunk = self._chunk() if moving and random.random() < self._eagerness() else None
        started = time.thread_time()
        if command is None:
            outputs = rig.step(chunk=chunk, heartbeat=random.random() > 0.002)
        elif command is CommandName.START_POLICY:
            outputs = rig.ask(command, task=TASK, max_duration_s=600.0)
        else:
            outputs = rig.ask(command)
        self._tick_ms.append(1e3 * (time.thread_time() - started))
        if outputs.decision is not None:
            self._tally.rules[outputs.decision.rule or "admitted"] += 1
        self._judge(outputs.state, outputs.cause)

    def _judge(self, state: MotionState, cause: str) -> None:
        violation = self._checker.violation(self._rig.positions)
        if state is MotionState.ESTOP:
            violation = violation or cause
        if violation:
            self._tally.violations.append(violation)

    def _eagerness(self) -> float:
        """Return how likely a chunk comes in this tick: every tick to every tenth."""
        return float(1.0 / (1.0 + self._tally.counts["chunks"] // 5 % 10))

    def _chunk(self) -> object:
        random, number = self._random, self._tally.counts["chunks"]
        self._tally.counts["chunks"] += 1
        if number % 12 == 0:
            self._kind = str(random.choice(_KINDS))
            self._push = self._direction()
        # Long chunks at full speed leave the workspace and are refused: most are short.
        values = np.zeros((int(random.integers(2, random.choice([5, 9, 33]))), 7))
        values[:, :6] = self._rows(len(values))
        # From rest only a small first row is admitted.
        values[0, :6] *= random.choice([0.3, 1.0])
        values[:, 6] = random.choice([0.0, 0.08], p=[0.02, 0.98])
        age_s = self._age_s()
        if self._kind == "broken" and random.random() < 0.3:
            spoilt = random.choice([np.nan, np.inf, -np.inf, 1e308, 5e-324])
            values[random.integers(len(values)), random.integers(7)] = spoilt
        if self._kind == "untimely":
            age_s = float(random.choice([-0.5, 0.0, 0.24, 0.26, 1.0, 1e9]))
        return self._rig.chunk(values, age_s=age_s, schema=_SCHEMA)

    def _age_s(self) -> float:
        """Return an age up to 0.3 s [s]; observations are never older than the one before."""
        now_s = self._rig.now_s + TICK_S
        self._observed_at_s = max(
            self._observed_at_s + 1e-6, now_s - float(self._random.uniform(0.0, 0.3))
        )
        return now_s - self._observed_at_s

    def _direction(self) -> Array:
        """Return a full step: along an axis, about one, or any."""
        limits = self.config.admission.max_translation_step_m, MAX_ROTATION_STEP_RAD
        step = self._random.normal(0.0, 1.0, 6)
        if self._random.random() < 0.5:
            step = np.zeros(6)
            step[self._random.integers(6)] = self._random.choice([-1.0, 1.0])
        step[:3] *= limits[0] / max(float(np.linalg.norm(step[:3])), 1e-9)
        step[3:] *= limits[1] / max(float(np.linalg.norm(step[3:])), 1e-9)
        return step

    def _rows(self, rows: int) -> Array:
        random, push = self._random, self._push
        if self._kind == "walk":
            return np.cumsum(random.normal(0.0, 0.1, (rows, 6)), axis=0) * np.abs(push).max()
        if self._kind == "alternate":
            signs = random.choice([-1.0, 1.0]) * (-1.0) ** (
                np.arange(rows) // random.integers(1, 5)
            )
            return signs[:, None] * push
        if self._kind == "teleport":
            return push * random.uniform(-2.2, 2.2, (rows, 1))
        if self._kind == "fold":
            tcp = chain_frames(self._rig.positions[None])[-1, 0, :3, 3]
            inwards = np.array([0.0, 0.0, 0.3]) - tcp
            step = 0.03 * inwards / max(float(np.linalg.norm(inwards)), 1e-9)
            return np.tile(np.concatenate([step, 0.3 * push[3:]]), (rows, 1))
        return np.tile(push, (rows, 1))

    def _measure_margins(self) -> None:
        """Measure a third time, all set-points at once, how near the limits they came."""
        envelope, limits, tally = self.config.envelope, self.limits, self._tally
        q = np.array(self._rig.set_points)
        values, shares = q, []
        for limit in (limits.velocity, limits.braking_acceleration, limits.braking_jerk):
            values = np.diff(values, axis=0) / TICK_S
            shares.append(np.abs(values / limit).max(axis=1))
        frames, boxes = chain_frames(q), workspace(envelope)
        points = boxes.points(frames)
        shares.append(boxes.longest_m(np.diff(points, axis=0)) / TICK_S / envelope.speed_m_s)
        for row, share in enumerate(shares):
            tally.used[row] += np.histogram(share, _SHARES)[0]
        tally.nearest_m = float(self_collision(envelope).clearances_m(frames).min())
        tally.deepest_m = float(boxes.excess_m(points).max())


def carry_out(number: int) -> Tally:
    """Play one run, in a process of its own."""
    return Attack(number).carry_out()


def attack(chunks: int, workers: int) -> Tally:
    """Play as many runs as so many chunks need."""
    runs, total = -(-chunks // CHUNKS_PER_RUN), Tally()
    with (
        Progress(console=make_console(), transient=True) as bar,
        multiprocessing.get_context("fork").Pool(workers) as pool,
    ):
        shown = bar.add_task("chunks", total=runs * CHUNKS_PER_RUN)
        for tally in pool.imap_unordered(carry_out, range(runs)):
            total.add(tally)
            bar.advance(shown, CHUNKS_PER_RUN)
    return total


def quantile_ms(histogram: Array, share: float) -> float:
    """Return the time below which a share of a histogram lies [ms]."""
    below = np.cumsum(histogram) / histogram.sum()
    return float(_EDGES_MS[1:][np.searchsorted(below, share)])


def plot(total: Tally) -> plt.Figure:
    """Draw how long ticks take and how much of the limits they use."""
    figure, (times, margins) = plt.subplots(1, 2, figsize=(11, 4))
    for name, histogram in (("filter", total.filter_ms), ("whole core", total.tick_ms)):
        times.stairs(histogram / histogram.sum(), _EDGES_MS, label=name)
    times.set_xscale("log")
    times.set_yscale("log")
    times.set_xlabel("one tick [ms]")
    times.set_ylabel("share of ticks")
    times.legend()
    for name, histogram in zip(_MARGINS, total.used, strict=True):
        margins.stairs(histogram / histogram.sum(), 100.0 * _SHARES, label=name)
    margins.axvline(100.0, color="black", linewidth=1)
    margins.set_yscale("log")
    margins.set_xlabel("used of the limit by a set-point [%]")
    margins.legend()
    figure.suptitle(f"{total.counts['set_points']} set-points, {len(total.violations)} violations")
    return figure


def main(argv: list[str]) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="mailctl bench filter", description=__doc__)
    parser.add_argument("--chunks", type=int, default=1_000_000, help="chunks in all")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    arguments = parser.parse_args(argv)
    total, results = attack(arguments.chunks, arguments.workers), Results("filter")
    for rule, count in total.rules.most_common():
        results.rows.append({"decision": rule, "chunks": count})
    results.metrics = {
        "chunks": total.counts["chunks"],
        "admitted": total.counts["admitted"],
        "set_points": total.counts["set_points"],
        "violations": len(total.violations),
        "worst_filter_ms": total.worst_filter_ms,
        "filter_p50_ms": quantile_ms(total.filter_ms, 0.5),
        "filter_p99_ms": quantile_ms(total.filter_ms, 0.99),
        "tick_p50_ms": quantile_ms(total.tick_ms, 0.5),
        "nearest_to_itself_mm": 1e3 * total.nearest_m,
        "deepest_outside_mm": 1e3 * total.deepest_m,
    }
    results.notes += [f"violation: {text}" for text in total.violations[:10]]
    results.save(plot(total), make_console())
    return int(bool(total.violations))
