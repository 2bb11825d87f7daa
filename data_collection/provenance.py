"""Which software made an episode."""

import platform
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


def processor_name() -> str:
    """Return what the machine calls its processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _git_hash(folder: Path) -> str:
    """Return the commit of a folder, with "-dirty" if it was changed since; "" if unknown."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5.0, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
