"""`mailctl bench recorder`: three cameras and 100 Hz states for two minutes, nothing lost.

The recorder's own process, two processes that publish, Fast DDS with our shared-memory profile.
LeRobot's recorder gets the same frames afterwards, if its environment is there (see peers.py).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from matplotlib import pyplot as plt
from rich.console import Console
from rich.progress import Progress

from data_collection import topics
from data_collection.manifest import LOG_NAME, load_manifest
from data_collection.mcap_scan import RawMessage, scan
from mail_bringup.claims import claim_domain
from mail_bringup.operator_node import Operator
from mail_bringup.places import state_folder
from mail_bringup.processes import environment, parameter_text
from tests.bench.harness import Results, make_console

ROOT = Path(__file__).parents[2]
PEER = ROOT / "runs" / "lerobot" / "venv" / "bin" / "python"
CAMERAS = ("front", "side", "wrist")
SAMPLE_S = 1.0
LIMIT_S = 30.0
# As long as the slowest message may be on its way.
SETTLE_S = 1.0


def main(argv: Sequence[str]) -> int:
    """Record, compare with what was published, then let the peer record."""
    parser = argparse.ArgumentParser(prog="mailctl bench recorder", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--peer-seconds", type=float, default=20.0)
    options = parser.parse_args(argv)
    console, results = make_console(), Results("recorder")
    os.environ.update(environment())
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        domain = stack.enter_context(claim_domain(state_folder())).value
        os.environ["ROS_DOMAIN_ID"] = domain
        run = Run(Path(folder), stack, int(domain))
        load = run.record(options.seconds, console)
        summarise(results, run, load, options.seconds)
    peer = record_with_peer(options.peer_seconds, results, console)
    results.save(draw(load, results, peer), console)
    return int(results.metrics["lost"] > 0)


class Run:
    """A recorder, two publishers and an operator.

    Attributes:
        published: Messages by topic, as they are stored.
        stored: Messages by topic.
        folder: The episode.
        save_s: How long saving took [s].
        size_bytes: Of the recording.

    Args:
        root: For episodes.
        stack: Ends the processes.
        domain: ROS domain.
    """

    def __init__(self, root: Path, stack: ExitStack, domain: int) -> None:
        cameras = parameter_text(CAMERAS)
        parameters = ("-p", f"episodes_dir:={root}", "-p", f"cameras:={cameras}")
        self._recorder = start(stack, "mail_recorder.recorder_node", "--ros-args", *parameters)
        self._operator = stack.enter_context(Operator(domain_id=domain, use_sim_time=False))
        self._stack = stack
        self.published: Counter[str] = Counter()
        self.stored: Counter[str] = Counter()
        self.save_s, self.size_bytes, self.folder = 0.0, 0, root

    def record(self, seconds: float, console: Console) -> list[tuple[float, float]]:
        """Record; return the processor's share [cores] and the memory [MB], second by second."""
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            request = ChangeState.Request(transition=Transition(id=transition))
            assert self._operator.call(
                ChangeState, "recorder/change_state", request, LIMIT_S
            ).success
        module, length = "tests.ros.picture_source", ("--seconds", str(seconds))
        sources = [
            start(self._stack, module, *length, "--cameras", *CAMERAS[:2]),
            start(self._stack, module, *length, "--cameras", *CAMERAS[2:], "--states"),
        ]
        for source in sources:
            assert source.stdout.readline() == "ready\n"
        self.folder = Path(self._operator.start_recording("bench"))
        for source in sources:
            say(source)
        load = watch(psutil.Process(self._recorder.pid), seconds, console)
        for source in sources:
            for topic, count in json.loads(source.stdout.readline()).items():
                self.published[f"{topic}/compressed" if "camera" in topic else topic] += count
        time.sleep(SETTLE_S)
        began_s = time.monotonic()
        console.print(self._operator.save_recording())
        self.save_s = time.monotonic() - began_s
        for source in sources:
            say(source)
        log = self.folder / LOG_NAME
        self.size_bytes = log.stat().st_size
        self.stored.update(item.topic for item in scan(log) if isinstance(item, RawMessage))
        return load


def start(stack: ExitStack, module: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python module as a process that the stack ends."""
    command = [sys.executable, "-m", module, *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
    stack.callback(process.communicate)
    stack.callback(process.terminate)
    return process


def say(process: subprocess.Popen[str]) -> None:
    """Tell a process to go on."""
    process.stdin.write("\n")
    process.stdin.flush()


def watch(process: psutil.Process, seconds: float, console: Console) -> list[tuple[float, float]]:
    """Sample what a process needs: cores, and memory [MB]."""
    load, used_s, now_s = [], sum(process.cpu_times()[:2]), time.monotonic()
    ends_s = now_s + seconds
    with Progress(console=console, transient=True) as progress:
        shown = progress.add_task("recording", total=seconds)
        while now_s < ends_s:
            time.sleep(min(SAMPLE_S, max(0.05, ends_s - now_s)))
            before_s, used_before_s = now_s, used_s
            now_s, used_s = time.monotonic(), sum(process.cpu_times()[:2])
            cores = (used_s - used_before_s) / (now_s - before_s)
            load.append((cores, process.memory_info().rss / 1e6))
            progress.update(shown, advance=now_s - before_s)
    return load


def summarise(results: Results, run: Run, load: list[tuple[float, float]], seconds: float) -> None:
    """Compare what was published with what was stored."""
    for topic in sorted({*run.published, *run.stored}):
        published, stored = run.published[topic], run.stored[topic]
        results.rows.append(
            {"what": topic, "published": published, "stored": stored, "lost": published - stored}
        )
    manifest = load_manifest(run.folder)
    results.metrics |= {
        "lost": sum(abs(run.published[t] - run.stored[t]) for t in run.published),
        "messages": run.published.total(),
        "cpu_cores": float(np.mean([cores for cores, _ in load])),
        "mb_per_s": 1e-6 * run.size_bytes / seconds,
        "raw_mb_per_s": 1e-6
        * 640
        * 480
        * 3
        * sum(run.published[topics.image_topic(c)] for c in CAMERAS)
        / seconds,
        "memory_mb": max(memory_mb for _, memory_mb in load),
        "save_s": run.save_s,
        "seconds": seconds,
        "good": int(manifest.quality == "good"),
    }
    results.notes += [f"quality: {manifest.quality} {'; '.join(manifest.quality_notes)}"]
    results.notes.append("cpu_cores: of the recorder's process only, mean while it records")


def record_with_peer(seconds: float, results: Results, console: Console) -> dict[str, Any]:
    """Let LeRobot record the same frames; an empty dictionary if it is not installed."""
    if not PEER.exists():
        results.notes.append(f"no {PEER.relative_to(ROOT)}: LeRobot was not compared, see peers.py")
        return {}
    script = Path(__file__).parent / "recording" / "lerobot_recorder.py"
    command = [str(PEER), str(script), str(seconds), *CAMERAS]
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with console.status(f"LeRobot records for {seconds:.0f} s, and saves"):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode != 0:
        results.notes.append(f"LeRobot was not compared: {done.stderr.strip().splitlines()[-1]}")
        return {}
    peer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    results.metrics |= {f"lerobot_{name}": value for name, value in peer.items()}
    results.notes.append(
        f"lerobot: its recorder with the same frames at 30 Hz for {seconds:.0f} s, without ROS; "
        "lost: instants at which it was busy; its videos are made after the recording"
    )
    return peer


def draw(load: list[tuple[float, float]], results: Results, peer: dict[str, Any]) -> plt.Figure:
    """Plot the load over time, and beside the peer's."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6))
    seconds = np.arange(len(load)) * SAMPLE_S
    left.plot(seconds, [cores for cores, _ in load], label="processor [cores]")
    left.plot(seconds, [memory_mb / 1000.0 for _, memory_mb in load], label="memory [GB]")
    left.set(xlabel="time [s]", ylim=(0, None), title="our recorder")
    left.legend()
    bars = {"ours": results.metrics["cpu_cores"]}
    if peer:
        bars["LeRobot, recording"] = peer["cpu_cores"]
        bars["LeRobot, with saving"] = peer["cpu_cores_with_saving"]
    right.barh(list(bars), list(bars.values()))
    right.set(xlabel="processor time per second of recording [cores]")
    figure.tight_layout()
    return figure
