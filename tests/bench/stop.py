"""`mailctl bench stop`: how fast the arm is noticed to be alone, and how it comes to rest.

The arm's process drives the fault-injecting FCI server with the robot's own bounds. The oracle
reads the set-points at the robot. All times are robot time.
"""

import argparse
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from rich.progress import track

from mail_policy.core.frames import Array
from tests.bench.harness import Results, make_console
from tests.ros.arm_rig import TASK, ArmRig

SPEED_M_S = 0.25
# The policy may be a little faster than that, so that it reaches it.
SETTINGS = {"motion": {"envelope": {"speed_m_s": 0.29}}}
REST_M_S = 0.005
SHOWN_MS = 500


@dataclass
class Stop:
    """One stop.

    Attributes:
        kind: Why.
        detect_ms: From the cause to the change of state.
        standstill_ms: From there to standstill at the robot.
        reverse_mm: How far the hand came back.
        travel_mm: How far it went after the cause.
        speed_m_s: Speed at the cause.
        speeds: Speed in each millisecond after the cause [m/s].
    """

    kind: str
    detect_ms: float
    standstill_ms: float
    reverse_mm: float
    travel_mm: float
    speed_m_s: float
    speeds: Array


def observe(rig: ArmRig, kind: str, state: str, cause: Callable[[], object]) -> Stop:
    """Let something happen to a fast arm and watch it stop."""
    rig.wait_until_fast(0.97 * SPEED_M_S)
    cycle = rig.robot.newest_cycle()
    cause()
    detected_ms = 1000.0 * rig.wait_for(state).robot_time - cycle
    rig.pass_time(0.6)
    hand = rig.hand_positions(cycle)
    speeds = np.linalg.norm(np.diff(hand, axis=0), axis=1) / 0.001
    direction = hand[10] - hand[0]
    way = (hand - hand[0]) @ (direction / np.linalg.norm(direction))
    rest_ms = float(np.flatnonzero(speeds > REST_M_S)[-1] + 1)
    return Stop(
        kind=kind,
        detect_ms=detected_ms,
        standstill_ms=rest_ms - detected_ms,
        reverse_mm=1000.0 * float(way.max() - way[-1]),
        travel_mm=1000.0 * float(way.max()),
        speed_m_s=float(speeds[0]),
        speeds=speeds[:SHOWN_MS],
    )


def main(argv: Sequence[str]) -> int:
    """Stop the arm again and again in four ways."""
    parser = argparse.ArgumentParser(prog="mailctl bench stop", description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--slowdown", type=float, default=3.0, help="of the simulated robot")
    options = parser.parse_args(argv)
    console, results = make_console(), Results("stop")
    stops: list[Stop] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        ArmRig(Path(folder), slowdown=options.slowdown, settings=SETTINGS) as rig,
    ):
        rig.arm()
        for _ in track(range(options.repeats), "stopping", console=console):
            stops += one_round(rig)
    for stop in stops:
        results.rows.append({k: v for k, v in vars(stop).items() if k != "speeds"})
    killed = [stop for stop in stops if stop.kind == "policy killed"]
    results.metrics |= {
        "detect_ms_max": max(stop.detect_ms for stop in killed),
        "standstill_ms_max": max(stop.standstill_ms for stop in stops),
        "reverse_mm_max": max(stop.reverse_mm for stop in stops),
        "travel_mm_max": max(stop.travel_mm for stop in stops),
        "override_ms_max": max(s.detect_ms for s in stops if s.kind == "person takes over"),
        "speed_m_s_min": min(stop.speed_m_s for stop in stops),
        "stops": len(stops),
    }
    results.notes.append(
        "detect_ms_max: a policy killed with SIGKILL; the other causes are seen at once"
    )
    results.save(draw(stops), console)
    return 0


def one_round(rig: ArmRig) -> list[Stop]:
    """Kill a policy, freeze one, stop one, and take one over."""
    stops = []
    policy = rig.start_policy(speed_m_s=SPEED_M_S)
    rig.operator.start(TASK, 3000.0)
    stops.append(observe(rig, "operator", "stopped", lambda: rig.operator.trigger("arm/stop")))
    rig.operator.trigger("arm/resume")
    rig.operator.start(TASK, 3000.0)
    rig.person(False)
    stops.append(observe(rig, "person takes over", "teleop", lambda: rig.person(True)))
    rig.person(False)
    rig.pass_time(0.1)
    rig.operator.trigger("arm/resume")
    freeze = lambda: os.kill(policy.pid, signal.SIGSTOP)  # noqa: E731
    stops.append(observe(rig, "policy frozen", "stopped", freeze))
    os.kill(policy.pid, signal.SIGCONT)
    rig.operator.trigger("arm/resume")
    rig.operator.start(TASK, 3000.0)
    stops.append(observe(rig, "policy killed", "stopped", policy.kill))
    policy.wait()
    rig.operator.trigger("arm/resume")
    gone = "the policy is gone"
    rig.wait_until(lambda: rig.node.count_publishers("policy/action_chunk") == 0, gone)
    return stops


def draw(stops: Sequence[Stop]) -> plt.Figure:
    """Plot the speed after each cause."""
    kinds = list(dict.fromkeys(stop.kind for stop in stops))
    figure, axes = plt.subplots(1, len(kinds), figsize=(3.4 * len(kinds), 3.2), sharey=True)
    for axis, kind in zip(axes, kinds, strict=True):
        for stop in (stop for stop in stops if stop.kind == kind):
            axis.plot(stop.speeds, color="tab:blue", alpha=0.4)
            axis.axvline(stop.detect_ms, color="tab:red", alpha=0.2)
        axis.set(title=kind, xlabel="after the cause [ms]")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("speed of the hand [m/s]")
    figure.tight_layout()
    return figure
