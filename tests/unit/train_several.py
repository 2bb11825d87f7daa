"""Trains with several configurations, one after the other; torchrun starts it for a test."""

import sys
from pathlib import Path

from mail_policy.training.train import main

if __name__ == "__main__":
    data, *configs = sys.argv[1:]
    for config in configs:
        out = str(Path(config).with_suffix(""))
        if main(["--config", config, "--data", data, "--out", out, "--device", "cpu"]) != 0:
            sys.exit(f"training with {config} failed")
