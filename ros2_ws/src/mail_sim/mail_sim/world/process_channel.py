"""Messages between the twin and its processes: JSON, one line each, over a pair of sockets.

JSON and not pickle: nothing in this project unpickles. The end of the connection tells a child
process that its parent has gone, whatever ended it.
"""

import json
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from mail_policy.core.config import build_config

Message = dict[str, Any]
logger = logging.getLogger(__name__)


class ChildConfig(Protocol):
    """What every child process is told."""

    @property
    def channel_fd(self) -> int:
        """File descriptor of its end of the connection."""
        ...


ConfigT = TypeVar("ConfigT", bound=ChildConfig)


class ChannelClosedError(RuntimeError):
    """The other side has gone."""


class Channel:
    """One end of the connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def close(self) -> None:
        """Hang up; the other side notices."""
        self._connection.close()

    def fileno(self) -> int:
        """Return the file descriptor, so that select can wait for a message."""
        return self._connection.fileno()

    def send(self, message: Message) -> None:
        """Send a message; waits while the other side's buffer is full."""
        try:
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise ChannelClosedError(f"the other side has gone: {error}") from error

    def poll(self) -> Message | None:
        """Return the next message if it has arrived, without waiting."""
        return self._next_message(socket.MSG_DONTWAIT)

    def receive(self, timeout_s: float) -> Message | None:
        """Wait for the next message; None if none came in time."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            self._connection.settimeout(max(deadline_s - time.monotonic(), 1e-3))
            try:
                message = self._next_message(0)
            finally:
                self._connection.settimeout(None)
            if message is not None or time.monotonic() >= deadline_s:
                return message

    def _next_message(self, flags: int) -> Message | None:
        if b"\n" not in self._buffer:
            try:
                received = self._connection.recv(1 << 16, flags)
            except (BlockingIOError, TimeoutError):
                return None
            except OSError as error:
                raise ChannelClosedError(f"the other side has gone: {error}") from error
            if not received:
                raise ChannelClosedError("the other side has gone")
            self._buffer += received
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline:
            return None
        self._buffer = rest
        message: Message = json.loads(line)
        return message


def run_child(
    name: str, config_type: type[ConfigT], serve: Callable[[ConfigT, Channel], None]
) -> None:
    """Be a child process of the twin: serve until the parent goes, tell it of a fault.

    Args:
        name: For messages.
        config_type: Of the settings, which the command line holds as JSON.
        serve: The work; ends by raising ChannelClosedError, or by returning when told to.
    """
    # The parent coordinates the end; Ctrl-C in a terminal reaches all processes at once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(format=f"twin {name}: %(message)s")
    config = build_config(config_type, json.loads(sys.argv[1]), f"settings of the {name}")
    channel = Channel(socket.socket(fileno=config.channel_fd))
    try:
        serve(config, channel)
    except ChannelClosedError:
        return
    except Exception as error:  # The top of this process: the parent must learn why it ends.
        logger.exception("the twin's %s failed", name)
        with suppress(ChannelClosedError):
            channel.send({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)
