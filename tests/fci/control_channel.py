"""The Unix socket of a test: one JSON line per request and per answer."""

import json
import select
import socket
from pathlib import Path

from mail_policy.core.config import ConfigError, build_config
from tests.fci.requests import REQUESTS, Answer, FaultyFci

_FIRST_CONNECTION_LIMIT_S = 30.0


class PeerGoneError(RuntimeError):
    """The other side has closed its end, or never came."""


class ControlChannel:
    """The robot's end. The robot ends with the connection, whatever ended the test."""

    def __init__(self, path: Path) -> None:
        """Listen, and wait for the test. Raises PeerGoneError if it does not come."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(_FIRST_CONNECTION_LIMIT_S)
            try:
                self._connection, _ = listener.accept()
            except TimeoutError as error:
                raise PeerGoneError("nobody connected to the control socket") from error
        # The test may have removed its folder already.
        path.unlink(missing_ok=True)
        self._connection.setblocking(False)
        self._received = b""

    def serve(self, fci: FaultyFci) -> None:
        """Answer what has arrived. Raises PeerGoneError at the end of the connection."""
        try:
            data = self._connection.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionError as error:
            raise PeerGoneError("the control connection broke") from error
        if not data:
            raise PeerGoneError("the control connection was closed")
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            answer = json.dumps(answer_to(fci, line)).encode() + b"\n"
            try:
                self._connection.sendall(answer)
            except OSError as error:
                raise PeerGoneError("the control connection broke") from error

    def wait(self, timeout_s: float) -> None:
        """Wait until something has arrived, or for some time [s]."""
        select.select([self._connection], [], [], timeout_s)


def answer_to(fci: FaultyFci, line: bytes) -> Answer:
    """Carry out one request; a bad one is answered with "error" and changes nothing."""
    try:
        message = json.loads(line)
        if not isinstance(message, dict) or message.get("command") not in REQUESTS:
            raise ValueError(f"command must be one of {', '.join(REQUESTS)}")
        command = message.pop("command")
        request = build_config(REQUESTS[command], message, f"fields of {command}")
        return {"cycle": fci.robot.box.cycle, **request.apply(fci)}
    except (ValueError, ConfigError, OSError) as error:
        return {"error": str(error)}
