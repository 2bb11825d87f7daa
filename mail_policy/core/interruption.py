"""Turns signals that ask a process to end into an event that it looks at.

An event and not an exception: a second, impatient signal must not interrupt braking, saving or
closing that the first one began.
"""

import atexit
import signal
import threading
from types import FrameType


def heed_stop_signals(*numbers: signal.Signals) -> threading.Event:
    """Handle signals from now on by setting the event that is returned.

    Handlers are set even where a script started this process in the background with SIGINT
    ignored: children would inherit that, and nobody could be stopped calmly.
    """
    requested = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        requested.set()

    for number in numbers:
        signal.signal(number, on_signal)
    # An interpreter that ends takes its handlers away, and a late signal would kill it with a
    # status that looks like a crash. It leaves signals alone that are ignored.
    atexit.register(_ignore, numbers)
    return requested


def _ignore(numbers: tuple[signal.Signals, ...]) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
