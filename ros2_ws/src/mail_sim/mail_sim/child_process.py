"""Starts one process of the twin, talks to it and ends it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

from mail_sim.world.process_channel import Channel, ChannelClosedError, Message

_ANSWER_LIMIT_S = 10.0
_STOP_LIMIT_S = 3.0


class TwinError(RuntimeError):
    """The twin cannot start, refuses a request or has ended. The text names the remedy."""


class ChildProcess:
    """One process of the twin and the connection to it."""

    def __init__(self, module: str, settings: Message, files: Mapping[str, int]) -> None:
        """Describe the process.

        Args:
            module: Dotted name of the module that it runs.
            settings: What it is told, beside the numbers of its files.
            files: File descriptors that it inherits, by their names in the settings.
        """
        self._name = module.rsplit(".", 1)[-1]
        self._module, self._settings, self._files = module, settings, files
        self._requests = 0

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        settings = {**self._settings, **self._files, "channel_fd": theirs.fileno()}
        # Blocked signals are inherited: Ctrl-C in the terminal must not end the child while it
        # is still importing; the parent coordinates the end.
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, json.dumps(settings)],
                pass_fds=(*self._files.values(), theirs.fileno()),
                env=_environment(),
                stdin=subprocess.DEVNULL,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)
            theirs.close()
        return self

    def __exit__(self, *error: object) -> None:
        self.channel.close()  # The end of the connection tells the child to stop.
        for end in (None, self._process.terminate, self._process.kill):
            if end is not None:
                end()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_LIMIT_S)
                return

    def require_running(self) -> None:
        """Raise TwinError if the process has ended, with its own words if it left any."""
        if self._process.poll() is not None:
            raise self._ended()

    def request(self, message: Message) -> Message:
        """Send a request and wait for its answer. Raises TwinError if it is refused."""
        self._requests += 1
        try:
            self.channel.send({"id": self._requests, **message})
        except ChannelClosedError as error:
            raise self._ended() from error
        deadline_s = time.monotonic() + _ANSWER_LIMIT_S
        while True:  # Answers to requests that were given up before are skipped.
            answer = self.await_answer(deadline_s - time.monotonic())
            if answer.get("id") == self._requests:
                return answer

    def await_answer(self, timeout_s: float) -> Message:
        """Wait for the next message. Raises TwinError if it is a fault or does not come."""
        try:
            answer = self.channel.receive(timeout_s)
        except ChannelClosedError as error:
            raise self._ended() from error
        if answer is None:
            raise TwinError(f"the twin's process {self._name!r} did not answer in time")
        if "error" in answer:
            raise TwinError(answer["error"])
        return answer

    def _ended(self) -> TwinError:
        """Return the error for a process that hung up, once it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_LIMIT_S)
        status = self._process.poll()
        return TwinError(
            f"the twin's process {self._name!r} has ended with status {status}: "
            f"{self._last_words()}"
        )

    def _last_words(self) -> str:
        with suppress(ChannelClosedError):
            while (message := self.channel.poll()) is not None:
                if "error" in message:
                    return str(message["error"])
        return "its last lines above may say why"


def _environment() -> dict[str, str]:
    # One thread each: on few cores the numerical libraries and the rasteriser fight for them.
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LP_NUM_THREADS"), "1")
    return {**os.environ, **one_thread}
