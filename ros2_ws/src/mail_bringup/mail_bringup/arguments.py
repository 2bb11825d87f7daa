"""The `name:=value` arguments of a stack: the same for `ros2 launch` and for `mailctl up`."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


class ArgumentError(ValueError):
    """An argument is unknown or has a value that cannot be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """One argument of a stack.

    Attributes:
        name: As it is written before `:=`.
        default: The value when it is not given.
        help: One line for `--show-args`.
        choices: The values it may have; empty if any.
    """

    name: str
    default: str
    help: str
    choices: tuple[str, ...] = ()

    def check(self, value: str) -> str:
        """Return the value, or raise ArgumentError that lists the choices."""
        if self.choices and value not in self.choices:
            raise ArgumentError(
                f"{self.name} must be one of {', '.join(self.choices)}, got {value!r}"
            )
        return value


def parse_assignments(words: Iterable[str]) -> dict[str, str]:
    """Read words such as `robot:=sim`. Raises ArgumentError on any other form."""
    given: dict[str, str] = {}
    for word in words:
        name, separator, value = word.partition(":=")
        if not separator or not name.isidentifier():
            raise ArgumentError(f"expected name:=value, got {word!r}")
        if name in given:
            raise ArgumentError(f"{name} is given twice: {given[name]!r} and {value!r}")
        given[name] = value
    return given


def resolve(arguments: Iterable[Argument], given: Mapping[str, str]) -> dict[str, str]:
    """Fill in defaults. Raises ArgumentError if a name is unknown or a value is no choice."""
    known = {argument.name: argument for argument in arguments}
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise ArgumentError(f"unknown argument {name!r}; {hint}")
    return {
        name: argument.check(given.get(name, argument.default)) for name, argument in known.items()
    }


def describe_arguments(arguments: Iterable[Argument]) -> str:
    """Return the table that `--show-args` prints."""
    lines = []
    for argument in arguments:
        choices = f" ({', '.join(argument.choices)})" if argument.choices else ""
        lines.append(f"  {argument.name}:={argument.default}")
        lines.append(f"      {argument.help}{choices}")
    return "\n".join(lines)
