"""Is what is installed what this project was tested with?"""

import importlib.metadata
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mail_bringup.doctor.finding import Finding, failure, ok, warning

_PROJECT = "mail-policy"
_MIN_PYTHON = (3, 11)
_PIN = re.compile(r"([\w.-]+)==([^;\s]+)\s*;\s*extra == \"(\w+)\"")
# Installed only beside wheels of ROS; apt's ROS brings its own.
_ROS_WHEEL = "ros-jazzy-rclpy"
# What is needed to run, beside what a camera or a robot needs.
_EXTRAS = {"sim": ("sim", "train"), "panda": ("robot", "train"), "fr3": ("robot", "train")}


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageFacts:
    """What is installed.

    Attributes:
        python: Version of the interpreter.
        is_environment: It is a virtual environment.
        ros_distro: Of a ROS installation that this shell has sourced, "" if none.
        pins: Wanted version by package, as far as the robot needs it.
        installed: Installed version by package; without those that are missing.
        has_ros_wheel: ROS from PyPI is installed.
    """

    python: tuple[int, int]
    is_environment: bool
    ros_distro: str
    pins: Mapping[str, str]
    installed: Mapping[str, str]
    has_ros_wheel: bool


def gather(robot: str, variables: Mapping[str, str]) -> PackageFacts:
    """Look at this interpreter and what it can import."""
    ros_distro = variables.get("ROS_DISTRO", "")
    extras = _EXTRAS[robot] if ros_distro else (*_EXTRAS[robot], "ros")
    pins = pins_of(importlib.metadata.requires(_PROJECT) or (), extras)
    installed = {name: version for name in pins if (version := _version(name))}
    return PackageFacts(
        python=sys.version_info[:2],
        is_environment=sys.prefix != sys.base_prefix,
        ros_distro=ros_distro,
        pins=pins,
        installed=installed,
        has_ros_wheel=bool(_version(_ROS_WHEEL)),
    )


def pins_of(requirements: Iterable[str], extras: Iterable[str]) -> dict[str, str]:
    """Return the exactly pinned packages of some extras, by name."""
    matches = filter(None, map(_PIN.match, requirements))
    return {match[1]: match[2] for match in matches if match[3] in extras}


def judge(facts: PackageFacts) -> list[Finding]:
    """Judge interpreter and packages."""
    return [_judge_python(facts), _judge_pins(facts)]


def _judge_python(facts: PackageFacts) -> Finding:
    found = f"Python {facts.python[0]}.{facts.python[1]}"
    if facts.python < _MIN_PYTHON:
        wanted = f"{_MIN_PYTHON[0]}.{_MIN_PYTHON[1]} or newer"
        return failure("python", found, wanted, "make setup PYTHON=python3.12")
    if facts.ros_distro and facts.has_ros_wheel:
        found += f", with ROS both from apt ({facts.ros_distro}) and from PyPI"
        wanted, remedy = "one of them: two crash each other", "rm -r .venv, then make setup"
        return failure("python", found, wanted, remedy)
    if not facts.is_environment:
        wanted = "a virtual environment"
        return warning("python", f"{found} of the system", wanted, "make setup")
    return ok("python", f"{found} in a virtual environment")


def _judge_pins(facts: PackageFacts) -> Finding:
    missing = [name for name in facts.pins if name not in facts.installed]
    others = [
        f"{name} {version}"
        for name, version in facts.installed.items()
        if _public(version) != _public(facts.pins[name])
    ]
    if missing:
        wanted = "all packages of requirements.lock"
        return failure("packages", f"missing: {', '.join(missing)}", wanted, "make setup")
    if others:
        wanted = ", ".join(f"{entry.split()[0]} {facts.pins[entry.split()[0]]}" for entry in others)
        return warning("packages", f"installed: {', '.join(others)}", wanted, "make setup")
    return ok("packages", f"{len(facts.pins)} pinned packages as tested")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _public(version: str) -> str:
    """Return a version without the part that names a build, such as +cpu or +libfranka.0.9.2."""
    return version.partition("+")[0]
