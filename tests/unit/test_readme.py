"""What the README must say. What it may say is checked with the other guides, in test_guides."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()


def test_it_begins_with_demo_and_test() -> None:
    used = set(re.findall(r"(?:`|^)make ([a-z]+)", TEXT, re.MULTILINE))
    assert {"demo", "test"} <= used


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "make test" in TEXT
    assert "exec make test" in (ROOT / ".ci" / "run").read_text()
