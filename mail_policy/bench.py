"""`mailctl bench`: runs a benchmark of tests/bench, which writes runs/bench/<name>/."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

# Benchmarks are no part of the package: they are found in the checkout that it is installed from.
FOLDER = Path(__file__).parents[1] / "tests" / "bench"
_NO_BENCHMARKS = (
    "__init__",
    "calibration_latency",
    "camera_synthetic",
    "camera_transport",
    "harness",
    "peers",
)
_USAGE_EXIT_CODE = 2


def benchmark_names() -> list[str]:
    """Return the names of all benchmarks."""
    names = (file.stem for file in FOLDER.glob("*.py"))
    return sorted(name.replace("_", "-") for name in names if name not in _NO_BENCHMARKS)


def main(argv: Sequence[str]) -> int:
    """Run the benchmark that the first word names; the others are for it."""
    names = benchmark_names()
    if not names:
        sys.stderr.write(f"mailctl bench: no benchmarks in {FOLDER}; run it from a checkout\n")
        return _USAGE_EXIT_CODE
    if not argv or argv[0] not in names:
        got = f"unknown benchmark {argv[0]!r}; " if argv and not argv[0].startswith("-") else ""
        sys.stderr.write(f"mailctl bench: {got}known: {', '.join(names)}\n")
        return _USAGE_EXIT_CODE
    # As package "tests.bench", so that benchmarks share their harness.
    sys.path.insert(0, str(FOLDER.parents[1]))
    module = importlib.import_module(f"tests.bench.{argv[0].replace('-', '_')}")
    return int(module.main(list(argv[1:])) or 0)
