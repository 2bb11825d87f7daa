"""Runs checks side by side, and waits for none of them for long."""

import threading
import time
from collections.abc import Sequence

from mail_bringup.doctor.checks import Check
from mail_bringup.doctor.finding import Finding, failure
from mail_bringup.doctor.machine import Machine
from mail_bringup.doctor.request import Request

# All together stay below ten seconds.
QUIET_LIMIT_S = 3.0
LIMIT_S = 6.5


def examine(
    checks: Sequence[Check],
    request: Request,
    machine: Machine,
    quiet_limit_s: float = QUIET_LIMIT_S,
    limit_s: float = LIMIT_S,
) -> list[Finding]:
    """Run checks and return what they find, in their order.

    Args:
        checks: What to check.
        request: What is asked about.
        machine: Where to look.
        quiet_limit_s: How long those may take that measure time [s].
        limit_s: How long the others may take together [s].
    """
    answers: dict[str, list[Finding]] = {}
    for measures_time, group_limit_s in ((True, quiet_limit_s), (False, limit_s)):
        group = [check for check in checks if check.measures_time is measures_time]
        _run_together(group, request, machine, group_limit_s, answers)
    # A check that is late may still answer; what counts is what is there now.
    done = dict(answers)
    return [finding for check in checks for finding in done.get(check.name, [_late(check)])]


def _run_together(
    checks: Sequence[Check],
    request: Request,
    machine: Machine,
    limit_s: float,
    answers: dict[str, list[Finding]],
) -> None:
    def run(check: Check) -> None:
        try:
            answers[check.name] = check.run(request, machine)
        except Exception as error:  # The top of a thread: one broken check must not hide others.
            answers[check.name] = [_broken(check, error)]

    threads = [
        threading.Thread(target=run, args=(check,), name=check.name, daemon=True)
        for check in checks
    ]
    for thread in threads:
        thread.start()
    deadline_s = time.monotonic() + limit_s
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))


def _late(check: Check) -> Finding:
    remedy = f"run it alone: mailctl doctor --only {check.name}; what it asks for probably hangs"
    return failure(check.name, "no answer in time", "an answer", remedy, is_waivable=True)


def _broken(check: Check, error: Exception) -> Finding:
    found = f"this check failed itself: {type(error).__name__}: {error}"
    return failure(check.name, found, "a check that works", "report it", is_waivable=True)
