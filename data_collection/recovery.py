"""Mends what recorders left behind that died: a kill, a power cut."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

from data_collection.errors import EpisodeError
from data_collection.locks import is_in_use
from data_collection.manifest import LOG_NAME, EpisodeQuality, load_manifest
from data_collection.repair import RepairStatus, repair_episode

_log = logging.getLogger(__name__)


def dead_episodes(episodes_dir: Path) -> Iterator[Path]:
    """Yield the episodes of a recorder's folder that were never finished, and go on nowhere."""
    for log in sorted(episodes_dir.glob(f"*/{LOG_NAME}")):
        if not _is_finished(log.parent) and not is_in_use(log):
            yield log.parent


def _is_finished(folder: Path) -> bool:
    try:
        return load_manifest(folder).quality is not EpisodeQuality.RECORDING
    except EpisodeError:
        return False


class Recovery:
    """Repairs dead episodes one after another in a thread of its own; finished ones stay as is.

    Args:
        episodes_dir: Folder of a recorder's episodes.
    """

    def __init__(self, episodes_dir: Path) -> None:
        self._episodes_dir = episodes_dir
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recovery", daemon=True)

    def start(self) -> None:
        """Begin; return at once."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Begin no further repair; False if the present one takes longer than that."""
        self._is_ending.set()
        return self.wait(timeout_s)

    def wait(self, timeout_s: float) -> bool:
        """Wait until everything is mended; False if that takes longer than so long [s]."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            for folder in dead_episodes(self._episodes_dir):
                if self._is_ending.is_set():
                    return
                status, sentence = repair_episode(folder)
                level = logging.ERROR if status is RepairStatus.FAILED else logging.WARNING
                _log.log(level, "%s", sentence)
        except Exception:  # the top of the thread: recording goes on without recovery
            _log.exception("looking for dead episodes failed")
