"""Where things lie: configuration, executables, and the folder for locks of this user."""

import os
import sys
import tempfile
from pathlib import Path

DOMAIN_VARIABLE = "ROS_DOMAIN_ID"
# What to do when a package that is not ours is missing.
_FOREIGN = {"rviz2": "install ros-jazzy-rviz2 with apt, or leave it out: use_rviz:=false"}


def prefixes() -> list[Path]:
    """Return the install prefixes, first match wins: overlays, then this environment."""
    listed = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    found = [*(Path(entry) for entry in listed if entry), Path(sys.prefix)]
    return list(dict.fromkeys(found))


def config_folder() -> Path:
    """Return the folder of configuration files, launch/config."""
    source = Path(__file__).resolve().parents[4] / "launch" / "config"
    if source.is_dir():
        return source
    installed = (prefix / "share/mail_bringup/launch/config" for prefix in prefixes())
    return next((folder for folder in installed if folder.is_dir()), source)


def find_executable(package: str, executable: str) -> Path:
    """Return the path of a ROS executable. Raises FileNotFoundError that says what to run."""
    for prefix in prefixes():
        path = prefix / "lib" / package / executable
        if path.exists():
            return path
    remedy = _FOREIGN.get(package, "run: make build")
    raise FileNotFoundError(
        f"no executable {executable!r} of package {package!r} in "
        f"{', '.join(map(str, prefixes()))}; {remedy}"
    )


def state_folder() -> Path:
    """Return this user's folder for locks and records of running stacks; it exists."""
    folder = Path(tempfile.gettempdir()) / f"mail-franka-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
