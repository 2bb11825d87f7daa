"""Keeps a stack from starting on a real robot while the doctor finds failures."""

import logging
from collections.abc import Mapping, Sequence

from mail_bringup.doctor.checks import CHECKS
from mail_bringup.doctor.examination import examine
from mail_bringup.doctor.finding import Finding, Verdict, by_importance
from mail_bringup.doctor.machine import Machine
from mail_bringup.doctor.request import request_from

_LOGGER = logging.getLogger(__name__)
# Enough to see a bad network, and soon over.
_PINGS = 300


def doctor_refusals(arguments: Mapping[str, str]) -> list[str]:
    """Return why a stack must not start on a real robot.

    Args:
        arguments: Of the stack. `start_despite` names the failures that an expert accepts.
    """
    checks = [check for check in CHECKS if check.on_robot and not check.is_preflight]
    request = request_from(arguments, connect=False, pings=_PINGS)
    findings = by_importance(examine(checks, request, Machine()))
    return refuse(findings, split_names(arguments["start_despite"]))


def split_names(text: str) -> list[str]:
    """Return the names in a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def refuse(findings: Sequence[Finding], accepted: Sequence[str]) -> list[str]:
    """Decide which failures keep a stack from starting; say aloud which are accepted.

    Args:
        findings: In order of importance.
        accepted: Names of failures to start in spite of.
    """
    failures = [finding for finding in findings if finding.verdict is Verdict.FAILURE]
    problems = []
    for finding in failures:
        if finding.name not in accepted:
            hint = f"; an expert may add start_despite:={finding.name}"
            problems.append(f"{finding}{hint if finding.is_waivable else ''}")
        elif finding.is_waivable:
            _LOGGER.warning("starting despite %s", finding)
        else:
            problems.append(f"{finding}; start_despite cannot name it")
    names = {finding.name for finding in failures}
    problems += [
        f"start_despite names {name!r}, which is no failure; leave it out"
        for name in accepted
        if name not in names
    ]
    return problems
