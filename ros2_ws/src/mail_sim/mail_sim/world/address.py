"""Picks loopback addresses for simulated robots, so that several can run side by side.

libfranka always talks to ports 1337 (arm) and 1338 (hand), therefore every twin needs an address
of its own.
"""

import errno
import socket

from mail_policy.core.name_lock import name_of_robot_address, try_hold

ROBOT_PORT = 1337
GRIPPER_PORT = 1338

# Sockets in the abstract namespace, used as locks: they end with this process, however it ends.
_held_locks: dict[str, socket.socket] = {}


class AddressError(RuntimeError):
    """No robot can be simulated at an address."""


def find_free_address() -> str:
    """Return a loopback address at which nobody simulates a robot.

    The address stays reserved for this process until it ends: two processes that ask at the same
    time get different ones.

    Raises:
        AddressError: All of 127.0.0.1 to 127.0.0.254 are taken.
    """
    for last in range(1, 255):
        address = f"127.0.0.{last}"
        if _lock(address):
            if busy_port(address) is None:
                return address
            _held_locks.pop(address).close()
    raise AddressError(
        "all of 127.0.0.1 to 127.0.0.254 are taken by simulated robots; stop some of them"
    )


def require_free(address: str) -> None:
    """Raise AddressError if another program serves a robot at an address, or if it is not ours."""
    try:
        port = busy_port(address)
    except OSError as error:
        raise AddressError(
            f"cannot simulate a robot at {address!r} ({error}); use an address of this machine, "
            f"for example 127.0.0.1"
        ) from error
    if port is not None:
        raise AddressError(
            f"cannot simulate a robot at {address}: port {port} is in use. Stop the other twin, "
            f"or choose another address, for example robot_ip:=127.0.0.2"
        )


def busy_port(address: str) -> int | None:
    """Return the first of the robot's ports that is in use at an address, None if all are free.

    Raises OSError if the address is not one of this machine.
    """
    for port in (ROBOT_PORT, GRIPPER_PORT):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                return port
    return None


def _lock(address: str) -> bool:
    if address in _held_locks:
        return False
    lock = try_hold(name_of_robot_address(address))
    if lock is None:
        return False
    _held_locks[address] = lock
    return True
