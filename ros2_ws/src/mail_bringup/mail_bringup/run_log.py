"""Output of processes in files, for programs that keep the terminal to themselves."""

import threading
from pathlib import Path
from typing import IO, Self

from mail_bringup.runner import Ended

_TAIL_LINES = 15


class RunLog:
    """One log file per process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, IO[str]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            for file in self._files.values():
                file.close()

    def write(self, name: str, text: str) -> None:
        """Append a line of a process."""
        with self._lock:
            if name not in self._files:
                self._files[name] = (self._folder / f"{name}.log").open("w")
            if not self._files[name].closed:
                self._files[name].write(f"{text}\n")
                self._files[name].flush()

    def tail(self, name: str) -> str:
        """Return the last lines of a process."""
        try:
            lines = (self._folder / f"{name}.log").read_text().splitlines()
        except OSError:
            return "(no output)"
        return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])

    def last_words(self, ended: Ended) -> str:
        """Say which process ended, and what it wrote last."""
        return f"{ended}. Its last words:\n{self.tail(ended.process.name)}"
