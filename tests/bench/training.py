"""How fast the sequence models learn: forward and backward, batch 64, on one thread.

The image encoders are left out: they are the same for all, and a frame cache can take them out of
the loop. The baseline is Mamba with the reference scan, whose gradients are torch's own.
"""

import argparse
from collections.abc import Callable

import torch
from matplotlib import pyplot as plt

from mail_policy.models import mamba
from mail_policy.models.config import HeadConfig
from mail_policy.models.policy import MailPolicy
from mail_policy.models.scan import ScanInputs, reference_scan, selective_scan
from tests.bench.harness import Results, make_console, medians_ms
from tests.bench.latency import BACKBONES, model

BATCH, LENGTH, INNER, STATES = 64, 20, 256, 16
Scan = Callable[[ScanInputs], tuple[torch.Tensor, torch.Tensor]]


def scan_inputs() -> ScanInputs:
    """Return inputs of the published size."""
    torch.manual_seed(0)
    return ScanInputs(
        *(
            values.requires_grad_()
            for values in (
                torch.randn(BATCH, LENGTH, INNER),
                torch.rand(BATCH, LENGTH, INNER) * 0.1,
                -torch.rand(INNER, STATES) * STATES,
                torch.randn(BATCH, LENGTH, STATES),
                torch.randn(BATCH, LENGTH, STATES),
                torch.randn(INNER),
                torch.zeros(BATCH, INNER, STATES),
            )
        )
    )


def learn_step(policy: MailPolicy, scan: Scan) -> Callable[[], None]:
    """Return one step of learning from encoded frames, with a scan."""
    frames = torch.randn(BATCH, 5, policy.feature_size)
    tasks = torch.zeros(BATCH, dtype=torch.long)
    actions, mask = torch.randn(BATCH, policy.config.chunk, 7), torch.ones(BATCH, 5)

    def run() -> None:
        mamba.fast_scan = lambda inputs, **_: scan(inputs)
        policy.zero_grad(set_to_none=True)
        policy.loss(frames, tasks, actions, mask).backward()

    return run


def main(argv: list[str]) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="mailctl bench training", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="timings of each candidate")
    rounds = parser.parse_args(argv).rounds
    console, results = make_console(), Results("training")
    torch.set_num_threads(1)
    served_scan = mamba.fast_scan
    scans = {"reference": reference_scan, "torch": selective_scan, "ours": served_scan}

    def scan_step(scan: Scan) -> Callable[[], None]:
        inputs = scan_inputs()
        return lambda: scan(inputs)[0].sum().backward()

    runs = {name: scan_step(scan) for name, scan in scans.items()}
    ms = medians_ms(runs, rounds, console, "scan", gradients=True)
    results.metrics["scan_speedup_over_reference"] = ms["reference"] / ms["ours"]
    results.metrics["scan_speedup_over_torch"] = ms["torch"] / ms["ours"]
    try:
        for title, backbone in BACKBONES.items():
            policy = MailPolicy(model(backbone, HeadConfig())).train()
            runs = {name: learn_step(policy, scan) for name, scan in scans.items()}
            ms = medians_ms(runs, rounds, console, f"{title} BC", gradients=True)
            results.rows.append(
                {
                    "model": f"{title} BC",
                    **{f"{name} steps/s": 1e3 / value for name, value in ms.items()},
                    "speed-up": ms["reference"] / ms["ours"],
                }
            )
            results.metrics[f"training_speedup_{backbone}"] = ms["reference"] / ms["ours"]
    finally:
        mamba.fast_scan = served_scan
    by_model = {row["model"]: row["ours steps/s"] for row in results.rows}
    results.metrics["training_d_ma_over_d_tr"] = by_model["D-Tr BC"] / by_model["D-Ma BC"]
    results.notes.append(f"batch {BATCH}, H5, A5, published sizes, regression head")
    results.save(plot(results), console)
    return 0


def plot(results: Results) -> plt.Figure:
    """Draw steps per second of every model with every scan."""
    figure, axes = plt.subplots(figsize=(7, 4))
    columns = [name for name in results.rows[0] if name.endswith("steps/s")]
    for place, column in enumerate(columns):
        xs = [row + 0.25 * (place - 1) for row in range(len(results.rows))]
        axes.bar(xs, [row[column] for row in results.rows], 0.25, label=column.split()[0])
    axes.set_xticks(range(len(results.rows)), [row["model"] for row in results.rows])
    axes.set_ylabel("steps per second")
    axes.set_title(f"Learning, batch {BATCH}, one thread, without image encoders")
    axes.legend(title="scan")
    return figure
