"""Does something else use the robot, or lie in the way?"""

from dataclasses import dataclass
from pathlib import Path

from mail_bringup.doctor.finding import Finding, failure, ok, warning
from mail_bringup.records import StackRecord, running_stacks
from mail_bringup.shared_memory import find_leftovers


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftoverFacts:
    """What else is on this machine.

    Attributes:
        stacks: Those that run, started by mailctl.
        memory: Shared memory of Fast DDS without an owner.
    """

    stacks: tuple[StackRecord, ...]
    memory: tuple[str, ...]


def gather(records_folder: Path, memory_folder: Path) -> LeftoverFacts:
    """Look at the notes of running stacks and at shared memory."""
    return LeftoverFacts(
        stacks=tuple(running_stacks(records_folder)),
        memory=tuple(path.name for path in find_leftovers(memory_folder)),
    )


def judge(facts: LeftoverFacts, robot_ip: str) -> list[Finding]:
    """Judge other stacks and memory.

    Args:
        facts: What was found.
        robot_ip: The robot that shall be used, "" if any.
    """
    return [_judge_stacks(facts, robot_ip), _judge_memory(facts)]


def _judge_stacks(facts: LeftoverFacts, robot_ip: str) -> Finding:
    same = [stack for stack in facts.stacks if robot_ip and stack.robot_ip == robot_ip]
    remedy = "end it with Ctrl-C in its terminal; mailctl status lists all"
    if same:
        return failure("stacks", str(same[0]), "no other program at this robot", remedy)
    if facts.stacks:
        found = ", ".join(map(str, facts.stacks))
        wanted = "no other stack: it takes computing time"
        return warning("stacks", found, wanted, remedy)
    return ok("stacks", "no other stack runs")


def _judge_memory(facts: LeftoverFacts) -> Finding:
    if not facts.memory:
        return ok("leftovers", "no shared memory of dead processes")
    found = f"{len(facts.memory)} pieces of shared memory of dead processes"
    # Every start of a stack removes them.
    return ok("leftovers", f"{found}; the next start removes them")
