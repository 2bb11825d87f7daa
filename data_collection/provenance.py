"""Which software made an episode."""

import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mail_policy

_PACKAGES = ("numpy", "mujoco", "franky-control", "torch", "lightning-fabric")


@lru_cache(maxsize=1)
def software_versions() -> dict[str, str]:
    """Return versions of the packages that matter, and the git hash of our code if it has one."""
    versions = {"mail-policy": mail_policy.__version__}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    git_hash = _git_hash(Path(__file__).parent)
    return {**versions, "git": git_hash} if git_hash else versions


def _git_hash(folder: Path) -> str:
    """Return the commit of a folder, with "-dirty" if it was changed since; "" if unknown."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5.0, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
