"""Do our messages stay on this machine, and are they large enough for pictures?"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mail_bringup.doctor.finding import Finding, failure, ok, warning
from mail_bringup.doctor.machine import Machine

_DEFAULT_IMPLEMENTATION = "rmw_fastrtps_cpp"
# Every participant has a segment of 32 MiB, see launch/config/fastdds_shm.xml; a stack has eight.
_MIN_SHARED_MEMORY_BYTES = 256 << 20
_PICTURE_BUFFER_BYTES = 4 << 20
# With these values nothing is announced beyond this machine.
_LOCAL_RANGES = ("LOCALHOST", "OFF")
_PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


@dataclass(frozen=True, kw_only=True, slots=True)
class DdsFacts:
    """How ROS messages travel.

    Attributes:
        implementation: The ROS middleware that is chosen.
        installed: All that are installed.
        discovery_range: Of this shell, "" if unset; stacks get LOCALHOST in any case.
        profile: File of Fast DDS that our stacks use.
        profile_exists: It is there.
        foreign_profile: Another one that this shell asks for, "" if none.
        receive_buffer_bytes: Largest buffer that a socket may have.
        shared_memory_bytes: Free in /dev/shm.
    """

    implementation: str
    installed: tuple[str, ...]
    discovery_range: str
    profile: str
    profile_exists: bool
    foreign_profile: str
    receive_buffer_bytes: int
    shared_memory_bytes: int


def gather(
    machine: Machine, variables: Mapping[str, str], prefixes: Sequence[Path], profile: Path
) -> DdsFacts:
    """Read this shell's variables, what is installed, and the kernel's limits.

    Args:
        machine: Where to look.
        variables: Of the environment.
        prefixes: Where ROS packages are installed.
        profile: File of Fast DDS that our stacks use.
    """
    indices = (prefix / "share/ament_index/resource_index/rmw_typesupport" for prefix in prefixes)
    installed = {path.name for index in indices for path in index.glob("rmw_*")}
    wanted = (variables.get(name, "") for name in _PROFILE_VARIABLES)
    foreign = [value for value in wanted if value and Path(value).resolve() != profile.resolve()]
    memory = machine.root / "dev/shm"
    return DdsFacts(
        implementation=variables.get("RMW_IMPLEMENTATION") or _DEFAULT_IMPLEMENTATION,
        # The package that chooses one of them is listed among them.
        installed=tuple(sorted(installed - {"rmw_implementation"})),
        discovery_range=variables.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper(),
        profile=os.fspath(profile),
        profile_exists=profile.is_file(),
        foreign_profile=foreign[0] if foreign else "",
        receive_buffer_bytes=machine.number("proc/sys/net/core/rmem_max") or 0,
        shared_memory_bytes=shutil.disk_usage(memory).free if memory.is_dir() else 0,
    )


def judge(facts: DdsFacts, *, is_real: bool) -> list[Finding]:
    """Judge middleware and memory; for a real robot also what may reach its network."""
    findings = [_judge_middleware(facts), _judge_profile(facts), _judge_memory(facts)]
    if is_real:
        findings += [_judge_discovery(facts), _judge_buffer(facts)]
    return findings


def _judge_middleware(facts: DdsFacts) -> Finding:
    name, wanted = "middleware", f"{_DEFAULT_IMPLEMENTATION}: the stack is tested with it"
    if _DEFAULT_IMPLEMENTATION not in facts.installed:
        installed = ", ".join(facts.installed) or "none"
        remedy = "run make setup, or: sudo apt install ros-jazzy-rmw-fastrtps-cpp"
        return failure(name, f"installed is {installed}", wanted, remedy)
    if facts.implementation != _DEFAULT_IMPLEMENTATION:
        remedy = "unset RMW_IMPLEMENTATION here and in every other ROS terminal"
        return warning(name, f"RMW_IMPLEMENTATION={facts.implementation}", wanted, remedy)
    return ok(name, facts.implementation)


def _judge_profile(facts: DdsFacts) -> Finding:
    name, wanted = "dds-profile", f"{facts.profile}: it makes room for pictures"
    if not facts.profile_exists:
        return failure(name, f"{facts.profile} is missing", wanted, "run make build")
    if facts.foreign_profile:
        remedy = f"unset {' '.join(_PROFILE_VARIABLES)}"
        return warning(name, f"this shell asks for {facts.foreign_profile}", wanted, remedy)
    return ok(name, f"{facts.profile}")


def _judge_memory(facts: DdsFacts) -> Finding:
    name, free_mib = "shared-memory", facts.shared_memory_bytes >> 20
    if facts.shared_memory_bytes >= _MIN_SHARED_MEMORY_BYTES:
        return ok(name, f"{free_mib} MiB are free in /dev/shm")
    return failure(
        name,
        f"{free_mib} MiB are free in /dev/shm",
        f"{_MIN_SHARED_MEMORY_BYTES >> 20} MiB: pictures travel through it",
        "in a container: docker run --shm-size=1g; otherwise: sudo mount -o remount,size=1g "
        "/dev/shm",
        is_waivable=True,
    )


def _judge_discovery(facts: DdsFacts) -> Finding:
    name = "discovery"
    if facts.discovery_range in _LOCAL_RANGES:
        return ok(name, f"{facts.discovery_range}: nothing of ROS on the robot's network card")
    found = facts.discovery_range or "not set"
    return warning(
        name,
        f"ROS_AUTOMATIC_DISCOVERY_RANGE is {found} in this shell",
        "LOCALHOST, as our stacks set it: other ROS programs would use the robot's network card",
        "echo export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST >> ~/.bashrc, then a new terminal",
    )


def _judge_buffer(facts: DdsFacts) -> Finding:
    if facts.receive_buffer_bytes >= _PICTURE_BUFFER_BYTES:
        return ok("socket-buffer", f"net.core.rmem_max is {facts.receive_buffer_bytes}")
    return warning(
        "socket-buffer",
        f"net.core.rmem_max is {facts.receive_buffer_bytes}",
        f"at least {_PICTURE_BUFFER_BYTES}: one picture must fit",
        f"echo net.core.rmem_max={_PICTURE_BUFFER_BYTES} | sudo tee "
        "/etc/sysctl.d/60-mail-dds.conf; sudo sysctl --system",
    )
