"""How a process of nodes runs and ends."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

import rclpy
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from mail_policy.core.interruption import heed_stop_signals

_TURN_S = 0.05


@contextlib.contextmanager
def ros_session() -> Iterator[threading.Event]:
    """Open ROS for this process; the event is set when the process is asked to end.

    rclpy must not handle signals: it would end its context while threads still publish.
    """
    requested = heed_stop_signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield requested
    finally:
        rclpy.try_shutdown()


def spin(node: Node, must_end: Callable[[], bool]) -> None:
    """Serve a node until it must end."""
    executor = EventsExecutor()
    executor.add_node(node)
    # EventsExecutor.spin() does not return on shutdown; short turns do.
    while rclpy.ok() and not must_end():
        executor.spin_once(timeout_sec=_TURN_S)
