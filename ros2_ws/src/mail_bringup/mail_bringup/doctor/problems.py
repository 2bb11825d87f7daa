"""Turns what the preflight says in sentences into findings."""

from collections.abc import Sequence

from mail_bringup.doctor.finding import Finding, failure, ok


def findings_of(name: str, problems: Sequence[str], fine: str) -> list[Finding]:
    """Return one failure per problem, or that all is fine.

    Args:
        name: Of the findings.
        problems: Sentences of the form "what is wrong; what to do".
        fine: What is found if there is no problem.
    """
    return [_failure(name, problem, fine) for problem in problems] or [ok(name, fine)]


def _failure(name: str, problem: str, fine: str) -> Finding:
    found, _, remedy = problem.partition("; ")
    return failure(name, found, fine, remedy or found)
