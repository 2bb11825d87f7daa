"""Builds the messages that only the twin publishes, and the answers of its services."""

from builtin_interfaces.msg import Time
from mail_msgs.srv import CheckSuccess, ResetScene
from rosgraph_msgs.msg import Clock

from mail_sim.twin import TaskCheck

_MAX_MESSAGE = 512


def clock_to_msg(time_s: float) -> Clock:
    """Convert simulated time [s] to a clock message."""
    nanoseconds = round(time_s * 1e9)
    return Clock(clock=Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000))


def fill_check(reply: CheckSuccess.Response, check: TaskCheck) -> CheckSuccess.Response:
    """Answer whether a task is solved."""
    reply.success, reply.measure = check.success, check.measure
    if check.first_held_s is None:
        reply.message = "not solved since the last reset"
    else:
        reply.message = f"solved, seen first at simulated time {check.first_held_s:.2f} s"
    return reply


def fill_refusal(
    reply: CheckSuccess.Response | ResetScene.Response, error: Exception
) -> CheckSuccess.Response | ResetScene.Response:
    """Answer why a request was refused."""
    reply.success, reply.message = False, str(error)[:_MAX_MESSAGE]
    return reply
