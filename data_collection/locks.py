"""Tells a recording that goes on from one whose recorder has died.

The writer of an episode holds a lock on its log. The kernel takes the lock away when the process
ends in any way, so a log without a lock that is not finished belongs to nobody.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_collection.errors import InUseError

_log = logging.getLogger(__name__)


def hold(descriptor: int) -> bool:
    """Lock an open file until it is closed; False if another one has it.

    A file system without locks is treated as if nobody else used it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        _log.warning("this file system has no locks (%s); use one recorder only", error)
    return True


def is_in_use(path: Path) -> bool:
    """Whether a log is being written, or mended, at this moment."""
    try:
        with _held(path) as held:
            return not held
    except OSError:
        return False


@contextmanager
def reserved(path: Path) -> Iterator[None]:
    """Keep others from mending a log; what does not exist needs no lock.

    Raises:
        InUseError: It is being recorded, or mended by somebody else.
    """
    if not path.exists():
        yield
        return
    with _held(path) as held:
        if not held:
            raise InUseError(f"{path.parent} is being recorded by another process")
        yield


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield hold(descriptor)
    finally:
        os.close(descriptor)
