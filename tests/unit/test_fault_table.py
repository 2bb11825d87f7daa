"""Every row on cameras, arm, arbitration and recording has a test, or a reason why not."""

import ast
from pathlib import Path

from tests.conftest import write

TESTS = Path(__file__).parents[1]
SPANS = ((1, 11), (13, 47), (55, 75))
ROWS = {f"F{row}" for first, last in SPANS for row in range(first, last + 1)}
WITHOUT_TEST = {
    "F66": "needs 200 participants and a kernel with PREEMPT_RT; discovery is limited to this host",
    "F67": "needs a second RMW; the wheels of the pip machine have one",
}


def rows_with_tests() -> set[str]:
    found = set()
    for file in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
                assert any(keyword.arg == "bound" for keyword in node.keywords), ast.unparse(node)
                found |= {ast.literal_eval(argument) for argument in node.args}
    return found


def test_every_row_has_a_test_or_a_reason() -> None:
    tested = rows_with_tests()
    assert ROWS - tested == set(WITHOUT_TEST)
    assert tested <= ROWS


def test_the_table_is_written_and_merged(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tests.conftest.FOLDER", tmp_path)
    row = {"bound": "20 ms", "measured": "3 ms", "level": "core", "result": "passed"}
    write({"F20 a": {"row": "F20", "test": "a", **row}})
    write({"F3 b": {"row": "F3", "test": "b", **row}})
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["F3", "F20"]
