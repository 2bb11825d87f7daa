"""The fault table writes itself: tests name the rows that they prove, and what they measured.

A test of a row of the fault table carries `@pytest.mark.fault("F13", bound="50 ms")` and may say
what it measured with the fixture `measured`. Every run merges its results into
runs/faults/results.json and writes them as a table to runs/faults/table.md.
"""

import fcntl
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "runs" / "faults"
_TABLE_HEAD = (
    "| row | bound | measured | level | test | result |",
    "|---|---|---|---|---|---|",
)
Measured = Callable[[str], None]


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    """Return a function that notes what a test of a fault measured, in words."""

    def note(text: str) -> None:
        record_property("measured", text)

    return note


class FaultTable:
    """Collects the results of tests that carry the mark `fault`."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        report = yield
        for mark in item.iter_markers("fault"):
            for row in mark.args:
                report.user_properties.append(("fault", [row, mark.kwargs.get("bound", "")]))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        faults = [value for name, value in report.user_properties if name == "fault"]
        if not faults or (report.when != "call" and report.passed):
            return
        said = [str(value) for name, value in report.user_properties if name == "measured"]
        for row, bound in faults:
            self._rows[f"{row} {report.nodeid}"] = {
                "row": row,
                "bound": bound,
                "measured": "; ".join(dict.fromkeys(said)),
                "level": level(report.nodeid),
                "test": report.nodeid,
                "result": report.outcome,
            }

    def pytest_sessionfinish(self) -> None:
        if self._rows:
            write(self._rows)


def level(nodeid: str) -> str:
    """Return at which level a test proves its row."""
    if nodeid.startswith("tests/unit"):
        return "core"
    return "graph" if nodeid.startswith("tests/system") else "fake FCI"


def write(new: dict[str, dict[str, Any]]) -> None:
    """Merge results into those of other runs, and write the table."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "results.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        rows = {**(json.loads(text) if text else {}), **new}
        rows = {key: rows[key] for key in sorted(rows, key=lambda key: _order(rows[key]))}
        file.seek(0)
        file.truncate()
        file.write(json.dumps(rows, indent=1))
    lines = [
        f"| {r['row']} | {r['bound']} | {r['measured']} | {r['level']} | `{r['test']}` | "
        f"{r['result']} |"
        for r in rows.values()
    ]
    (FOLDER / "table.md").write_text("\n".join([*_TABLE_HEAD, *lines]) + "\n")


def _order(row: dict[str, Any]) -> tuple[int, str]:
    return int(row["row"][1:]), row["test"]


def pytest_configure(config: pytest.Config) -> None:
    """Take part in the run; only the process that gets all reports writes."""
    config.pluginmanager.register(FaultTable(), "fault-table")
