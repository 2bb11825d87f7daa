"""Everything that starting a stack needs before the first process runs."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mail_bringup import claims, stack
from mail_bringup.arguments import ArgumentError
from mail_bringup.places import DOMAIN_VARIABLE, state_folder
from mail_bringup.preflight import check_all
from mail_bringup.processes import Process, environment
from mail_bringup.records import (
    SelectionError,
    StackRecord,
    announced,
    running_stacks,
    select,
)
from mail_bringup.shared_memory import remove_leftovers
from mail_bringup.stack_arguments import joins


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A stack that may be started now.

    Attributes:
        arguments: All arguments, with the address and the run id that were chosen.
        processes: What to run.
        variables: Environment of the processes.
        domain_id: The ROS domain.
    """

    arguments: Mapping[str, str]
    processes: tuple[Process, ...]
    variables: Mapping[str, str]
    domain_id: int


@contextlib.contextmanager
def prepared(name: str, arguments: Mapping[str, str]) -> Iterator[Session]:
    """Choose what was left open, check everything, and keep the choices while the context lasts.

    Args:
        name: Name of the stack.
        arguments: All its arguments, see `arguments.resolve`.

    Raises:
        ArgumentError: Arguments contradict each other.
        PreflightError: Something is missing.
        ClaimError: No domain or address is free.
    """
    if joins(arguments):
        yield _beside_another(name, arguments)
        return
    with contextlib.ExitStack() as open_claims:
        # Now, because Fast DDS stumbles over leftovers of a killed process, and again at the very
        # end, when our own processes have ended, some perhaps by force.
        remove_leftovers()
        open_claims.callback(remove_leftovers)
        chosen = choose(arguments, open_claims)
        domain_id = _domain(chosen["robot"], open_claims)
        processes = stack.describe(name, chosen)
        check_all(chosen, processes)
        record = StackRecord(
            run_id=chosen["run_id"],
            stack=name,
            pid=os.getpid(),
            domain_id=domain_id,
            namespace=chosen["namespace"],
            robot=chosen["robot"],
            robot_ip=chosen["robot_ip"],
            task=chosen.get("task", ""),
        )
        open_claims.enter_context(announced(_records_folder(), record))
        yield Session(
            arguments=chosen,
            processes=processes,
            variables={**environment(), DOMAIN_VARIABLE: str(domain_id)},
            domain_id=domain_id,
        )


def _beside_another(name: str, arguments: Mapping[str, str]) -> Session:
    """Return a stack that looks at the one which runs here. Raises ArgumentError if unclear."""
    wanted = os.environ.get(DOMAIN_VARIABLE, "")
    records = running_stacks(_records_folder())
    try:
        domain_id, namespace, record = select(records, arguments["run_id"] or None, wanted)
    except SelectionError as error:
        raise ArgumentError(str(error)) from error
    found = {} if record is None else {"robot": record.robot, "run_id": record.run_id}
    chosen = {**arguments, **found, "namespace": arguments["namespace"] or namespace}
    processes = stack.describe(name, chosen)
    check_all(chosen, processes)
    return Session(
        arguments=chosen,
        processes=processes,
        variables={**environment(), DOMAIN_VARIABLE: str(domain_id)},
        domain_id=domain_id,
    )


def choose(arguments: Mapping[str, str], open_claims: contextlib.ExitStack) -> dict[str, str]:
    """Return the arguments with terminal and run id and, on the twin, an address of its own."""
    stack.check_combination(arguments)
    chosen = dict(arguments)
    if joins(arguments):
        return chosen
    if chosen.get("terminal") == "auto" and sys.stdin is not None and sys.stdin.isatty():
        # Nodes run in sessions of their own, and would not find it.
        chosen["terminal"] = os.ttyname(sys.stdin.fileno())
    if not chosen["run_id"]:
        chosen["run_id"] = claims.make_run_id()
    if not chosen["robot_ip"]:
        chosen["robot_ip"] = open_claims.enter_context(claims.claim_address(state_folder())).value
    return chosen


def _domain(robot: str, open_claims: contextlib.ExitStack) -> int:
    """Return the ROS domain: the user's, or a free one for a twin.

    A real robot uses the domain that every ROS tool uses by default.
    """
    wanted = os.environ.get(DOMAIN_VARIABLE, "")
    if wanted:
        return int(wanted)
    if robot != "sim":
        return 0
    return int(open_claims.enter_context(claims.claim_domain(state_folder())).value)


def _records_folder() -> Path:
    return state_folder() / "stacks"
