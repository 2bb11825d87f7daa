"""Things that only one stack at a time may use: a ROS domain, an address of a twin.

A claim is a locked file or a bound socket. The kernel gives both back when the process ends in
any way, so nothing has to be cleaned up after a crash.
"""

import fcntl
import os
import secrets
import socket
from pathlib import Path
from typing import Protocol, Self

from mail_policy.core.name_lock import name_of_robot_address, try_hold

FCI_PORT = 1337
_GRIPPER_PORT = 1338
# Higher domains would use ports that Linux hands out to clients.
_DOMAINS = range(1, 102)


class ClaimError(RuntimeError):
    """Everything of a kind is in use."""


class _Closable(Protocol):
    def close(self) -> None: ...


class Claim:
    """A claimed value; given back on leaving the context or when the process ends."""

    def __init__(self, value: str, lock: _Closable) -> None:
        self.value = value
        self._lock = lock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.close()


def try_claim(folder: Path, kind: str, value: str) -> Claim | None:
    """Claim one value of a kind; None if another process has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = (folder / f"{kind}-{value}.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return Claim(value, file)


def claim_domain(folder: Path) -> Claim:
    """Claim a ROS domain in which nothing runs. Raises ClaimError if there is none.

    Domains are handed out in turn: for some seconds after a stack has ended, the first requests
    in its domain may get lost on their way to participants that no longer exist.
    """
    start = _turn(folder, "domain", len(_DOMAINS))
    for domain in (*_DOMAINS[start:], *_DOMAINS[:start]):
        claim = try_claim(folder, "domain", str(domain))
        if claim is not None and _domain_is_silent(domain):
            return claim
        if claim is not None:
            claim.__exit__()
    raise ClaimError("no free ROS domain left; stop a stack that still runs, see mailctl status")


def _turn(folder: Path, kind: str, count: int) -> int:
    """Return 0, 1, 2, ... and 0 again, one number more with every call of any process."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / f"{kind}.turn").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        # Folders of locks that do not know each other start at different places.
        turn = (int(text) + 1 if text.isdigit() else os.getpid()) % count
        file.truncate(0)
        file.write(str(turn))
    return turn


def claim_address(folder: Path) -> Claim:
    """Claim a loopback address for a twin. Raises ClaimError if there is none."""
    addresses = [f"127.0.0.{last}" for last in range(2, 255)]
    start = _turn(folder, "address", len(addresses))
    for address in (*addresses[start:], *addresses[:start]):
        lock = try_hold(name_of_robot_address(address))
        if lock is not None and address_is_free(address):
            return Claim(address, lock)
        if lock is not None:
            lock.close()
    raise ClaimError("no free address left; stop a stack that still runs, see mailctl status")


def make_run_id() -> str:
    """Return a short name that no other run has."""
    return f"mail{secrets.token_hex(4)}"


def address_is_free(address: str) -> bool:
    """Whether a twin can serve the robot's ports at an address."""
    return all(_can_bind(socket.SOCK_STREAM, address, port) for port in (FCI_PORT, _GRIPPER_PORT))


def _domain_is_silent(domain: int) -> bool:
    # Port of the first participant of a domain, by the DDS-RTPS rule.
    return _can_bind(socket.SOCK_DGRAM, "0.0.0.0", 7410 + 250 * domain)


def _can_bind(kind: socket.SocketKind, address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        # A server that just ended must not look as if it still lived.
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
