"""A stack in processes of its own, started as a user starts it."""

import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil

MAILCTL = str(Path(sys.executable).parent / "mailctl")


class Stack:
    """`mailctl up` in a process of its own, and what it prints."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.popen = subprocess.Popen(
            [MAILCTL, "up", name, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._said = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            with self._said:
                self.lines.append(line)
                self._said.notify_all()
        with self._said:
            self._said.notify_all()

    def domain_id(self) -> int:
        pattern = re.compile(r"ROS_DOMAIN_ID=(\d+)")
        with self._said:
            assert self._said.wait_for(lambda: pattern.search("".join(self.lines)), 30.0), self.text
        match = pattern.search(self.text)
        assert match
        return int(match[1])

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def processes(self) -> list[psutil.Process]:
        return psutil.Process(self.popen.pid).children(recursive=True)

    def process_named(self, executable: str) -> psutil.Process:
        (found,) = [p for p in self.processes() if any(executable in w for w in p.cmdline())]
        return found

    def end(self) -> int:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGINT)
        try:
            return self.popen.wait(30.0)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            raise
