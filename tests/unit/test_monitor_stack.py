"""How the monitor is started, and that it never takes a robot of its own."""

from pathlib import Path

import pytest

from mail_bringup import session, stack
from mail_bringup.arguments import ArgumentError, resolve
from mail_bringup.processes import Process
from mail_bringup.records import StackRecord
from mail_bringup.runner import command_of
from mail_bringup.session import prepared
from mail_bringup.stack_arguments import STACKS, joins

RECORD = StackRecord(
    run_id="one",
    stack="policy",
    pid=1,
    domain_id=42,
    namespace="left",
    robot="panda",
    robot_ip="172.16.0.2",
    task="",
)


def described(name: str, **given: str) -> dict[str, Process]:
    return {p.name: p for p in stack.describe(name, resolve(STACKS[name], given))}


def test_the_viewers_come_with_rviz_only_and_nothing_depends_on_them() -> None:
    assert "monitor" not in described("policy", robot_ip="127.0.0.9")
    with_rviz = described("policy", robot_ip="127.0.0.9", use_rviz="true")
    assert not with_rviz["monitor"].required
    assert not with_rviz["monitor"].lifecycle
    assert "monitor" not in with_rviz["supervisor"].parameters["nodes"]
    assert with_rviz["monitor"].parameters["cameras"] == ("agentview", "wrist")


def test_the_monitor_stack_holds_viewers_alone() -> None:
    assert list(described("monitor")) == ["monitor"]
    assert list(described("monitor", use_rviz="true")) == ["monitor", "rviz"]
    assert [name for name, declared in STACKS.items() if joins({a.name: "" for a in declared})] == [
        "monitor"
    ]


def test_it_joins_the_stack_that_runs_and_announces_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    monkeypatch.setattr(session, "running_stacks", lambda folder: [RECORD])
    monkeypatch.setattr(session, "state_folder", lambda: tmp_path)
    with prepared("monitor", resolve(STACKS["monitor"], {})) as joined:
        (monitor,) = joined.processes
        assert (joined.domain_id, monitor.namespace) == (42, "left")
        assert monitor.parameters["use_sim_time"] is False
        assert monitor.parameters["robot_type"] == "fer"
        assert list(tmp_path.iterdir()) == []


def test_among_several_stacks_one_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    monkeypatch.setattr(session, "running_stacks", lambda folder: [RECORD, RECORD])
    with (
        pytest.raises(ArgumentError, match="several stacks run"),
        prepared("monitor", resolve(STACKS["monitor"], {})),
    ):
        pass


def test_words_of_a_program_come_before_those_of_ros(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mail_bringup.runner.find_executable", lambda *names: Path("/rviz2"))
    words = command_of(described("monitor", use_rviz="true")["rviz"])
    assert words[:2] == ["/rviz2", "-d"]
    assert words[2].endswith("launch/rviz/mail.rviz")
    assert words[3] == "--ros-args"
