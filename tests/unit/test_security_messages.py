"""Messages have bounds: nobody can make a reader allocate more than a type allows."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

INTERFACES = Path(__file__).parents[2] / "ros2_ws" / "src" / "mail_msgs"
# `error` of the gripper's actions and its feedback are those of franka_msgs, which other programs
# speak; only our own server ever writes them.
OF_FRANKA = {
    "Grasp.action: string error",
    "Homing.action: string error",
    "Move.action: string error",
}
# A bounded sequence or string, an array of fixed length, or a type without either.
_STRING = re.compile(r"w?string(?P<bound><=\d+)?(?P<array>\[.*\])?$")
_ARRAY = re.compile(r"\[(?P<size>.*)\]$")


def fields(text: str) -> Iterator[tuple[str, str]]:
    """Yield type and name of every field of an interface; constants have no size to bound."""
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if len(words) >= 2 and "=" not in words[1]:
            yield words[0], words[1]


def is_bounded(kind: str) -> bool:
    array = _ARRAY.search(kind)
    if array and not re.fullmatch(r"(<=)?\d+", array["size"]):
        return False
    string = _STRING.match(kind)
    return string is None or string["bound"] is not None


def test_every_string_and_sequence_of_our_interfaces_is_bounded() -> None:
    files = sorted(INTERFACES.glob("*/*.*"))
    assert len(files) >= 16
    unbounded = {
        f"{file.name}: {kind} {name}"
        for file in files
        for kind, name in fields(file.read_text())
        if not is_bounded(kind)
    }
    assert unbounded == OF_FRANKA


@pytest.mark.parametrize(
    ("kind", "bounded"),
    [
        ("string", False),
        ("wstring", False),
        ("string<=8", True),
        ("string<=8[]", False),
        ("string<=8[<=4]", True),
        ("string[<=4]", False),
        ("float64[]", False),
        ("float64[<=9]", True),
        ("float64[7]", True),
        ("Pose[]", False),
        ("std_msgs/Header", True),
        ("uint8", True),
    ],
)
def test_a_missing_bound_is_found(kind: str, bounded: bool) -> None:
    assert is_bounded(kind) is bounded
