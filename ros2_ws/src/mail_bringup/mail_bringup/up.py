"""`mailctl up STACK name:=value ...`: starts a stack and watches it."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from mail_bringup.arguments import (
    ArgumentError,
    describe_arguments,
    parse_assignments,
    resolve,
)
from mail_bringup.claims import ClaimError
from mail_bringup.preflight import EXIT_CODE, PreflightError
from mail_bringup.runner import StackRunner
from mail_bringup.session import Session, prepared
from mail_bringup.stack_arguments import STACKS
from mail_policy.core.interruption import heed_stop_signals

USAGE = f"usage: mailctl up {{{','.join(STACKS)}}} [name:=value ...] [--show-args]"
_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green")
_POLL_PERIOD_S = 0.1


class Terminal:
    """Writes lines of several processes to the terminal, one at a time."""

    def __init__(self, names: Sequence[str]) -> None:
        self._console = Console(soft_wrap=True, highlight=False)
        self._width = max(map(len, names), default=0)
        self._colours = dict(zip(names, _COLOURS * len(names), strict=False))
        self._lock = threading.Lock()

    def line(self, name: str, text: str) -> None:
        """Write a line of a process."""
        prefix = Text(f"{name:>{self._width}} | ", style=self._colours.get(name, "white"))
        with self._lock:
            self._console.print(prefix + Text.from_ansi(text))

    def say(self, text: str, style: str = "bold") -> None:
        """Write a line of our own."""
        with self._lock:
            self._console.print(Text(text, style=style))


@contextlib.contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Turn SIGINT, SIGTERM and SIGHUP into an event while the context lasts."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield heed_stop_signals(*numbers)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watch(session: Session, terminal: Terminal, requested: threading.Event) -> int:
    """Run a stack until a stop is requested or a required process ends; return the exit code."""
    with StackRunner(session.processes, session.variables, terminal.line) as runner:
        code = _wait(runner, terminal, requested)
        terminal.say("stopping" if code == 0 else "stopping the stack")
    return code


def _wait(runner: StackRunner, terminal: Terminal, requested: threading.Event) -> int:
    while not requested.wait(_POLL_PERIOD_S):
        for ended in runner.newly_ended():
            if ended.process.required:
                terminal.say(f"{ended}; the stack cannot go on without it", "bold red")
                return 1
            terminal.say(f"{ended}; the stack goes on without it", "bold yellow")
    return 0


def record(argv: Sequence[str]) -> int:
    """Run `mailctl record`, short for `mailctl up record`; return the exit code."""
    return main(["record", *argv])


def main(argv: Sequence[str]) -> int:
    """Run the command; return the exit code."""
    words = [word for word in argv if word != "--show-args"]
    if not words or words[0] not in STACKS:
        sys.stderr.write(f"{USAGE}\n")
        return 0 if argv and argv[0] in ("-h", "--help") else EXIT_CODE
    name = words[0]
    if len(words) < len(argv):
        sys.stdout.write(f"Arguments of {name}:\n{describe_arguments(STACKS[name])}\n")
        return 0
    try:
        arguments = resolve(STACKS[name], parse_assignments(words[1:]))
        with stop_requests() as requested, prepared(name, arguments) as session:
            terminal = Terminal([process.name for process in session.processes])
            terminal.say(
                f"{name} stack {session.arguments['run_id']}: robot {session.arguments['robot']} "
                f"at {session.arguments.get('robot_ip', 'its own stack')}, "
                f"ROS_DOMAIN_ID={session.domain_id}"
            )
            return watch(session, terminal, requested)
    except (ArgumentError, ClaimError) as error:
        sys.stderr.write(f"mailctl up: {error}\n")
    except PreflightError as error:
        sys.stderr.writelines(f"mailctl up: {problem}\n" for problem in error.problems)
    return EXIT_CODE
