"""`mailctl bench kill9`: kills a process that writes episodes a thousand times; nothing is lost.

Every write is acknowledged on a pipe once it has returned. After each kill the episode is repaired
twice and compared with what was written; every fifth time the repair is killed too.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from rich.progress import track

from data_collection.repair import RepairStatus
from tests.bench.harness import Results, make_console
from tests.unit.killed_writer import Kill, Killer


def main(argv: Sequence[str]) -> int:
    """Kill, look, and count."""
    parser = argparse.ArgumentParser(prog="mailctl bench kill9", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    console, results = make_console(), Results("kill9")
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Killer(Path(folder), options.seed) as killer:
        kills = [
            killer.kill()
            for _ in track(range(options.kills), "killing", console=console, transient=True)
        ]
        changed = killer.compare_all()
    faults = [fault for kill in kills for fault in kill.faults] + changed
    summarise(results, kills, faults)
    results.metrics["seconds"] = time.monotonic() - began_s
    results.save(draw(kills), console)
    return int(bool(faults) or results.metrics["lost"] > 0)


def summarise(results: Results, kills: Sequence[Kill], faults: Sequence[str]) -> None:
    """Note the numbers."""
    phases = {
        "before the first write": [k for k in kills if not k.acknowledged],
        "between writes": [k for k in kills if k.acknowledged and not k.was_finished],
        "after the end": [k for k in kills if k.was_finished],
    }
    for name, met in phases.items():
        results.rows.append(
            {
                "killed": name,
                "kills": len(met),
                "acknowledged": sum(kill.acknowledged for kill in met),
                "kept": sum(kill.kept for kill in met),
                "lost": sum(kill.lost for kill in met),
                "repaired": sum(kill.repair is RepairStatus.REPAIRED for kill in met),
            }
        )
    results.metrics |= {
        "kills": len(kills),
        "lost": sum(kill.lost for kill in kills),
        "faults": len(faults),
        "acknowledged": sum(kill.acknowledged for kill in kills),
        "repaired": sum(kill.repair is RepairStatus.REPAIRED for kill in kills),
    }
    results.notes.append(
        "faults: an earlier episode changed, a second repair changed something, a message differs"
    )
    results.notes += faults[:5]


def draw(kills: Sequence[Kill]) -> plt.Figure:
    """Plot what was kept against what was acknowledged."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6))
    acknowledged = np.array([kill.acknowledged for kill in kills])
    kept = np.array([kill.kept for kill in kills])
    left.scatter(acknowledged, kept, s=4, alpha=0.5)
    left.axline((0, 0), slope=1.0, color="tab:red", linewidth=0.8)
    left.set(xlabel="messages acknowledged", ylabel="messages kept", title="below the line: lost")
    right.hist(kept - acknowledged, bins=np.arange(-0.5, 5.5))
    right.set(xlabel="messages kept that were not acknowledged yet", ylabel="kills", yscale="log")
    figure.tight_layout()
    return figure
