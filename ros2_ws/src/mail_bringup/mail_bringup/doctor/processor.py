"""Do the cores stay awake and fast between two milliseconds?"""

from dataclasses import dataclass

from mail_bringup.doctor.finding import Finding, ok, warning
from mail_bringup.doctor.machine import Machine

# A tenth of the robot's period; waking up from deeper sleep makes answers late [us].
_MAX_WAKE_UP_US = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessorFacts:
    """How the cores save energy.

    Attributes:
        governors: Of the cores, without repetition; none where the machine does not adjust them.
        slowest_wake_up_us: Out of the deepest sleep that is allowed [us].
    """

    governors: tuple[str, ...]
    slowest_wake_up_us: int


def gather(machine: Machine) -> ProcessorFacts:
    """Read the kernel's files of all cores."""
    cores = "sys/devices/system/cpu/cpu[0-9]*"
    governors = {machine.text(path) for path in machine.paths(f"{cores}/cpufreq/scaling_governor")}
    latencies = [
        machine.number(state / "latency") or 0
        for state in machine.paths(f"{cores}/cpuidle/state*")
        if machine.number(state / "disable") == 0
    ]
    return ProcessorFacts(
        governors=tuple(sorted(governors)), slowest_wake_up_us=max(latencies, default=0)
    )


def judge(facts: ProcessorFacts) -> list[Finding]:
    """Judge governor and sleep. Both cost time, not safety: the robot stops by itself."""
    return [_judge_governor(facts), _judge_sleep(facts)]


def _judge_governor(facts: ProcessorFacts) -> Finding:
    if not facts.governors:
        return ok("governor", "this machine does not change the speed of its cores")
    if facts.governors == ("performance",):
        return ok("governor", "performance")
    return warning(
        "governor",
        ", ".join(facts.governors),
        "performance: a core that slows down answers the robot late",
        "sudo apt install linux-tools-common linux-tools-$(uname -r), then "
        "sudo cpupower frequency-set -g performance",
    )


def _judge_sleep(facts: ProcessorFacts) -> Finding:
    if facts.slowest_wake_up_us <= _MAX_WAKE_UP_US:
        return ok("sleep", f"cores wake up within {facts.slowest_wake_up_us} us")
    return warning(
        "sleep",
        f"cores may sleep so deeply that waking up takes {facts.slowest_wake_up_us} us",
        f"at most {_MAX_WAKE_UP_US} us",
        f"sudo cpupower idle-set -D {_MAX_WAKE_UP_US}",
    )
