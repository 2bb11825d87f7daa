"""What a longer history costs: Mamba scanned again, Mamba stepped, and a Transformer.

The paper asks whether Mamba pays off with long histories. A tick of a policy is one new token. A
policy that looks at a window runs the whole sequence again; a policy with memory takes one step.
A Transformer can keep keys and values of all tokens. What must be kept between ticks grows with
the history for the Transformer and for windows, and stays for the recurrent state.
"""

import argparse

import torch
from matplotlib import pyplot as plt

from mail_policy.inference.served import with_kernel_stacks
from mail_policy.models.config import HeadConfig
from mail_policy.models.policy import MailPolicy
from mail_policy.models.state import State
from tests.bench.harness import Results, make_console, medians_ms
from tests.bench.latency import model

LENGTHS = (5, 16, 50, 100, 200, 500, 1000)
WIDTH = 128
_BYTES = 4


def numbers_in(state: object) -> int:
    """Return how many numbers a state holds."""
    if isinstance(state, torch.Tensor):
        return state.numel()
    if isinstance(state, State):
        return sum(map(numbers_in, state.parts))
    return numbers_in(state.conv) + numbers_in(state.ssm)  # type: ignore[attr-defined]


def main(argv: list[str]) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="mailctl bench history-cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="timings of each candidate")
    rounds = parser.parse_args(argv).rounds
    console, results = make_console(), Results("history-cost")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    mamba, transformer = (
        with_kernel_stacks(MailPolicy(model(backbone, HeadConfig()))).backbone.decoder
        for backbone in ("d_ma", "d_tr")
    )
    token = torch.randn(1, 1, WIDTH)
    steps_ms: dict[int, float] = {}
    with torch.inference_mode():
        states = {length: mamba(torch.randn(1, length, WIDTH))[1] for length in LENGTHS}
    # All lengths in one comparison: their ratio is the point.
    step_runs = {str(n): lambda state=state: mamba(token, state) for n, state in states.items()}
    for name, ms in medians_ms(step_runs, 10 * rounds, console, "steps", repeats=5).items():
        steps_ms[int(name)] = ms
    for length in LENGTHS:
        tokens = torch.randn(1, length, WIDTH)
        with torch.inference_mode():
            cache = transformer(tokens)[1]
        runs = {
            "scan": lambda t=tokens: mamba(t),
            "transformer": lambda t=tokens: transformer(t),
            "cached": lambda c=cache: transformer(token, c),
        }
        ms = medians_ms(runs, rounds, console, f"history of {length}")
        results.rows.append(
            {
                "history": length,
                "Mamba scan ms": ms["scan"],
                "Mamba step ms": steps_ms[length],
                "Transformer ms": ms["transformer"],
                "Transformer cached ms": ms["cached"],
                "Mamba state kB": _BYTES * numbers_in(states[length]) / 1e3,
                "window kB": _BYTES * length * WIDTH / 1e3,
                "cache kB": _BYTES * numbers_in(cache) / 1e3,
            }
        )
    results.metrics["step_cost_1000_over_5"] = steps_ms[1000] / steps_ms[5]
    first, last = results.rows[0], results.rows[-1]
    results.metrics["scan_1000_over_5"] = last["Mamba scan ms"] / first["Mamba scan ms"]
    results.metrics["transformer_over_step_1000"] = last["Transformer ms"] / steps_ms[1000]
    results.metrics["cached_over_step_1000"] = last["Transformer cached ms"] / steps_ms[1000]
    results.save(plot(results), console)
    return 0


def plot(results: Results) -> plt.Figure:
    """Draw time and memory against the length of the history."""
    figure, (times, sizes) = plt.subplots(1, 2, figsize=(10, 4))
    history = [row["history"] for row in results.rows]
    for axes, unit in ((times, "ms"), (sizes, "kB")):
        for column in results.rows[0]:
            if column.endswith(unit):
                label = column.removesuffix(unit).strip()
                axes.loglog(history, [row[column] for row in results.rows], "o-", label=label)
        axes.set_xlabel("history [tokens]")
        axes.legend(fontsize=8)
    times.set_ylabel("one tick [ms]")
    sizes.set_ylabel("kept between ticks [kB]")
    figure.suptitle("D-Ma (16 layers) and D-Tr (8 layers), width 128, batch 1, one thread")
    return figure
