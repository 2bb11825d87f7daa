"""How long a decision takes, per model and head, at batch 1 on one thread.

A decision is everything from the newest pictures to a chunk: two cameras of 128 x 128, a history
of five, the published sizes, with the time token after the context (our default order). The
baseline is the same model served naively: the whole window encoded again, the reference scan, the
whole sequence run again for every denoising step, eager torch. Every comparison is of one run.
"""

import argparse
import dataclasses
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from matplotlib import pyplot as plt
from rich.console import Console
from torch import Tensor

from mail_policy.core.config import load_config
from mail_policy.inference.served import Precision, ServedPolicy, with_kernel_stacks
from mail_policy.models import mamba
from mail_policy.models.config import HeadConfig, HeadKind, ModelConfig, Windows
from mail_policy.models.heads import time_after_context
from mail_policy.models.policy import MailPolicy
from mail_policy.models.scan import reference_scan
from mail_policy.models.vision import pictures_to_floats
from mail_policy.training.config import TrainConfig
from tests.bench.harness import Results, make_console, medians_ms

PAPER = Path(__file__).parents[2] / "mail_policy" / "configs" / "paper"
BACKBONES = {"D-Ma": "d_ma", "ED-Ma": "ed_ma", "D-Tr": "d_tr", "ED-Tr": "ed_tr"}
HEADS = {
    "BC": HeadConfig(),
    "flow-4": HeadConfig(kind=HeadKind.FLOW, steps=4),
    "DDP-16": HeadConfig(kind=HeadKind.DDP, steps=16),
}
TASK = torch.tensor([0])
HISTORY = 5
LONG = 1000
# Beside which Python LeRobot is looked for, unless --lerobot-python names one.
LEROBOT = Path(__file__).parents[2] / "runs" / "lerobot" / "venv" / "bin" / "python"


def model(backbone: str, head: HeadConfig) -> ModelConfig:
    """Return a published model, in the order of tokens that this project serves."""
    name = f"{backbone}_{'bc' if head.kind is HeadKind.BC else 'ddp'}"
    published = load_config(TrainConfig, PAPER / f"{name}.yaml").model
    return dataclasses.replace(published, head=head, windows=Windows.PADDED)


def seeded() -> torch.Generator:
    """Return a source of chance that is the same for all candidates."""
    return torch.Generator().manual_seed(0)


@contextmanager
def naive_scan() -> Iterator[None]:
    """Let Mamba layers use the reference scan."""
    fast = mamba.fast_scan
    mamba.fast_scan = lambda inputs, **_: reference_scan(inputs)
    try:
        yield
    finally:
        mamba.fast_scan = fast


class Decision:
    """One model with the pictures of a window, to be asked in several ways."""

    def __init__(self, config: ModelConfig) -> None:
        torch.manual_seed(0)
        self.policy = MailPolicy(config).eval().requires_grad_(False)
        shape = (HISTORY, 128, 128, 3)
        self.bytes = [torch.randint(0, 256, shape, dtype=torch.uint8) for _ in config.cameras]
        self.served = ServedPolicy(self.policy)
        self.fast = ServedPolicy(self.policy, Precision.FAST)
        with torch.inference_mode():
            self.frames = self.served.encode_frames(self.bytes)  # (T, F)
            self.fast_frames = self.fast.encode_frames(self.bytes)

    def naive_vision(self) -> Tensor:
        """Encode the whole window."""
        return self.policy.encode_frames([pictures_to_floats(image) for image in self.bytes])

    def naive_rest(self, frames: Tensor) -> Tensor:
        """Run everything again for every evaluation of the network."""
        policy = self.policy
        context = policy.encode_context(frames.unsqueeze(0), TASK)
        mix = time_after_context(lambda slots: policy.backbone(context, slots))
        with naive_scan():
            return policy.head.sample(mix, policy.action_positions(context), seeded())

    def naive(self) -> Tensor:
        """Decide as a straightforward implementation does."""
        return self.naive_rest(self.naive_vision())

    def vision(self, served: ServedPolicy) -> Tensor:
        """Encode the newest frame."""
        return served.encode_frames([image[-1:] for image in self.bytes])

    def decide(self, served: ServedPolicy, old: Tensor) -> Tensor:
        """Decide as the policy node does: the features of older frames are kept."""
        frames = torch.cat([old[:-1], self.vision(served)])
        return served.policy.predict(frames.unsqueeze(0), TASK, seeded())

    def condition(self) -> object:
        """Take the context, once per chunk."""
        policy = self.served.policy
        context = policy.encode_context(self.frames.unsqueeze(0), TASK)
        return policy.backbone.condition(context)

    def candidates(self) -> dict[str, Callable[[], object]]:
        """Return everything that is timed."""
        policy = self.served.policy
        return {
            "naive": self.naive,
            "naive vision": self.naive_vision,
            "served": lambda: self.decide(self.served, self.frames),
            "fast": lambda: self.decide(self.fast, self.fast_frames),
            "vision": lambda: self.vision(self.served),
            "backbone": self.condition,
            "rest": lambda: policy.predict(self.frames.unsqueeze(0), TASK, seeded()),
        }

    def errors(self) -> tuple[float, float]:
        """Return the largest differences from the naive chunk: served, and fast."""
        with torch.inference_mode():
            chunk = self.naive()
            served = self.decide(self.served, self.frames)
            fast = self.decide(self.fast, self.fast_frames)
        return float((served - chunk).abs().max()), float((fast - chunk).abs().max())


def decisions(results: Results, rounds: int, console: Console) -> None:
    """Measure every model with every head."""
    for title, backbone in BACKBONES.items():
        for head_title, head in HEADS.items():
            decision = Decision(model(backbone, head))
            name = f"{title} {head_title}"
            ms = medians_ms(decision.candidates(), rounds, console, name)
            error, fast_error = decision.errors()
            results.rows.append(
                {
                    "model": name,
                    "naive ms": ms["naive"],
                    "served ms": ms["served"],
                    "vision": ms["vision"],
                    "backbone": ms["backbone"],
                    "head": max(ms["rest"] - ms["backbone"], 0.0),
                    "speed-up": ms["naive"] / ms["served"],
                    "fast": ms["naive"] / ms["fast"],
                    "error": error,
                    "fast error": fast_error,
                }
            )
            key = f"{backbone}_{head_title.split('-')[0].lower()}"
            results.metrics[f"served_speedup_{key}"] = ms["naive"] / ms["served"]
            results.metrics[f"served_speedup_{key}_fast"] = ms["naive"] / ms["fast"]
            results.metrics[f"served_error_{key}"] = error
            results.metrics[f"served_error_{key}_fast"] = fast_error


def mamba_against_transformer(results: Results, rounds: int, console: Console) -> None:
    """Compare the stacks of D-Ma and D-Tr, each as it is served."""
    torch.manual_seed(0)
    stacks = {
        name: with_kernel_stacks(MailPolicy(model(backbone, HeadConfig()))).backbone.decoder
        for name, backbone in (("mamba", "d_ma"), ("transformer", "d_tr"))
    }
    for length, turns, repeats in ((16, 4 * rounds, 10), (LONG, rounds, 1)):
        tokens = torch.randn(1, length, 128)
        runs = {name: lambda s=stack, t=tokens: s(t) for name, stack in stacks.items()}
        ms = medians_ms(runs, turns, console, f"stacks at L = {length}", repeats)
        results.metrics[f"mamba_over_transformer_l{length}"] = ms["mamba"] / ms["transformer"]
        results.metrics[f"mamba_l{length}_ms"] = ms["mamba"]
        results.metrics[f"transformer_l{length}_ms"] = ms["transformer"]


def lerobot(results: Results, python: Path, console: Console) -> None:
    """Measure LeRobot's policies at the same cameras, in its own environment, if there is one."""
    if not python.exists():
        results.notes.append(f"LeRobot was not measured: no {python}; see tests/bench/peers.py")
        return
    console.print("LeRobot's policies, in their own environment")
    script = Path(__file__).with_name("peers.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [str(python), str(script)], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        results.notes.append(f"LeRobot was not measured: {done.stderr.strip()[-300:]}")
        return
    served = {row["model"]: row["served ms"] for row in results.rows}
    for name, ms in json.loads(done.stdout.splitlines()[-1]).items():
        results.rows.append({"model": f"LeRobot {name}", "served ms": ms})
        results.metrics[f"lerobot_{name}_over_ed_ma_bc"] = ms / served["ED-Ma BC"]
        results.metrics[f"lerobot_{name}_over_ed_ma_ddp"] = ms / served["ED-Ma DDP-16"]


def plot(results: Results) -> plt.Figure:
    """Draw where the time of a decision goes."""
    rows = [row for row in results.rows if "vision" in row]
    figure, axes = plt.subplots(figsize=(8, 4.5))
    left = [0.0] * len(rows)
    names = [row["model"] for row in rows]
    for part in ("vision", "backbone", "head"):
        widths = [row[part] for row in rows]
        axes.barh(names, widths, left=left, label=part)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for place, row in enumerate(rows):
        axes.text(left[place], place, f" {row['speed-up']:.1f}x naive", va="center", fontsize=8)
    axes.set_xlim(0, 1.25 * max(left))
    axes.invert_yaxis()
    axes.set_xlabel("one decision, served [ms]")
    axes.set_title("Decision latency, 2 cameras 128 x 128, H5, one thread")
    axes.legend()
    return figure


def main(argv: list[str]) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="mailctl bench latency", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="timings of each candidate")
    parser.add_argument("--lerobot-python", type=Path, default=LEROBOT)
    arguments = parser.parse_args(argv)
    console, results = make_console(), Results("latency")
    torch.set_num_threads(1)
    mamba_against_transformer(results, arguments.rounds, console)
    decisions(results, arguments.rounds, console)
    lerobot(results, arguments.lerobot_python, console)
    results.notes.append(
        "The Transformer is eager torch with scaled_dot_product_attention; Mamba is one C++ call."
    )
    results.save(plot(results), console)
    return 0
