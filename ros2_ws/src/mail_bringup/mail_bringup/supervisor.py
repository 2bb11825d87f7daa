"""The process that brings a stack up in order and then watches it."""

import signal
import sys
import threading
from types import FrameType

from mail_bringup.operator_node import Operator, OperatorError
from mail_bringup.startup import (
    StartupError,
    StartupLimits,
    bring_up,
    make_ready,
    start_task,
)
from mail_bringup.supervisor_node import DiagnosticsReporter, EstopBeacon, declare_parameters

_CLOCK_LIMIT_S = 60.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _StopRequested(BaseException):
    """A signal asked this process to end; raised in the main thread, wherever it waits."""


def _on_signal(number: int, frame: FrameType | None) -> None:
    # Once is enough: a second signal must not disturb the closing down.
    for handled in _SIGNALS:
        signal.signal(handled, signal.SIG_IGN)
    raise _StopRequested


def supervise(
    operator: Operator, ended: threading.Event, limits: StartupLimits | None = None
) -> None:
    """Bring the stack up, start the task if wanted, and wait.

    Args:
        operator: The connection to the stack.
        ended: Set when the process shall end.
        limits: Time limits of the steps; the defaults if None.

    Raises:
        StartupError: A node did not come up.
        OperatorError: A step of the automatic start was refused.
    """
    values = declare_parameters(operator.node)
    log = operator.node.get_logger()
    names = list(values["nodes"])
    # Kept alive by the operator's node.
    DiagnosticsReporter(operator.node, operator, names)
    EstopBeacon(operator.node)
    if not operator.wait_until(lambda: operator.time_s() > 0.0, _CLOCK_LIMIT_S):
        raise StartupError("the twin's clock does not run; its own output above says why")
    bring_up(operator, names, limits or StartupLimits(), log.info)
    has_policy = "policy" in names
    if values["auto_start"]:
        make_ready(operator, log.info)
        if has_policy:
            start_task(
                operator,
                values["task"],
                max_duration_s=values["max_duration_s"],
                record=values["record"],
                say=log.info,
            )
        else:
            log.info("ready; a person may move the arm")
    else:
        start = ", mailctl start 'open drawer'" if has_policy else ""
        log.info(f"ready; continue with: mailctl arm, mailctl home{start}")
    ended.wait()


def main() -> int:
    """Run until interrupted; return 1 if the stack did not come up."""
    for number in _SIGNALS:
        signal.signal(number, _on_signal)
    try:
        with Operator(name="supervisor", arguments=sys.argv) as operator:
            try:
                supervise(operator, threading.Event())
            except (StartupError, OperatorError) as error:
                operator.node.get_logger().fatal(str(error))
                return 1
    except _StopRequested:
        pass
    return 0
