"""Whether a command line is understood, by the parsers that read it when it is typed."""

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from unittest.mock import patch

import pytest

from mail_bringup import up
from mail_bringup.arguments import ArgumentError, parse_assignments, resolve
from mail_bringup.stack_arguments import STACKS
from mail_policy import mailctl
from tests.unit.guide_lines import ROOT

# Commands that need a package which `make setup` does not install.
_OPTIONAL = {"monitor": "viser"}


class _Understood(BaseException):
    """A command has read its words; it must not run."""


@contextlib.contextmanager
def _ends(stack: str, arguments: object) -> Iterator[None]:
    raise _Understood
    yield


def is_understood(words: Sequence[str]) -> bool:
    """Whether `mailctl` or `ros2 launch` understands its words. Nothing is started.

    Skips the test if the command needs a package that is not installed.
    """
    program, *rest = words
    if program == "ros2":
        return _launch_is_understood(rest)
    if program != "mailctl":
        return False
    if rest[0] in _OPTIONAL:
        pytest.importorskip(_OPTIONAL[rest[0]])
    parse = argparse.ArgumentParser.parse_args

    def parse_and_end(self: argparse.ArgumentParser, *given: object) -> None:
        parse(self, *given)
        raise _Understood

    with (
        patch.object(argparse.ArgumentParser, "parse_args", parse_and_end),
        patch.object(up, "prepared", _ends),
    ):
        try:
            # Only those return that show something, as `--show-args` does, or refuse their words.
            return mailctl.main(rest) == 0
        except _Understood:
            return True
        except SystemExit as end:
            return end.code == 0


def _launch_is_understood(words: Sequence[str]) -> bool:
    verb, package, file, *assignments = words
    if (verb, package) != ("launch", "mail_bringup") or not (ROOT / "launch" / file).exists():
        return False
    try:
        resolve(STACKS[file.removesuffix(".launch.py")], parse_assignments(assignments))
    except ArgumentError:
        return False
    return True
