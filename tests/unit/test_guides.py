"""The guides promise only what is there: files, commands, arguments, topics."""

import re

import pytest

from mail_bringup.stack_arguments import STACKS
from mail_policy import mailctl
from tests.unit.guide_lines import ROOT, command_lines, guides, inline_code, links, words_of
from tests.unit.understood_commands import is_understood

PAGES = {str(page.relative_to(ROOT)): page.read_text() for page in guides()}
TYPED = [words_of(line) for text in PAGES.values() for line in command_lines(text)]
COMMANDS = [words for words in TYPED if words[:1] == ["mailctl"] or words[:2] == ["ros2", "launch"]]
GROUPS = "arm|policy|camera|gripper|teleop|recorder|estop|twin|monitor"
NAMED = re.compile(rf"/?((?:{GROUPS})/[\w<>/]+)$")
ON_EVERY_PAGE = pytest.mark.parametrize("page", PAGES)


@pytest.mark.parametrize(
    ("page", "link"), [(name, link) for name, text in PAGES.items() for link in links(text)]
)
def test_every_link_leads_to_a_file(page: str, link: str) -> None:
    assert ((ROOT / page).parent / link).exists()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_line_is_understood(words: list[str]) -> None:
    if words[-1] == "...":
        assert words[1] in mailctl.COMMANDS
    else:
        assert is_understood(words)


@ON_EVERY_PAGE
def test_every_command_named_in_a_sentence_exists(page: str) -> None:
    used = {
        words[1]
        for code in inline_code(PAGES[page])
        if (words := code.split())[0] == "mailctl"
        and len(words) > 1
        and re.fullmatch("[a-z-]+", words[1])
    }
    assert used <= set(mailctl.COMMANDS), f"unknown: {sorted(used - set(mailctl.COMMANDS))}"


@ON_EVERY_PAGE
def test_every_argument_named_in_a_sentence_exists(page: str) -> None:
    known = {argument.name for arguments in STACKS.values() for argument in arguments}
    used = {name for code in inline_code(PAGES[page]) for name in re.findall(r"(\w+):=", code)}
    # `name:=value` stands for any of them.
    assert used <= known | {"name"}, f"unknown: {sorted(used - known)}"


@ON_EVERY_PAGE
def test_every_topic_service_and_action_named_exists(page: str) -> None:
    offered = set(re.findall(r"^\| `([^`]+)`", PAGES["launch/INTERFACES.md"], re.MULTILINE))
    named = {match[1] for code in inline_code(PAGES[page]) if (match := NAMED.match(code))}
    unknown = {re.sub(r"^camera/[a-z]\w*/", "camera/<name>/", name) for name in named} - offered
    assert not unknown, f"unknown: {sorted(unknown)}"


@ON_EVERY_PAGE
def test_every_make_target_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = [words_of(line) for line in command_lines(PAGES[page])]
    used = {words[1] for words in lines if words[:1] == ["make"] and "=" not in words[1]}
    used |= {m[1] for code in inline_code(PAGES[page]) if (m := re.match(r"make ([a-z]+)$", code))}
    assert used <= targets, f"unknown: {sorted(used - targets)}"


@pytest.mark.parametrize(
    "line",
    [
        "mailctl train --no-such-option",
        "mailctl up policy chekpoint:=x",
        "mailctl recrod task:=x",
        "ros2 launch mail_bringup polcy.launch.py",
        "ros2 launch mail_bringup policy.launch.py robot:=ur5",
    ],
)
def test_a_line_with_a_mistake_is_found(line: str) -> None:
    assert not is_understood(words_of(line))


def test_the_lines_of_the_readme_are_found() -> None:
    lines = [words_of(line) for line in command_lines(PAGES["README.md"])]
    assert ["mailctl", "up", "policy", "task:=open drawer"] in lines
    assert {"make", "mailctl"} <= {words[0] for words in lines if words}
