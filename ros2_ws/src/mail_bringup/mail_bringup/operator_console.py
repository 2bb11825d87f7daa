"""Questions to the person at the terminal, and single keys while the arm moves."""

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from typing import Protocol

_MAX_KEYS = 64


class OperatorConsole(Protocol):
    """How an evaluation talks with the person beside the robot."""

    def say(self, text: str) -> None:
        """Show a line."""
        ...

    def ask(self, question: str) -> str:
        """Ask, and return the line that was typed."""
        ...

    def keys(self) -> contextlib.AbstractContextManager[None]:
        """While the context lasts, keys are heard at once and not shown."""
        ...

    def key(self) -> str:
        """Return a key that was pressed, "" if none was. Does not wait."""
        ...


class TerminalConsole:
    """The terminal in which `mailctl` runs."""

    def say(self, text: str) -> None:
        """Show a line."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def ask(self, question: str) -> str:
        """Ask, and return the line that was typed.

        What was typed before the question is no answer to it: a key too many must not move an arm.
        """
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
        return input(f"{question} ").strip()

    @contextlib.contextmanager
    def keys(self) -> Iterator[None]:
        """While the context lasts, keys are heard at once and not shown."""
        before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
        try:
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)

    def key(self) -> str:
        """Return a key that was pressed, "" if none was. Does not wait."""
        ready, _, _ = select.select([sys.stdin], [], [], 0.0)
        # Past Python's buffer, which would keep further keys for itself.
        return os.read(sys.stdin.fileno(), _MAX_KEYS).decode(errors="replace") if ready else ""
