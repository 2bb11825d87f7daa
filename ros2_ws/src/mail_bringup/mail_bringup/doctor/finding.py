"""What one check says: what it found, what is wanted, and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is."""

    FAILURE = "failure"
    WARNING = "warning"
    OK = "ok"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of the doctor.

    Attributes:
        name: Short name, one word.
        verdict: A failure keeps a stack from starting on a real robot.
        found: What is the case.
        wanted: What should be the case; "" if it is.
        remedy: A command or a sentence; "" if there is nothing to do.
        is_waivable: An expert may start in spite of it. Never where people or the robot could be
            harmed, or where the driver refuses to run anyway.
    """

    name: str
    verdict: Verdict
    found: str
    wanted: str = ""
    remedy: str = ""
    is_waivable: bool = True

    def __post_init__(self) -> None:
        """Refuse a complaint without a remedy."""
        if self.verdict is not Verdict.OK and not (self.wanted and self.remedy):
            raise ValueError(f"finding {self.name!r} must say what is wanted, and a remedy")

    def __str__(self) -> str:
        """One sentence for a log."""
        if self.verdict is Verdict.OK:
            return f"{self.name}: {self.found}"
        return f"{self.name}: {self.found}, wanted is {self.wanted}; {self.remedy}"


def ok(name: str, found: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(name=name, verdict=Verdict.OK, found=found)


def warning(name: str, found: str, wanted: str, remedy: str) -> Finding:
    """Return a finding that something could be better."""
    return Finding(name=name, verdict=Verdict.WARNING, found=found, wanted=wanted, remedy=remedy)


def failure(
    name: str, found: str, wanted: str, remedy: str, *, is_waivable: bool = False
) -> Finding:
    """Return a finding that the robot must not be used like this."""
    return Finding(
        name=name,
        verdict=Verdict.FAILURE,
        found=found,
        wanted=wanted,
        remedy=remedy,
        is_waivable=is_waivable,
    )


def by_importance(findings: Iterable[Finding]) -> list[Finding]:
    """Sort failures first, those that nobody may waive at the top; otherwise keep the order."""
    order = list(Verdict)
    return sorted(findings, key=lambda finding: (order.index(finding.verdict), finding.is_waivable))
