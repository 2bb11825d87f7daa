"""Reads what the system says about itself; never writes, never waits long."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """The files of a machine.

    Attributes:
        root: Where they begin; a test gives a folder of its own.
    """

    root: Path = Path("/")

    def text(self, path: str | Path) -> str:
        """Return the stripped content of a file; "" if it cannot be read."""
        try:
            return (self.root / path).read_text(errors="replace").strip()
        except OSError:
            return ""

    def number(self, path: str | Path) -> int | None:
        """Return the number in a file; None if there is none."""
        try:
            return int(self.text(path))
        except ValueError:
            return None

    def paths(self, pattern: str) -> list[Path]:
        """Return what matches a pattern below the root, in order."""
        return sorted(self.root.glob(pattern))


def output_of(command: Sequence[str], limit_s: float) -> str | None:
    """Return what a program prints; None if it is missing, fails, or takes too long."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
