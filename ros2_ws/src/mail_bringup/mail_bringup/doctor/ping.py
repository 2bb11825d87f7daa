"""Pings the robot once a millisecond, as Franka's network advice does, without root's rights."""

import secrets
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

_PERIOD_S = 0.001
# Franka's reference figures are for this size [bytes].
_PAYLOAD_BYTES = 1200
# The robot gives up after 20 lost packets in a row, 20 ms.
_REPLY_LIMIT_S = 0.02
_GIVE_UP_AFTER = 20
# Late answers to earlier pings, and on loopback our own requests.
_MAX_STRAYS = 50
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_HEADER = struct.Struct("!BBHHH")
_IP_VERSION_4 = 4


class PingRefusedError(RuntimeError):
    """This user may not send pings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PingFacts:
    """What came back.

    Attributes:
        sent: How many pings.
        lost: How many of them had no answer within 20 ms.
        p50_ms: Median time until the answer [ms]; this and the next are 0 if nothing came.
        p99_ms: 99th percentile [ms].
        max_ms: Longest [ms].
    """

    sent: int
    lost: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def ping(address: str, count: int) -> PingFacts:
    """Send pings at 1 kHz; stop early when the robot is silent.

    Raises:
        PingRefusedError: The kernel does not let this user ping.
        OSError: The address cannot be reached.
    """
    round_trips_s: list[float] = []
    silent, sent = 0, 0
    with _open_socket() as link:
        link.settimeout(_REPLY_LIMIT_S)
        link.connect((address, 0))
        due_s = time.monotonic()
        while sent < count and silent < _GIVE_UP_AFTER:
            round_trip_s = _exchange(link, sent % 65536)
            sent += 1
            silent = 0 if round_trip_s is not None else silent + 1
            if round_trip_s is not None:
                round_trips_s.append(round_trip_s)
            due_s = max(due_s + _PERIOD_S, time.monotonic())
            time.sleep(max(0.0, due_s - time.monotonic()))
    return summarise(sent, round_trips_s)


def summarise(sent: int, round_trips_s: Sequence[float]) -> PingFacts:
    """Return the statistics of the answers that came."""
    ordered = sorted(1000.0 * value for value in round_trips_s) or [0.0]
    return PingFacts(
        sent=sent,
        lost=sent - len(round_trips_s),
        p50_ms=ordered[len(ordered) // 2],
        p99_ms=ordered[min(int(0.99 * len(ordered)), len(ordered) - 1)],
        max_ms=ordered[-1],
    )


def _open_socket() -> socket.socket:
    # The first kind needs no rights where the kernel allows it, the second one is for root.
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            return socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
        except PermissionError:
            continue
    raise PingRefusedError("the kernel does not let this user ping")


def _exchange(link: socket.socket, sequence: int) -> float | None:
    """Return the time until the answer [s]; None if none came."""
    # The kernel may choose the identifier itself, so an answer is known by its content.
    payload = secrets.token_bytes(16).ljust(_PAYLOAD_BYTES, b"\0")
    start_s = time.perf_counter()
    try:
        link.send(_packet(sequence, payload))
        # Counted, not timed: an answer that lies there while we were stalled is not lost.
        for _ in range(_MAX_STRAYS):
            if _is_reply(link.recv(2048), payload):
                return time.perf_counter() - start_s
    except (TimeoutError, ConnectionError):
        pass
    return None


def _packet(sequence: int, payload: bytes) -> bytes:
    header = _HEADER.pack(_ECHO_REQUEST, 0, 0, 0, sequence)
    checksum = _checksum(header + payload)
    return _HEADER.pack(_ECHO_REQUEST, 0, checksum, 0, sequence) + payload


def _is_reply(data: bytes, payload: bytes) -> bool:
    # A raw socket also hands out the header of IP.
    if data[0] >> 4 == _IP_VERSION_4:
        data = data[4 * (data[0] & 0x0F) :]
    return data[0] == _ECHO_REPLY and data[_HEADER.size :] == payload


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
