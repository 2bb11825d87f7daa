"""The operator's commands: `mailctl arm`, `home`, `start`, `stop`, ... and `status`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from mail_bringup.operator_node import Operator, OperatorError
from mail_bringup.places import DOMAIN_VARIABLE, state_folder
from mail_bringup.records import SelectionError, running_stacks, select
from mail_bringup.security import OVERRIDE_VARIABLE, enclave
from mail_bringup.status_text import describe_status

_FIRST_MESSAGE_LIMIT_S = 5.0
# The policy beats at 20 Hz of its clock when it is active; a slow twin may run at a tenth.
_HEARTBEAT_LIMIT_S = 2.0
_DEFAULT_DURATION_S = 60.0


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"mailctl {command}", description=description)
    parser.add_argument("--run-id", help="which stack, if several run; see mailctl status")
    return parser


def connect(run_id: str | None) -> Operator:
    """Return an operator of the stack that runs here; the id of its run chooses among several.

    Raises:
        SelectionError: Several stacks run, or the named one does not.
    """
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault(OVERRIDE_VARIABLE, enclave("operator"))
    records = running_stacks(state_folder() / "stacks")
    domain = os.environ.get(DOMAIN_VARIABLE, "")
    domain_id, namespace, _ = select(records, run_id, domain)
    return Operator(domain_id=domain_id, namespace=namespace, name=f"operator_{os.getpid()}")


def _perform(command: str, options: argparse.Namespace, action: Callable[[Operator], str]) -> int:
    """Do something with a running stack and say what came of it; return the exit code."""
    try:
        with connect(options.run_id) as operator:
            sys.stdout.write(f"{action(operator)}\n")
    except (OperatorError, SelectionError) as error:
        sys.stderr.write(f"mailctl {command}: {error}\n")
        return 1
    return 0


def _trigger_command(
    command: str, service: str, description: str
) -> Callable[[Sequence[str]], int]:
    def run(words: Sequence[str]) -> int:
        options = _parser(command, description).parse_args(words)
        return _perform(command, options, lambda operator: operator.trigger(service))

    return run


arm = _trigger_command("arm", "arm/arm", "Make the arm ready. It does not move.")
disarm = _trigger_command("disarm", "arm/disarm", "Bring the arm to rest and release it.")
stop = _trigger_command("stop", "arm/stop", "Stop the arm. It stays armed.")
resume = _trigger_command("resume", "arm/resume", "Leave the stopped state.")
recover = _trigger_command("recover", "arm/recover", "Ask the robot to leave its error state.")
estop = _trigger_command(
    "estop", "arm/estop", "Stop the arm at once, latched. No replacement for the button."
)
reset_estop = _trigger_command("reset-estop", "arm/reset_estop", "Leave the latched stop.")


def home(words: Sequence[str]) -> int:
    """Move the arm home and wait until it is there."""
    options = _parser("home", "Move the arm to its home posture.").parse_args(words)
    return _perform("home", options, lambda operator: operator.home())


def start(words: Sequence[str]) -> int:
    """Let the policy do a task."""
    parser = _parser("start", "Let the policy do a task. The arm moves at once.")
    parser.add_argument("task", help="what to do, in words, for example 'open drawer'")
    parser.add_argument(
        "--max-duration-s",
        type=float,
        default=_DEFAULT_DURATION_S,
        help="the arm stops the policy after this time [s] (default: %(default)s)",
    )
    options = parser.parse_args(words)

    def action(operator: Operator) -> str:
        resolved = operator.set_task(options.task)
        epoch = operator.start(resolved, options.max_duration_s)
        return f"doing {resolved!r} (lease {epoch}); stop it with: mailctl stop"

    return _perform("start", options, action)


def reset(words: Sequence[str]) -> int:
    """Put the twin's objects to an initial state."""
    parser = _parser("reset", "Put the twin's objects to an initial state. The arm stays.")
    parser.add_argument("--seed", type=int, default=0, help="which one (default: %(default)s)")
    options = parser.parse_args(words)
    return _perform("reset", options, lambda operator: operator.reset_scene(options.seed))


def status(words: Sequence[str]) -> int:
    """Say what runs, and what the arm and the policy do."""
    options = _parser("status", "What runs, and what the arm and the policy do.").parse_args(words)
    records = running_stacks(state_folder() / "stacks")
    sys.stdout.writelines(f"{record}\n" for record in records)
    if not records:
        sys.stdout.write("no stack was started by mailctl on this machine\n")

    def action(operator: Operator) -> str:
        if not operator.wait_until(lambda: operator.arm_state is not None, _FIRST_MESSAGE_LIMIT_S):
            raise OperatorError(
                f"nothing received on arm/state within {_FIRST_MESSAGE_LIMIT_S:.0f} s; the arm "
                f"node is not active, or the stack is in another ROS_DOMAIN_ID"
            )
        operator.wait_until(lambda: operator.policy_status is not None, _HEARTBEAT_LIMIT_S)
        return describe_status(operator.arm_state, operator.policy_status)

    return _perform("status", options, action)
