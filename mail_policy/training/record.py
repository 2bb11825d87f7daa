"""What a run was made from and with: `run.json`, for people and for going on."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_collection.provenance import software_versions
from mail_policy.core.config import to_plain
from mail_policy.inference.checkpoint import CheckpointError
from mail_policy.training.engine import Engine
from mail_policy.training.export import Learned

RUN_NAME = "run.json"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What must not change when a run goes on, and how it was started each time.

    Attributes:
        dataset_sha256: Of what is learned from.
        config: Of the run, as it is in YAML.
        started_from_sha256: Of the weights that were learned on from; None for random ones.
        starts: Per start: when, at which step, command, device, processes, software with git hash.
    """

    dataset_sha256: str
    config: dict[str, Any]
    started_from_sha256: str | None
    starts: tuple[dict[str, Any], ...]


def record_start(folder: Path, learned: Learned, engine: Engine, step: int) -> None:
    """Note that a run starts, or goes on.

    Args:
        folder: Of the run.
        learned: What it is made from.
        engine: What it is made with.
        step: Steps that are done already.
    """
    earlier = load_record(folder).starts if step else ()
    start = {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "step": step,
        "command": learned.command,
        "device": engine.device_name,
        "processes": engine.share.processes,
        "software": software_versions(),
    }
    facts = {
        "dataset_sha256": learned.dataset_sha256,
        "config": to_plain(learned.config),
        "started_from_sha256": learned.started_from_sha256,
        "starts": [*earlier, start],
    }
    folder.mkdir(parents=True, exist_ok=True)
    # Under another name first: a run that was killed here must be able to go on.
    partial = folder / f"{RUN_NAME}.partial"
    partial.write_text(json.dumps(facts, indent=2) + "\n")
    partial.replace(folder / RUN_NAME)


def load_record(folder: Path) -> RunRecord:
    """Read what is known about a run.

    Raises:
        CheckpointError: There is no run in the folder, or its record is damaged.
    """
    try:
        facts = json.loads((folder / RUN_NAME).read_text())
        starts = tuple(facts.get("starts", ()))
        return RunRecord(
            facts["dataset_sha256"], facts["config"], facts.get("started_from_sha256"), starts
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"cannot go on with {folder}: {error!r}; start a new run") from error
