"""Where the numbers of a run go: a line per report on disk, and TensorBoard if it is there."""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any, Self

from mail_policy.training.trainer import StepReport, ValidationReport

METRICS_NAME = "metrics.jsonl"
_LOGGER = logging.getLogger(__name__)


class RunLog:
    """Writes reports below a folder. Use it as a context manager."""

    def __init__(self, folder: Path, *, tensorboard: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / METRICS_NAME).open("a")
        self._board: Any = _open_board(folder) if tensorboard else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def write(self, report: StepReport | ValidationReport) -> None:
        """Write the numbers of one report."""
        group = "train" if isinstance(report, StepReport) else "validation"
        values = dataclasses.asdict(report)
        self._file.write(json.dumps({"group": group, **values}) + "\n")
        self._file.flush()
        step = values.pop("step")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{group}/{name}", value, step)


def _open_board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        _LOGGER.warning("no TensorBoard: %s; numbers are in %s", error, METRICS_NAME)
        return None
    return SummaryWriter(str(folder / "tensorboard"))
