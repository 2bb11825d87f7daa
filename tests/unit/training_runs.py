"""What tests of whole training runs share."""

import json
import os
from pathlib import Path
from typing import Any

from mail_policy.core.config import to_plain
from mail_policy.training.config import TrainConfig

ROOT = Path(__file__).parents[2]
LIMIT_S = 200.0


def write_config(path: Path, config: TrainConfig) -> Path:
    path.write_text(json.dumps(to_plain(config)))  # YAML holds JSON
    return path


def words(config: Path, data: Path, out: Path) -> list[str]:
    return ["--config", str(config), "--data", str(data), "--out", str(out), "--device", "cpu"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
