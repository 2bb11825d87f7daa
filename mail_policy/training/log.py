"""Where the numbers of a run go: a line per report on disk, TensorBoard, Weights & Biases."""

import dataclasses
import hashlib
import importlib
import json
import logging
from pathlib import Path
from typing import Any, Self

from mail_policy.training.engine import TrainingError
from mail_policy.training.trainer import StepReport, ValidationReport

METRICS_NAME = "metrics.jsonl"
_LOGGER = logging.getLogger(__name__)


class RunLog:
    """Writes reports below a folder. Use it as a context manager.

    Args:
        folder: Of the run.
        step: Steps that are done already. What was written of later ones is forgotten: they will
            be done again.
        tensorboard: Whether to write for TensorBoard.
        wandb_project: Project of Weights & Biases to write to as well; None for none.
        config: Of the run, for Weights & Biases.

    Raises:
        TrainingError: Weights & Biases is wanted and not installed.
    """

    def __init__(
        self,
        folder: Path,
        step: int,
        *,
        tensorboard: bool,
        wandb_project: str | None,
        config: dict[str, Any],
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._wandb: Any = _start_wandb(folder, wandb_project, config) if wandb_project else None
        _forget_later_lines(folder / METRICS_NAME, step)
        self._file = (folder / METRICS_NAME).open("a")
        self._board: Any = _open_board(folder, step) if tensorboard else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()

    def write(self, report: StepReport | ValidationReport) -> None:
        """Write the numbers of one report."""
        group = "train" if isinstance(report, StepReport) else "validation"
        values = dataclasses.asdict(report)
        self._file.write(json.dumps({"group": group, **values}) + "\n")
        self._file.flush()
        step = values.pop("step")
        named = {f"{group}/{name}": value for name, value in values.items()}
        if self._board is not None:
            for name, value in named.items():
                self._board.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(named, step=step)


def _forget_later_lines(file: Path, step: int) -> None:
    if not file.exists():
        return
    kept = [line for line in file.read_text().splitlines() if _step_of(line) <= step]
    partial = file.with_suffix(".partial")
    partial.write_text("".join(f"{line}\n" for line in kept))
    partial.replace(file)


def _step_of(line: str) -> float:
    try:
        return int(json.loads(line)["step"])
    except ValueError:
        # Half a line, of a run that was killed while it wrote.
        return float("inf")


def _open_board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        _LOGGER.warning("no TensorBoard: %s; numbers are in %s", error, METRICS_NAME)
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)


def _start_wandb(folder: Path, project: str, config: dict[str, Any]) -> Any:
    try:
        wandb = importlib.import_module("wandb")
    except ImportError as error:
        raise TrainingError(
            "Weights & Biases is not installed; pip install -e '.[wandb]', or leave out --wandb"
        ) from error
    path = folder.resolve()
    # One run per folder, also when it goes on.
    identity = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    return wandb.init(
        project=project, id=identity, name=path.name, dir=str(path), config=config, resume="allow"
    )
