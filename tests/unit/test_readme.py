"""The README promises only what is there."""

import re
from pathlib import Path

import pytest

from mail_policy.mailctl import COMMANDS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
LINKS = re.findall(r"\]\(([^)#]+)\)", TEXT)


@pytest.mark.parametrize("link", sorted({link for link in LINKS if "://" not in link}))
def test_every_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).exists()


def test_every_mailctl_command_exists() -> None:
    used = set(re.findall(r"mailctl ([a-z-]+)", TEXT))
    assert used <= set(COMMANDS), f"unknown: {sorted(used - set(COMMANDS))}"


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = set(re.findall(r"(?:`|^)make ([a-z]+)", TEXT, re.MULTILINE))
    assert {"demo", "test"} <= used <= targets


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "make test" in TEXT
    assert "exec make test" in (ROOT / ".ci" / "run").read_text()
