"""The doctor as a whole: it never hangs, exits with 1 on failures, and guards real robots."""

import json
import logging
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from mail_bringup import preflight
from mail_bringup.arguments import resolve
from mail_bringup.doctor import command, gate
from mail_bringup.doctor.checks import CHECKS, Check
from mail_bringup.doctor.examination import examine
from mail_bringup.doctor.finding import Finding, Verdict, failure, ok, warning
from mail_bringup.doctor.franky import WheelFacts, check_connection, judge_wheel
from mail_bringup.doctor.link import check_link
from mail_bringup.doctor.machine import Machine
from mail_bringup.doctor.report import conclusion, show, worst
from mail_bringup.doctor.request import Request, request_from
from mail_bringup.stack_arguments import STACKS
from mail_policy.core.devices import ArmError
from mail_policy.core.robot_limits import RobotType

MACHINE = Machine()
FULL = failure("disk", "full", "room", "delete", is_waivable=True)
FOREIGN = failure("franky", "a wrong wheel", "a right one", "install it")
SLOW = warning("governor", "powersave", "performance", "sudo cpupower")


def request(**given: str) -> Request:
    arguments = resolve(STACKS["policy"], given)
    return request_from(arguments, connect=False, pings=10)


def check(name: str, run: Callable[[], list[Finding]], **changes: Any) -> Check:
    return Check(name=name, run=lambda request, machine: run(), **changes)


def test_findings_keep_the_order_of_the_checks() -> None:
    checks = [
        check("a", lambda: [ok("a", "1"), ok("a", "2")]),
        check("b", lambda: [ok("b", "3")], measures_time=True),
    ]
    assert [finding.found for finding in examine(checks, request(), MACHINE)] == ["1", "2", "3"]


def test_a_check_that_hangs_is_a_finding() -> None:
    released = threading.Event()

    def hang() -> list[Finding]:
        released.wait()
        return []

    checks = [check("cameras", hang), check("disk", lambda: [ok("disk", "roomy")])]
    late, fine = examine(checks, request(), MACHINE, limit_s=0.5)
    released.set()
    assert (late.name, late.verdict) == ("cameras", Verdict.FAILURE)
    assert "mailctl doctor --only cameras" in late.remedy
    assert fine.verdict is Verdict.OK


def test_a_check_that_is_broken_does_not_hide_the_others() -> None:
    def fail() -> list[Finding]:
        raise KeyError("no such key")

    checks = [check("clock", fail), check("disk", lambda: [ok("disk", "roomy")])]
    broken, fine = examine(checks, request(), MACHINE)
    assert "KeyError: 'no such key'" in broken.found
    assert fine.verdict is Verdict.OK


def test_nothing_runs_beside_a_check_that_measures_time() -> None:
    order: list[str] = []

    def note(name: str) -> list[Finding]:
        order.append(name)
        return []

    checks = [
        check("disk", lambda: note("disk")),
        check("link", lambda: note("link"), measures_time=True),
    ]
    examine(checks, request(), MACHINE)
    assert order == ["link", "disk"]


def test_the_twin_is_spared_what_only_a_robot_needs() -> None:
    for_twin = {item.name for item in CHECKS if item.counts_for("sim")}
    for_robot = {item.name for item in CHECKS if item.counts_for("panda")}
    assert for_robot - for_twin == {
        *("franky", "link", "realtime", "cameras", "calibration", "processor", "clock")
    }
    assert for_twin - for_robot == {"rendering"}


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace all checks by one that finds what a test says."""

    def replace_checks(*findings: Finding) -> None:
        checks = (check("disk", lambda: list(findings)),)
        monkeypatch.setattr(command, "CHECKS", checks)
        monkeypatch.setattr(gate, "CHECKS", checks)

    return replace_checks


@pytest.mark.parametrize(
    ("findings", "code", "verdict"),
    [((), 0, "ok"), ((SLOW,), 0, "warning"), ((SLOW, FULL), 1, "failure")],
)
def test_the_exit_code_and_the_json_tell_the_worst(
    only: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    findings: tuple[Finding, ...],
    code: int,
    verdict: str,
) -> None:
    only(ok("clock", "right"), *findings)
    assert command.main(["--json"]) == code
    answer = json.loads(capsys.readouterr().out)
    assert (answer["robot"], answer["verdict"]) == ("sim", verdict)
    assert len(answer["findings"]) == 1 + len(findings)
    assert answer["findings"][-1]["name"] == "clock"


def test_the_report_lists_remedies_in_order_and_unbroken() -> None:
    console = Console(width=60, record=True, file=None, quiet=False, force_terminal=False)
    long_remedy = "sudo " + "word " * 30 + "end"
    with console.capture() as captured:
        show([FOREIGN, replace(SLOW, remedy=long_remedy), ok("disk", "roomy")], "panda", console)
    text = captured.get()
    assert text.index("1. franky") < text.index("2. governor")
    assert long_remedy in text
    assert "panda: 1 failure, 1 to improve" in text


def test_the_last_line_says_whether_all_is_ready() -> None:
    assert conclusion([ok("disk", "roomy")], "sim") == "sim: ready"
    assert conclusion([SLOW], "fr3") == "fr3: ready, 1 to improve"
    assert worst([]) is Verdict.OK


def test_an_unknown_check_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["--only", "weather"])
    assert "weather" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "-1", "2000", "many"])
def test_a_number_of_pings_that_takes_too_long_is_refused(count: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["--pings", count])


def test_failures_refuse_a_real_robot_and_warnings_do_not() -> None:
    assert gate.refuse([SLOW, ok("clock", "right")], []) == []
    (problem,) = gate.refuse([FULL, SLOW], [])
    assert problem.startswith("disk: full, wanted is room; delete")
    assert "start_despite:=disk" in problem


def test_an_expert_may_accept_a_failure_and_it_is_said_aloud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert gate.refuse([FULL], ["disk"]) == []
    assert "starting despite disk: full" in caplog.text


def test_nobody_may_accept_what_is_about_safety(caplog: pytest.LogCaptureFixture) -> None:
    (silent,) = gate.refuse([FOREIGN], [])
    (named,) = gate.refuse([FOREIGN], ["franky"])
    assert "start_despite" not in silent
    assert "start_despite cannot name it" in named
    assert caplog.text == ""


def test_accepting_what_is_no_failure_is_refused() -> None:
    (problem,) = gate.refuse([SLOW], gate.split_names(" governor, "))
    assert "'governor', which is no failure" in problem


@pytest.fixture
def robot() -> dict[str, str]:
    """Arguments of a real robot."""
    return resolve(
        STACKS["teleop"],
        {"robot": "panda", "robot_ip": "172.16.0.2", "device": "none"},
    )


def test_a_stack_on_a_real_robot_asks_the_doctor(
    only: Callable[..., None], robot: dict[str, str]
) -> None:
    only(FULL, FOREIGN)
    with pytest.raises(preflight.PreflightError) as caught:
        preflight.check_all(robot, [])
    assert len(caught.value.problems) == 2
    with pytest.raises(preflight.PreflightError, match="franky"):
        preflight.check_all(robot | {"start_despite": "disk"}, [])
    only(FULL)
    preflight.check_all(robot | {"start_despite": "disk"}, [])


def test_a_robot_without_an_address_is_not_pinged() -> None:
    (finding,) = check_link(request(robot="panda"), MACHINE)
    assert finding.verdict is Verdict.WARNING
    assert finding.remedy == "mailctl doctor --robot panda --robot-ip 172.16.0.2"


def test_a_robot_without_a_route_is_not_pinged(tmp_path: Path) -> None:
    (finding,) = check_link(request(robot="panda", robot_ip="172.16.0.2"), Machine(tmp_path))
    assert "no route leads to 172.16.0.2" in finding.found


@pytest.mark.parametrize(
    ("libfranka", "robot_type", "verdict"),
    [
        ((0, 21, 2), RobotType.FR3, Verdict.OK),
        ((0, 21, 2), RobotType.FER, Verdict.FAILURE),
        ((0, 9, 2), RobotType.FER, Verdict.OK),
        ((0, 9, 2), RobotType.FR3, Verdict.FAILURE),
        (None, RobotType.FR3, Verdict.FAILURE),
    ],
)
def test_the_wheel_must_fit_the_robot(
    libfranka: tuple[int, ...] | None, robot_type: RobotType, verdict: Verdict
) -> None:
    finding = judge_wheel(WheelFacts(libfranka=libfranka), robot_type)
    assert finding.verdict is verdict
    assert not (verdict is Verdict.FAILURE and finding.is_waivable)


READING = SimpleNamespace(mode="idle", errors=())


def connected(reading: object) -> list[Finding]:
    """Connect to an arm that shows a reading, or fails with an error."""

    def open_arm(*arguments: object) -> Any:
        if isinstance(reading, Exception):
            raise reading
        return nullcontext(SimpleNamespace(read=lambda: reading))

    asked = replace(request(robot="fr3", robot_ip="127.0.0.250"), connect=True)
    return check_connection(asked, RobotType.FR3, open_arm)


def test_without_connect_the_robot_is_left_alone() -> None:
    def refuse(*arguments: object) -> Any:
        raise AssertionError("connected")

    assert check_connection(request(robot="fr3"), RobotType.FR3, refuse) == []


@pytest.mark.parametrize(
    ("reading", "verdict", "text"),
    [
        (READING, Verdict.OK, "read back"),
        (SimpleNamespace(mode="idle", errors=("reflex",)), Verdict.WARNING, "reflex"),
        (SimpleNamespace(mode="user_stopped", errors=()), Verdict.WARNING, "user_stopped"),
        (ArmError("joint_velocity_limit: wrote 2, read back 3; do not go on"), Verdict.FAILURE, ""),
        (ImportError("no franky"), Verdict.FAILURE, "no franky"),
    ],
)
def test_what_the_robot_shows_is_judged(reading: object, verdict: Verdict, text: str) -> None:
    (finding,) = connected(reading)
    assert finding.verdict is verdict
    assert text in finding.found
    assert not (verdict is Verdict.FAILURE and finding.is_waivable)
