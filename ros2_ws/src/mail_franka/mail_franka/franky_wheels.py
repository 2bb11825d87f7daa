"""Which franky wheel speaks to which robot, and which one is installed.

A robot accepts one version of its protocol, the server version; each libfranka speaks one, and
each franky wheel contains one libfranka. Source: franky's README and libfranka's compatibility
table.
"""

import importlib.metadata
import re
from collections.abc import Iterable
from dataclasses import dataclass

from mail_policy.core.robot_limits import RobotType

Version = tuple[int, ...]
_PACKAGE = "franky-control"
_LIBRARY = re.compile(r"libfranka[^/]*?\.so\.(\d+(?:\.\d+)+)$")
_LOCAL_VERSION = re.compile(r"\+libfranka\.(\d+(?:\.\d+)+)$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel:
    """One row of the table.

    Attributes:
        robot_type: Which arm.
        system: The robot and the versions of its system.
        server: Versions of its server.
        first: Oldest libfranka that fits.
        last: Newest libfranka that fits; only as many numbers as matter.
        source: Where to get it.
    """

    robot_type: RobotType
    system: str
    server: str
    first: Version
    last: Version
    source: str

    def fits(self, libfranka: Version) -> bool:
        """Whether a wheel with this libfranka is one of them."""
        return self.first <= libfranka and libfranka[: len(self.last)] <= self.last

    def __str__(self) -> str:
        """One part of a sentence."""
        return f"{self.system} (server {self.server}): {self.source}"


_INDEX = "franky 2.0.0+libfranka"
WHEELS = (
    Wheel(
        robot_type=RobotType.FR3,
        system="FR3 5.9+",
        server="10",
        first=(0, 18),
        last=(0,),
        source="PyPI franky-control",
    ),
    Wheel(
        robot_type=RobotType.FR3,
        system="FR3 5.2-5.8",
        server="6-9",
        first=(0, 12, 1),
        last=(0, 17),
        source=f"{_INDEX}.0.12.1 to 0.17",
    ),
    Wheel(
        robot_type=RobotType.FER,
        system="Panda 4.2.1+",
        server="5",
        first=(0, 9, 1),
        last=(0, 9),
        source=f"{_INDEX}.0.9.2",
    ),
    Wheel(
        robot_type=RobotType.FER,
        system="Panda 4.0",
        server="4",
        first=(0, 8),
        last=(0, 8),
        source=f"{_INDEX}.0.8.0",
    ),
    Wheel(
        robot_type=RobotType.FER,
        system="Panda 3.x",
        server="3",
        first=(0, 7, 1),
        last=(0, 7),
        source=f"{_INDEX}.0.7.1",
    ),
)


def wheels_of(robot_type: RobotType) -> tuple[Wheel, ...]:
    """Return the rows of an arm."""
    return tuple(wheel for wheel in WHEELS if wheel.robot_type is robot_type)


def describe_wheels(wheels: Iterable[Wheel] = WHEELS) -> str:
    """Return the table as one sentence; what is not on PyPI comes from the franky project."""
    return "; ".join(map(str, wheels))


def installed_libfranka() -> Version | None:
    """Return the version of libfranka in the installed wheel; None if there is no wheel."""
    try:
        distribution = importlib.metadata.distribution(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return None
    return find_libfranka(distribution.version, map(str, distribution.files or ()))


def find_libfranka(version: str, files: Iterable[str]) -> Version:
    """Return the version of libfranka of a wheel.

    Args:
        version: Of the wheel; wheels of the franky project name libfranka in it.
        files: Of the wheel; the one of PyPI shows it only in the name of its library.

    Raises:
        ValueError: Neither says it.
    """
    candidates = [_LOCAL_VERSION.search(version), *map(_LIBRARY.search, files)]
    found = [match.group(1) for match in candidates if match]
    if not found:
        raise ValueError(f"cannot tell the libfranka of {_PACKAGE} {version}; install it again")
    return tuple(map(int, found[0].split(".")))
