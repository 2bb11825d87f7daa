"""`mailctl bench camera`: are stamps and losses of cameras true, and which way to the policy?

First, synthetic cameras show whether stamps and counted losses are true. Then three cameras send
pictures to a policy in another process over topics or shared memory, or in the same process.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from rich.progress import Progress

from mail_bringup.claims import claim_domain
from mail_bringup.processes import environment
from mail_cameras.picture_check import glance_at
from tests.bench.camera_synthetic import (
    HEIGHT,
    WIDTH,
    measured_latency_s,
    observe_synthetic,
)
from tests.bench.harness import Results, make_console, medians_ms
from tests.unit.camera_rig import scene

ROOT = Path(__file__).parents[2]
NOTES = (
    "missing: pictures that never reached the listener; counted: those that diagnostics count",
    "error_ms_max: stamp on the topic against the instant of capture; own_clock: a device that "
    "stamps with its own drifting clock, whose latency was calibrated first",
    "dds: topics with this project's profile, the baseline; dds_default: without it; ring: shared "
    "memory and a small message; composed: one process. cpu_percent: of one core, both sides, and "
    "the thinking where there is some",
)
# Sender, receiver, and whether Fast DDS uses the project's profile.
TRANSPORTS = {
    "dds_default": ("send-topics", "receive-topics", False),
    "dds": ("send-topics", "receive-topics", True),
    "ring": ("send-ring", "receive-ring", True),
    "composed": ("composed", "", True),
}


@dataclass
class Measurement:
    """One round of a transport.

    Attributes:
        latencies_ms: From the camera's thread to the policy's callback [ms].
        cpu_share: Processor time of both sides, as share of a core.
        sent: Pictures.
        received: Pictures.
    """

    latencies_ms: NDArray[np.float64]
    cpu_share: float
    sent: int
    received: int


def measure_transport(transport: str, duration_s: float, busy: bool, domain: str) -> Measurement:
    """Send pictures one way for a while."""
    sender, receiver, has_profile = TRANSPORTS[transport]
    variables = {**os.environ, **environment(), "ROS_DOMAIN_ID": domain}
    if not has_profile:
        del variables["FASTRTPS_DEFAULT_PROFILES_FILE"]
    run_id = f"bench{secrets.token_hex(4)}"
    facts = [str(duration_s), run_id, "busy" if busy else "idle"]
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.camera_transport", role, *facts],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=variables,
        )
        for role in (sender, receiver)
        if role
    ]
    sent = json.loads(children[0].stdout.readline())
    # What is on its way arrives.
    time.sleep(0.3)
    said = [child.communicate(timeout=20.0)[0] for child in reversed(children)]
    received = json.loads(said[0])
    cpu_s = received["cpu_s"] + (sent["cpu_s"] if receiver else 0.0)
    return Measurement(
        latencies_ms=np.array(received["latencies_ms"]),
        cpu_share=cpu_s / duration_s,
        sent=sent["sent"],
        received=received["received"],
    )


def compare_transports(
    rounds: int, duration_s: float, bar: Progress
) -> dict[tuple[str, bool], list[Measurement]]:
    """Measure all transports in turns, beside an idle and beside a thinking policy."""
    measured: dict[tuple[str, bool], list[Measurement]] = {}
    shown = bar.add_task("sending", total=2 * rounds * len(TRANSPORTS))
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for busy in (False, True):
                for transport in TRANSPORTS:
                    with claim_domain(Path(folder)) as claim:
                        found = measure_transport(transport, duration_s, busy, claim.value)
                    measured.setdefault((transport, busy), []).append(found)
                    bar.advance(shown)
    return measured


def latencies_of(rounds: Sequence[Measurement]) -> NDArray[np.float64]:
    """Return the latencies of all rounds [ms]."""
    return np.concatenate([measurement.latencies_ms for measurement in rounds])


def summary(transport: str, busy: bool, rounds: Sequence[Measurement]) -> dict[str, object]:
    """Return a row of the table."""
    p50_ms, p99_ms = np.quantile(latencies_of(rounds), (0.5, 0.99))
    sent, received = (sum(getattr(m, key) for m in rounds) for key in ("sent", "received"))
    return {
        "case": f"{transport}, policy {'thinks' if busy else 'idle'}",
        "pictures": received,
        "missing": sent - received,
        "p50_ms": float(p50_ms),
        "p99_ms": float(p99_ms),
        "cpu_percent": 100.0 * float(np.median([m.cpu_share for m in rounds])),
    }


def main(argv: Sequence[str]) -> int:
    """Check stamps and losses, then compare the ways to the policy."""
    parser = argparse.ArgumentParser(prog="mailctl bench camera", description=__doc__)
    parser.add_argument("--duration-s", type=float, default=20.0, help="of the synthetic cameras")
    parser.add_argument("--rounds", type=int, default=3, help="per transport")
    parser.add_argument("--round-s", type=float, default=5.0, help="length of a round")
    options = parser.parse_args(argv)
    os.environ.update(environment())
    console, results = make_console(), Results("camera")
    accounts = observe_synthetic(options.duration_s, measured_latency_s(), seed=0)
    with Progress(console=console, transient=True) as bar:
        measured = compare_transports(options.rounds, options.round_s, bar)
    image = scene(0, WIDTH, HEIGHT)
    glance = medians_ms({"glance": lambda: glance_at(image)}, 20, console, "looking", repeats=50)
    results.rows += [account.row() for account in accounts]
    results.metrics |= {
        "stamp_error_ms_max": max(account.error_ms_max for account in accounts),
        "undetected_drops": sum(abs(a.missing - a.counted) for a in accounts),
        "injected_drops": sum(account.injected for account in accounts),
        "health_ms_per_picture": glance["glance"],
    }
    for (transport, busy), rounds in measured.items():
        row = summary(transport, busy, rounds)
        results.rows.append(row)
        for key in ("p50_ms", "p99_ms"):
            results.metrics[f"{transport}_{'thinks' if busy else 'idle'}_{key}"] = row[key]
    results.notes += NOTES
    results.save(draw(measured), console)
    return 0


def draw(measured: dict[tuple[str, bool], list[Measurement]]) -> plt.Figure:
    """Plot how many pictures arrive within which time."""
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.4), sharey=True)
    for (transport, busy), rounds in measured.items():
        latencies_ms = np.sort(latencies_of(rounds))
        share = np.arange(1, len(latencies_ms) + 1) / len(latencies_ms)
        axes[int(busy)].plot(latencies_ms, share, label=transport)
    for axis, policy in zip(axes, ("idle", "thinks"), strict=True):
        axis.set(title=f"policy: {policy}", xlabel="camera to policy [ms]", xscale="log")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("share of pictures")
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    return figure
