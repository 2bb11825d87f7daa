"""The order in which a stack comes to life, and what is said about it."""

import dataclasses
from types import SimpleNamespace

import pytest

from mail_bringup.diagnostics import Level, StackView, findings
from mail_bringup.records import SelectionError, StackRecord, select
from mail_bringup.startup import (
    StartupError,
    StartupLimits,
    bring_up,
    make_ready,
    start_task,
)
from mail_bringup.status_text import describe_status

NAMES = ("camera", "arm", "policy")
RECORD = StackRecord(
    run_id="mail1",
    stack="policy",
    pid=1,
    domain_id=7,
    namespace="left",
    robot="sim",
    robot_ip="127.0.0.9",
    task="",
)
OTHER = dataclasses.replace(RECORD, run_id="mail2", domain_id=8)
VIEW = StackView(
    node_states={"camera": "active", "arm": "active"},
    arm_state="policy",
    arm_cause="",
    may_move=True,
    policy_waiting_for="",
    policy_heartbeat_age_s=0.05,
)


class FakeNodes:
    """Nodes that note what they are asked for."""

    def __init__(
        self, silent: tuple[str, ...] = (), failing: tuple[str, str] | None = None
    ) -> None:
        self.asked: list[tuple[str, str]] = []
        self._silent = silent
        self._failing = failing

    def wait_for_node(self, name: str, limit_s: float) -> bool:
        return name not in self._silent

    def change_state(self, name: str, transition: str, limit_s: float) -> bool:
        self.asked.append((name, transition))
        return (name, transition) != self._failing


class FakeOperations:
    """An operator who notes what is done; may be refused once."""

    def __init__(self, refused: str = "") -> None:
        self.done: list[str] = []
        self._refused = refused

    def _do(self, what: str) -> str:
        if what == self._refused:
            raise RuntimeError(f"{what} refused")
        self.done.append(what)
        return what

    def arm(self) -> str:
        return self._do("arm")

    def home(self) -> str:
        return self._do("home")

    def set_task(self, sentence: str) -> str:
        self._do(f"set_task {sentence}")
        return "open the top drawer"

    def start_recording(self, task: str) -> str:
        return self._do(f"record {task}")

    def start(self, task: str, max_duration_s: float) -> int:
        self._do(f"start {task} {max_duration_s}")
        return 5


def ignore(text: str) -> None:
    """Say nothing."""


def test_all_nodes_are_configured_before_the_first_is_activated() -> None:
    nodes = FakeNodes()
    bring_up(nodes, NAMES, StartupLimits(), ignore)
    assert nodes.asked == [
        *((name, "configure") for name in NAMES),
        *((name, "activate") for name in NAMES),
    ]


@pytest.mark.fault("F69", bound="what is missing is named; nothing moves")
def test_nodes_that_do_not_appear_are_all_named_and_nothing_is_configured() -> None:
    nodes = FakeNodes(silent=("arm", "policy"))
    with pytest.raises(StartupError, match="node arm, policy did not appear within 30 s"):
        bring_up(nodes, NAMES, StartupLimits(), ignore)
    assert nodes.asked == []


@pytest.mark.parametrize("transition", ["configure", "activate"])
def test_the_first_failure_stops_the_start_and_is_named(transition: str) -> None:
    nodes = FakeNodes(failing=("arm", transition))
    with pytest.raises(StartupError, match=f"node arm failed to {transition}"):
        bring_up(nodes, NAMES, StartupLimits(), ignore)
    assert nodes.asked[-1] == ("arm", transition)


def test_a_task_is_started_as_an_operator_would() -> None:
    operations = FakeOperations()
    make_ready(operations, ignore)
    start_task(operations, "open drawer", max_duration_s=9.0, record=True, say=ignore)
    assert operations.done == [
        "arm",
        "home",
        "set_task open drawer",
        "record open the top drawer",
        "start open the top drawer 9.0",
    ]


def test_without_recorder_nothing_is_recorded() -> None:
    operations = FakeOperations()
    start_task(operations, "open drawer", max_duration_s=9.0, record=False, say=ignore)
    assert not any(step.startswith("record") for step in operations.done)


@pytest.mark.parametrize("refused", ["arm", "home"])
def test_an_arm_that_does_not_get_ready_is_reported(refused: str) -> None:
    with pytest.raises(RuntimeError, match=f"{refused} refused"):
        make_ready(FakeOperations(refused), ignore)


def test_a_refused_task_keeps_the_policy_from_moving() -> None:
    operations = FakeOperations("set_task open drawer")
    with pytest.raises(RuntimeError, match="refused"):
        start_task(operations, "open drawer", max_duration_s=9.0, record=True, say=ignore)
    assert not any(step.startswith("start") for step in operations.done)


def test_diagnostics_say_first_whether_the_arm_may_move() -> None:
    first = findings(VIEW)[0]
    assert (first.name, first.message) == ("motion: may move", "yes")
    held = dataclasses.replace(VIEW, may_move=False, arm_state="hold", arm_cause="chunk is late")
    assert findings(held)[0].message == "no, because the state of the arm is hold (chunk is late)"


@pytest.mark.parametrize(
    ("age_s", "level", "message"),
    [
        (None, Level.OK, "waits for its first heartbeat"),
        (0.05, Level.OK, "acts, heartbeat 0.05 s ago"),
        (1.2, Level.WARN, "silent: last heartbeat 1.2 s ago"),
    ],
)
def test_a_policy_that_fell_silent_does_not_count_as_acting(
    age_s: float | None, level: Level, message: str
) -> None:
    line = findings(dataclasses.replace(VIEW, policy_heartbeat_age_s=age_s))[-1]
    assert (line.name, line.level, line.message) == ("policy", level, message)


@pytest.mark.parametrize(
    ("state", "level"),
    [
        ("ready", Level.OK),
        ("policy", Level.OK),
        ("hold", Level.WARN),
        ("stopped", Level.WARN),
        ("fault", Level.ERROR),
        ("estop", Level.ERROR),
        ("", Level.ERROR),
    ],
)
def test_the_level_follows_the_state_of_the_arm(state: str, level: Level) -> None:
    assert findings(dataclasses.replace(VIEW, arm_state=state))[1].level == level


def test_a_missing_node_is_an_error() -> None:
    view = dataclasses.replace(VIEW, node_states={"camera": "missing"})
    (line,) = [line for line in findings(view) if line.name == "node: camera"]
    assert (line.level, line.message) == (Level.ERROR, "missing")


def test_the_only_stack_is_meant() -> None:
    assert select([RECORD], None, "") == (7, "left", RECORD)


def test_among_several_stacks_one_must_be_named() -> None:
    with pytest.raises(SelectionError, match="--run-id"):
        select([RECORD, OTHER], None, "")
    assert select([RECORD, OTHER], "mail2", "") == (8, "left", OTHER)


def test_the_domain_of_the_environment_decides() -> None:
    assert select([RECORD, OTHER], None, "8") == (8, "left", OTHER)
    assert select([RECORD], None, "42") == (42, "", None)


def test_without_any_record_the_default_domain_of_ros_is_used() -> None:
    assert select([], None, "") == (0, "", None)


def test_a_stack_that_does_not_run_is_refused_by_name() -> None:
    with pytest.raises(SelectionError, match="no stack 'mail9' runs here"):
        select([RECORD], "mail9", "")


def arm_state(**changes: object) -> SimpleNamespace:
    values: dict[str, object] = {
        "state": "policy",
        "may_move": True,
        "cause": "",
        "robot_type": "fr3",
        "robot_mode": "move",
        "errors": "",
        "control_success_rate": 0.98,
        "lease_holder": "policy",
        "lease_epoch": 4,
        "task": "open the top drawer",
        "accepted_chunks": 10,
        "rejected_chunks": 1,
    }
    return SimpleNamespace(**(values | changes))


def test_the_status_tells_what_a_person_asks_first() -> None:
    text = describe_status(arm_state(), None)
    assert text.splitlines()[0] == "arm     policy, MAY MOVE"
    assert "lease   policy, number 4, task 'open the top drawer'" in text
    assert "10 accepted, 1 refused" in text
    assert "policy  silent: not active" in text


def test_errors_and_causes_are_shown_when_there_are_any() -> None:
    text = describe_status(
        arm_state(state="fault", may_move=False, cause="reflex", errors="joint_reflex"), None
    )
    assert "arm     fault, does not move: reflex" in text
    assert "errors  joint_reflex" in text
