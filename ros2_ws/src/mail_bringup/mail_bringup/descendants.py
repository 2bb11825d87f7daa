"""Finds and ends all processes of a stack, also those that their parents have lost.

Every process of a stack carries a token in its environment, and so do its children. This file
runs on its own too, as the guard: a small process that outlives a killed runner and ends the
stack that was left behind. It must work without any package, so it imports none.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

TOKEN_VARIABLE = "MAIL_STACK_TOKEN"
# How long processes get for a calm end before the next, harder signal [s].
CALM_LIMIT_S = 5.0
TERMINATE_LIMIT_S = 2.0
_KILL_LIMIT_S = 2.0


def find(token: str) -> list[int]:
    """Return the process ids that carry a token, except our own."""
    entry = f"{TOKEN_VARIABLE}={token}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            carries = entry in (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            # Ended just now, or of another user.
            continue
        if carries:
            found.append(int(folder.name))
    return found


def send(signal_number: int, pids: Iterable[int]) -> None:
    """Send a signal to processes, of which some may have ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)


def end_all(token: str, *, calm_limit_s: float = CALM_LIMIT_S) -> None:
    """End everything that carries a token: calmly first, then by force."""
    stages = (
        (signal.SIGINT, calm_limit_s),
        (signal.SIGTERM, TERMINATE_LIMIT_S),
        (signal.SIGKILL, _KILL_LIMIT_S),
    )
    for signal_number, limit_s in stages:
        pids = find(token)
        if not pids:
            return
        send(signal_number, pids)
        deadline_s = time.monotonic() + limit_s
        while find(token) and time.monotonic() < deadline_s:
            time.sleep(0.05)


def guard() -> None:
    """Wait until the runner closes our standard input, then end what it left behind."""
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end_all(sys.argv[1])


if __name__ == "__main__":
    guard()
