"""Starts the processes of a stack, passes their output on, and ends all of them.

Promises: every process is its own process group, so Ctrl-C in the terminal reaches the runner
only; the runner stops the others in order, calmly first; a guard process ends them when the
runner itself is killed.
"""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mail_bringup import descendants
from mail_bringup.places import find_executable, prefixes
from mail_bringup.processes import Process, parameter_text
from mail_bringup.security import enclave_words

OnLine = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ended without being asked to.

    Attributes:
        process: Which one.
        code: Exit status; negative is the signal that killed it.
    """

    process: Process
    code: int

    def __str__(self) -> str:
        """One line for the operator."""
        if self.code < 0:
            return f"{self.process.name} was killed by {signal.Signals(-self.code).name}"
        return f"{self.process.name} ended with exit code {self.code}"


def command_of(process: Process) -> list[str]:
    """Return the command line of a process. Raises FileNotFoundError if it is not built."""
    words = [str(find_executable(process.package, process.executable)), *process.words]
    words += ["--ros-args"]
    words += ["-r", f"__node:={process.name}"]
    words += enclave_words(process.name, os.environ)
    if process.namespace:
        words += ["-r", f"__ns:=/{process.namespace.strip('/')}"]
    for name, value in process.parameters.items():
        # rcl cannot parse an empty list: it has no type. The node's default is empty too.
        if value != ():
            words += ["-p", f"{name}:={parameter_text(value)}"]
    return words


class Child:
    """One running process and the thread that reads its output."""

    def __init__(
        self,
        process: Process,
        command: Sequence[str],
        variables: Mapping[str, str],
        on_line: OnLine,
    ) -> None:
        self.process = process
        self.popen = subprocess.Popen(
            command,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._on_line = on_line
        self._reader = threading.Thread(target=self._read, name=process.name, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self._on_line(self.process.name, line.rstrip("\n"))

    def finish_reading(self, limit_s: float) -> None:
        """Wait for the last lines; a grandchild may keep the pipe open."""
        self._reader.join(limit_s)


class StackRunner:
    """Runs processes while its context lasts.

    Args:
        processes: What to run, in the order of starting.
        variables: Environment of the processes, added to our own.
        on_line: Called from reader threads with (process name, line of output).
        command: Makes the command line of a process.
    """

    def __init__(
        self,
        processes: Sequence[Process],
        variables: Mapping[str, str],
        on_line: OnLine,
        command: Callable[[Process], list[str]] = command_of,
    ) -> None:
        self._token = secrets.token_hex(8)
        self._commands = [(process, command(process)) for process in processes]
        self._variables = {
            **os.environ,
            "AMENT_PREFIX_PATH": os.pathsep.join(map(str, prefixes())),
            # Executables say `/usr/bin/env python3` and must find this environment's.
            "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
            **variables,
            descendants.TOKEN_VARIABLE: self._token,
        }
        self._on_line = on_line
        self._reported: set[str] = set()
        self._required_ended: Ended | None = None
        self.children: list[Child] = []

    def __enter__(self) -> Self:
        self._guard = subprocess.Popen(
            [sys.executable, "-S", "-E", descendants.__file__, self._token],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            for process, command in self._commands:
                self.children.append(Child(process, command, self._variables, self._on_line))
        except OSError:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def newly_ended(self) -> list[Ended]:
        """Return the processes that have ended since the last call."""
        ended = []
        for child in self.children:
            code = child.popen.poll()
            if code is not None and child.process.name not in self._reported:
                self._reported.add(child.process.name)
                child.finish_reading(0.5)
                ended.append(Ended(child.process, code))
        return ended

    def required_ended(self) -> Ended | None:
        """Return the first required process that has ended by itself, if any; remembers it."""
        for ended in self.newly_ended():
            if ended.process.required and self._required_ended is None:
                self._required_ended = ended
        return self._required_ended

    def stop(self) -> None:
        """End everything: first those that need the others, then the rest. May be repeated."""
        for outlives_others in (False, True):
            self._stop_children(
                [c for c in self.children if c.process.outlives_others == outlives_others]
            )
        descendants.end_all(self._token, calm_limit_s=0.0)
        for child in self.children:
            child.finish_reading(0.5)
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()

    def _stop_children(self, children: Sequence[Child]) -> None:
        stages = (
            (signal.SIGINT, descendants.CALM_LIMIT_S),
            (signal.SIGTERM, descendants.TERMINATE_LIMIT_S),
            (signal.SIGKILL, descendants.TERMINATE_LIMIT_S),
        )
        for signal_number, limit_s in stages:
            alive = [child for child in children if child.popen.poll() is None]
            if signal_number is not signal.SIGINT:
                for child in alive:
                    text = f"still runs, sending {signal_number.name}"
                    self._on_line(child.process.name, text)
            for child in alive:
                child.popen.send_signal(signal_number)
            _wait_for(alive, limit_s)


def _wait_for(children: Sequence[Child], limit_s: float) -> None:
    deadline_s = time.monotonic() + limit_s
    for child in children:
        try:
            child.popen.wait(max(deadline_s - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            return
