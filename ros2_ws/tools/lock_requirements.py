"""Writes requirements.lock: the exact versions of everything that pyproject.toml asks for.

Run it in an environment whose tests pass: it records what is installed there, and only the
packages that our extras need, directly or not. pip reads the file as constraints.
"""

import importlib.metadata
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
HEADER = """\
# Written by `make lock`; versions of an environment in which `make test` passed.
# pip reads this file as constraints: pip install -c requirements.lock ...
# torch has no local version here: which build is installed depends on the index that pip asks.
"""


def wanted_requirements() -> list[Requirement]:
    """Return what pyproject.toml asks for, in all extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def closure(requirements: list[Requirement]) -> dict[str, str]:
    """Follow requirements through the installed packages; name to version."""
    versions: dict[str, str] = {}
    pending = [(requirement, frozenset(requirement.extras)) for requirement in requirements]
    while pending:
        requirement, extras = pending.pop()
        name = canonicalize_name(requirement.name)
        if name in versions:
            continue
        try:
            distribution = importlib.metadata.distribution(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            sys.stderr.write(f"lock: {requirement} is not installed, so it is left out\n")
            continue
        versions[name] = distribution.version.split("+")[0]
        for line in distribution.requires or ():
            child = Requirement(line)
            environments = [{"extra": extra} for extra in (*extras, "")]
            if child.marker is None or any(map(child.marker.evaluate, environments)):
                pending.append((child, frozenset(child.extras)))
    return versions


def main() -> None:
    """Write the lock file."""
    versions = closure(wanted_requirements())
    lines = [f"{name}=={version}\n" for name, version in sorted(versions.items())]
    (ROOT / "requirements.lock").write_text(HEADER + "".join(lines))


if __name__ == "__main__":
    main()
