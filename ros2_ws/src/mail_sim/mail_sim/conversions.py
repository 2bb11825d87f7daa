"""Builds the messages that only the twin publishes, and the answers of its services."""

from mail_msgs.srv import CheckSuccess, ResetScene
from rosgraph_msgs.msg import Clock

from mail_ros.conversions import seconds_to_stamp
from mail_sim.twin import TaskCheck

_MAX_MESSAGE = 512


def clock_to_msg(time_s: float) -> Clock:
    """Convert simulated time [s] to a clock message."""
    return Clock(clock=seconds_to_stamp(time_s))


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
