"""Finds in a guide what a reader would type or click."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What may stand before the command itself: where it is installed, and how it gets into a container.
_PREFIXES = re.compile(
    r"^(\.venv/bin/|\w+=\S+ |docker compose exec \w+ |docker compose run --rm \w+ |"
    r"docker/entrypoint\.sh |nice -n \d+ )+"
)


def guides() -> list[Path]:
    """Return every page of ours, below the root."""
    folders = ("", "launch", "docker", "mail_policy", "data_collection", "calibration")
    return sorted(page for folder in folders for page in (ROOT / folder).glob("*.md"))


def links(text: str) -> list[str]:
    """Return the targets of links to files, without the part after #."""
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return sorted({link.split("#")[0] for link in found if "://" not in link} - {""})


def command_lines(text: str) -> list[str]:
    """Return the lines of shell blocks, continued lines joined."""
    blocks = re.findall(r"^ *```(?:bash|console)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip()]


def words_of(line: str) -> list[str]:
    """Return the words of the command in a line, without comment and without how it is reached."""
    return shlex.split(_PREFIXES.sub("", line), comments=True)


def inline_code(text: str) -> list[str]:
    """Return what stands between single backticks, outside of blocks."""
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", prose)
