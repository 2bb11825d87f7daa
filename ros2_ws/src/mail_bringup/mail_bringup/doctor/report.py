"""Shows findings to a person, or as JSON to a program."""

import dataclasses
import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mail_bringup.doctor.finding import Finding, Verdict

_STYLES = {Verdict.FAILURE: "bold red", Verdict.WARNING: "yellow", Verdict.OK: "green"}


def worst(findings: Sequence[Finding]) -> Verdict:
    """Return the worst verdict."""
    present = {finding.verdict for finding in findings}
    return next((verdict for verdict in Verdict if verdict in present), Verdict.OK)


def show(findings: Sequence[Finding], robot: str, console: Console) -> None:
    """Print a table of all findings, then what to do.

    Args:
        findings: In order of importance.
        robot: For which robot.
        console: Where to print.
    """
    table = Table(box=None, pad_edge=False)
    for heading in ("", "check", "found"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        verdict = Text(finding.verdict.value, style=_STYLES[finding.verdict])
        table.add_row(verdict, finding.name, Text(finding.found))
    console.print(table)
    _show_remedies(findings, console)
    console.print(Text(conclusion(findings, robot), style=_STYLES[worst(findings)]))


def _show_remedies(findings: Sequence[Finding], console: Console) -> None:
    to_do = [finding for finding in findings if finding.verdict is not Verdict.OK]
    if to_do:
        console.print(Text("\nWhat to do, most important first:", style="bold"))
    for number, finding in enumerate(to_do, start=1):
        head = Text(f"{number:2}. {finding.name}, wanted: ", style=_STYLES[finding.verdict])
        console.print(head + Text(finding.wanted, style="default"))
        # Not broken into lines: it is often a command that somebody copies.
        console.print(Text(f"    {finding.remedy}", style="default"), soft_wrap=True)
    console.print()


def conclusion(findings: Sequence[Finding], robot: str) -> str:
    """Return the last line."""
    counts = {verdict: [f.verdict for f in findings].count(verdict) for verdict in Verdict}
    failures, warnings = counts[Verdict.FAILURE], counts[Verdict.WARNING]
    if failures:
        noun = "failure" if failures == 1 else "failures"
        stops = "" if robot == "sim" else "; no stack starts on it until they are gone"
        return f"{robot}: {failures} {noun}, {warnings} to improve{stops}"
    if warnings:
        return f"{robot}: ready, {warnings} to improve"
    return f"{robot}: ready"


def to_json(findings: Sequence[Finding], robot: str) -> str:
    """Return all findings as JSON."""
    content = {
        "robot": robot,
        "verdict": worst(findings).value,
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }
    return json.dumps(content, indent=2)
