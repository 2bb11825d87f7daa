"""May a thread of this user answer the robot every millisecond?"""

from dataclasses import dataclass

from mail_bringup.doctor.finding import Finding, failure, ok
from mail_bringup.doctor.machine import Machine

# What Franka's documentation, "Setting up the real-time kernel", puts into limits.conf.
_MIN_PRIORITY = 99
_MIN_LOCKED_KIB = 102400
_UNLIMITED = -1
# Numbers of the bits in /proc/self/status, from linux/capability.h.
_CAP_IPC_LOCK, _CAP_SYS_NICE = 14, 23
_GROUP = "realtime"
_LIMITS = (
    r"printf '@realtime - rtprio 99\n@realtime - memlock unlimited\n' | "
    "sudo tee /etc/security/limits.d/99-realtime.conf"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RealtimeFacts:
    """What the kernel grants.

    Attributes:
        kernel: Its release.
        is_preempt_rt: It is built with PREEMPT_RT.
        max_priority: Highest FIFO priority that a process may take; -1 for any.
        max_locked_kib: Memory that it may lock [KiB]; -1 for any.
        group_exists: There is a group `realtime`.
        is_member: This user is in it, as the files of the system say.
    """

    kernel: str
    is_preempt_rt: bool
    max_priority: int
    max_locked_kib: int
    group_exists: bool
    is_member: bool


def gather(machine: Machine, user: str) -> RealtimeFacts:
    """Read the kernel's files."""
    limits = machine.text("proc/self/limits")
    capabilities = _capabilities(machine.text("proc/self/status"))
    members = _members(machine.text("etc/group"))
    priority = _soft_limit(limits, "Max realtime priority")
    locked = _soft_limit(limits, "Max locked memory")
    return RealtimeFacts(
        kernel=machine.text("proc/sys/kernel/osrelease"),
        is_preempt_rt=machine.text("sys/kernel/realtime") == "1"
        or "PREEMPT_RT" in machine.text("proc/version"),
        max_priority=_UNLIMITED if capabilities >> _CAP_SYS_NICE & 1 else priority,
        max_locked_kib=_UNLIMITED
        if capabilities >> _CAP_IPC_LOCK & 1 or locked == _UNLIMITED
        else locked // 1024,
        group_exists=members is not None,
        is_member=members is not None and user in members,
    )


def judge(facts: RealtimeFacts) -> list[Finding]:
    """Judge kernel, priority and memory."""
    return [_judge_kernel(facts), _judge_priority(facts), _judge_memory(facts)]


def _judge_kernel(facts: RealtimeFacts) -> Finding:
    if facts.is_preempt_rt:
        return ok("kernel", f"{facts.kernel} with PREEMPT_RT")
    return failure(
        "kernel",
        f"{facts.kernel} without PREEMPT_RT",
        "a real-time kernel: libfranka refuses a robot without one",
        "on Ubuntu: sudo pro attach, sudo pro enable realtime-kernel, then reboot",
    )


def _judge_priority(facts: RealtimeFacts) -> Finding:
    if facts.max_priority == _UNLIMITED or facts.max_priority >= _MIN_PRIORITY:
        return ok("priority", "threads may take real-time priority")
    return failure(
        "priority",
        f"real-time priority is limited to {facts.max_priority} (ulimit -r)",
        f"{_MIN_PRIORITY}: libfranka refuses a robot below it",
        _remedy(facts),
    )


def _judge_memory(facts: RealtimeFacts) -> Finding:
    if facts.max_locked_kib == _UNLIMITED or facts.max_locked_kib >= _MIN_LOCKED_KIB:
        return ok("memlock", "memory may be locked")
    return failure(
        "memlock",
        f"{facts.max_locked_kib} KiB of memory may be locked (ulimit -l)",
        f"unlimited, at least {_MIN_LOCKED_KIB} KiB: a page fault costs milliseconds",
        _remedy(facts),
        is_waivable=True,
    )


def _remedy(facts: RealtimeFacts) -> str:
    group = "" if facts.group_exists else f"sudo addgroup {_GROUP}; "
    member = "" if facts.is_member else f"sudo usermod -aG {_GROUP} $USER; "
    return f"{group}{member}{_LIMITS}; then log out and in"


def _soft_limit(limits: str, name: str) -> int:
    """Return a limit of this process; -1 if unlimited, 0 if it is not listed."""
    for line in limits.splitlines():
        if line.startswith(name):
            value = line[len(name) :].split()[0]
            return _UNLIMITED if value == "unlimited" else int(value)
    return 0


def _capabilities(status: str) -> int:
    lines = [line for line in status.splitlines() if line.startswith("CapEff:")]
    return int(lines[0].split()[1], 16) if lines else 0


def _members(groups: str) -> list[str] | None:
    for line in groups.splitlines():
        name, *_, members = line.split(":")
        if name == _GROUP:
            return members.split(",")
    return None
