"""A name that one process of this machine holds at a time.

The lock is a socket in Linux's abstract namespace: the kernel gives the name back when the process
ends in any way, so nothing has to be cleaned up after a crash.
"""

import socket


def try_hold(name: str) -> socket.socket | None:
    """Hold a name until the returned socket is closed; None if another socket holds it."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0mail/{name}")
    except OSError:
        lock.close()
        return None
    return lock


def name_of_robot_address(address: str) -> str:
    """Return the name whose holder may simulate a robot at an address."""
    return f"robot/{address}"
