"""The teleoperation node over ROS, with a keyboard on a pseudo terminal and real processes."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from mail_msgs.msg import TeleopCommand
from mail_msgs.srv import EndEpisode, SetTask
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from std_srvs.srv import Trigger

from mail_bringup.claims import claim_domain
from mail_bringup.operator_node import Operator
from mail_franka.conversions import teleop_from_msg
from mail_ros.conversions import seconds_to_stamp, stamp_to_seconds
from mail_teleop.conversions import command_to_msg
from mail_teleop.teleop_node import TeleopNode
from tests.conftest import Measured
from tests.ros.arm_rig import LIMIT_S, ArmRig, end
from tests.ros.pty_terminal import PtyTerminal
from tests.unit.test_teleop_mapping import HOME, led, make, pushed, ready

REPEAT_S = 0.03
KEYBOARD = Path(__file__).parents[2] / "launch" / "config" / "teleop_keyboard.yaml"
TRIGGERS = (
    "recorder/discard",
    "recorder/rerecord",
    "arm/resume",
    "arm/stop",
    "estop/trigger",
)


def wait_until(condition: Callable[[], bool], what: str = "") -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"did not come true in time: {what}"
        time.sleep(0.005)


class Typist:
    """Holds a key: types it again and again, as a terminal does."""

    def __init__(self, terminal: PtyTerminal, key: str) -> None:
        self._terminal, self._key = terminal, key
        self._stop = threading.Event()

    def __enter__(self) -> "Typist":
        self._thread = threading.Thread(target=self._run, name="typist")
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._terminal.type(self._key)
            self._stop.wait(REPEAT_S)


class Bench:
    """The node under test, whoever it talks to, and a person at a terminal."""

    def __init__(self, context: Context, terminal: PtyTerminal) -> None:
        self._context, self.terminal = context, terminal
        self.executor = SingleThreadedExecutor(context=context)
        self.others = Node("others", context=context)
        self.executor.add_node(self.others)
        self.commands: list[TeleopCommand] = []
        self.diagnostics: list[DiagnosticArray] = []
        self.asked: list[tuple[str, object]] = []
        self.answer = (True, "done by the others")
        self.others.create_subscription(
            TeleopCommand, "teleop/command", self.commands.append, QoSProfile(depth=100)
        )
        self.others.create_subscription(
            DiagnosticArray, "/diagnostics", self.diagnostics.append, 10
        )
        self.clock_publisher = self.others.create_publisher(Clock, "/clock", 1)
        self.nodes: list[TeleopNode] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def offer_services(self, *without: str) -> None:
        for name in TRIGGERS:
            if name not in without:
                self._offer(Trigger, name, lambda request: None)
        self._offer(SetTask, "recorder/start", lambda request: request.task)
        self._offer(EndEpisode, "recorder/end", lambda request: request.outcome)

    def _offer(self, kind: type, name: str, what: Callable[[object], object]) -> None:
        def answer(request: object, reply: object) -> object:
            self.asked.append((name, what(request)))
            reply.success, reply.message = self.answer
            return reply

        self.others.create_service(kind, name, answer)

    def _spin(self) -> None:
        while not self._stop.is_set():
            self.executor.spin_once(timeout_sec=0.05)

    def make_node(self, file: Path = KEYBOARD, **parameters: object) -> TeleopNode:
        values = {"config_file": str(file), "terminal": self.terminal.path, "task": "open drawer"}
        node = TeleopNode(
            context=self._context,
            parameter_overrides=[
                Parameter(name, value=value) for name, value in (values | parameters).items()
            ],
        )
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def activate(self, **parameters: object) -> TeleopNode:
        node = self.make_node(**parameters)
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        # The switch was seen open.
        wait_until(lambda: bool(self.commands), "an open switch")
        return node

    @property
    def health(self) -> DiagnosticStatus:
        (status,) = self.diagnostics[-1].status
        return status

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        for node in self.nodes:
            node.close()
            node.destroy_node()
        self.others.destroy_node()
        self.executor.shutdown()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with claim_domain(tmp_path) as claim, PtyTerminal() as terminal:
        context = Context()
        rclpy.init(context=context, domain_id=int(claim.value))
        bench = Bench(context, terminal)
        yield bench
        bench.close()
        context.try_shutdown()


# Commands.


def test_a_held_key_is_a_held_switch_and_a_velocity(bench: Bench) -> None:
    bench.activate()
    assert not any(command.dead_man for command in bench.commands)
    with Typist(bench.terminal, "w"):
        wait_until(lambda: sum(c.dead_man for c in bench.commands) > 10, "commands")
    wait_until(lambda: not bench.commands[-1].dead_man, "a release")
    held = [c for c in bench.commands if c.dead_man]
    assert {c.source for c in held} == {"keyboard"}
    for command in held:
        assert command.kind == TeleopCommand.TWIST
        # The second of the speed steps.
        assert command.twist.linear.x == pytest.approx(0.25 * 0.2)
        assert math.isnan(command.gripper_width)
    sequences = [c.sequence for c in bench.commands]
    assert sequences == sorted(set(sequences))


def test_stamps_are_those_of_the_simulated_clock(bench: Bench) -> None:
    node = bench.make_node(use_sim_time=True)
    node.trigger_configure()
    node.trigger_activate()
    for _ in range(100):
        bench.clock_publisher.publish(Clock(clock=seconds_to_stamp(1234.5)))
        if any(c.header.stamp == seconds_to_stamp(1234.5) for c in bench.commands):
            return
        time.sleep(0.05)
    raise AssertionError([c.header.stamp for c in bench.commands])


def test_health_is_reported(bench: Bench) -> None:
    bench.activate()
    wait_until(lambda: bool(bench.diagnostics), "diagnostics")
    assert bench.health.level == DiagnosticStatus.OK
    assert bench.health.name == "teleop keyboard"
    assert bench.health.message == "the dead-man switch is open"
    values = {value.key: value.value for value in bench.health.values}
    assert values["glitches"] == "0"
    assert float(values["silent_for_s"]) < 1.0


# Keys that ask others.


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ("r", [("recorder/start", "open drawer")]),
        ("\x1b[C", [("recorder/end", EndEpisode.Request.UNKNOWN)]),
        ("y", [("recorder/end", EndEpisode.Request.SUCCESS)]),
        ("n", [("recorder/end", EndEpisode.Request.FAILURE)]),
        ("\x7f", [("recorder/discard", None)]),
        ("\x1b[D", [("recorder/rerecord", None)]),
        ("p", [("arm/resume", None)]),
        (" ", [("estop/trigger", None)]),
        ("\x1b", [("arm/stop", None), ("recorder/end", EndEpisode.Request.UNKNOWN)]),
    ],
)
def test_a_key_asks_once_and_the_answer_is_told(
    bench: Bench, capfd: pytest.CaptureFixture[str], key: str, asked: list[tuple[str, object]]
) -> None:
    bench.offer_services()
    node = bench.activate()
    for service, _ in asked:
        wait_until(lambda name=service: node._requests._clients[name].service_is_ready(), service)
    bench.terminal.type(key)
    wait_until(lambda: len(bench.asked) >= len(asked), "requests")
    assert sorted(bench.asked, key=str) == sorted(asked, key=str)
    told = ""

    def was_told() -> bool:
        nonlocal told
        told += capfd.readouterr().err
        return told.count("done by the others") == len(asked)

    wait_until(was_told, "the answers")


def test_a_refusal_is_told(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    bench.offer_services()
    bench.answer = (False, "the disk is full")
    node = bench.activate()
    wait_until(lambda: node._requests._clients["recorder/start"].service_is_ready())
    bench.terminal.type("r")
    wait_until(lambda: "start: recorder/start: the disk is full" in capfd.readouterr().err)


def test_a_service_that_nobody_offers_is_told(
    bench: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    bench.activate()
    bench.terminal.type("r")
    wait_until(lambda: "recorder/start is offered by nobody" in capfd.readouterr().err)


# Life cycle and loss.


def test_an_inactive_node_is_silent_and_gives_the_terminal_back(bench: Bench) -> None:
    node = bench.activate()
    with Typist(bench.terminal, "w"):
        wait_until(lambda: bench.commands[-1].dead_man, "a held key")
        node.trigger_deactivate()
        # The arm need not wait for silence.
        wait_until(lambda: not bench.commands[-1].dead_man, "an open switch")
        count = len(bench.commands)
        time.sleep(0.3)
        assert len(bench.commands) == count
    assert not bench.terminal.is_line_by_line
    assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    assert bench.terminal.is_line_by_line
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    wait_until(lambda: len(bench.commands) > count, "commands again")


def test_a_key_that_is_held_at_the_start_moves_nothing(bench: Bench) -> None:
    node = bench.make_node()
    node.trigger_configure()
    with Typist(bench.terminal, "w"):
        node.trigger_activate()
        wait_until(lambda: len(bench.commands) > 3, "commands")
        assert not any(c.dead_man for c in bench.commands)


def test_a_missing_terminal_is_refused_at_configure(
    bench: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    node = bench.make_node(terminal="/dev/pts/none")
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    wait_until(lambda: "parameter terminal" in capfd.readouterr().err)


def test_a_wrong_file_is_refused_at_configure(
    bench: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "teleop.yaml"
    file.write_text("device: keybord\n")
    assert bench.make_node(file).trigger_configure() == TransitionCallbackReturn.FAILURE
    wait_until(lambda: "keybord" in capfd.readouterr().err)


@pytest.mark.fault("F44", bound="a lost device: one open switch, then silence; an ERROR in health")
def test_a_lost_terminal_lets_go_and_sends_nothing_more(bench: Bench) -> None:
    bench.activate()
    with Typist(bench.terminal, "w"):
        wait_until(lambda: bench.commands[-1].dead_man, "a held key")
    bench.terminal.hang_up()
    wait_until(lambda: not bench.commands[-1].dead_man, "an open switch")
    wait_until(lambda: bool(bench.diagnostics) and bench.health.level == DiagnosticStatus.ERROR)
    assert "has gone" in bench.health.message or "cannot open" in bench.health.message
    count = len(bench.commands)
    time.sleep(0.3)
    assert len(bench.commands) == count


def test_keys_alone_command_nothing(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "teleop.yaml"
    file.write_text("device: keys\n")
    bench.offer_services()
    node = bench.make_node(file)
    node.trigger_configure()
    node.trigger_activate()
    wait_until(lambda: node._requests._clients["recorder/start"].service_is_ready())
    bench.terminal.type("wwr")
    wait_until(lambda: bool(bench.asked), "a request")
    assert bench.commands == []


def test_a_command_reads_the_same_on_the_arms_side() -> None:
    for command in (
        make(ready(led(HOME)), led(HOME, trigger_width_m=0.02)),
        make(ready(), pushed({"x": 1.0, "yaw": -1.0})),
        make(ready(), pushed(dead_man=False)),
    ):
        read = teleop_from_msg(command_to_msg(command))
        assert (read.source, read.sequence, read.sent_at_s, read.dead_man) == (
            command.source,
            command.sequence,
            command.sent_at_s,
            command.dead_man,
        )
        assert read.gripper_width_m == command.gripper_width_m
        for name in ("twist", "joint_positions"):
            sent, got = getattr(command, name), getattr(read, name)
            assert (sent is None) == (got is None)
            np.testing.assert_array_equal(sent, got)


# The process, and the arm that follows it.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_process_gives_the_terminal_back_when_it_is_asked_to_end(
    tmp_path: Path, number: signal.Signals
) -> None:
    with claim_domain(tmp_path) as claim, PtyTerminal() as terminal:
        node = ["--ros-args", "-p", f"config_file:={KEYBOARD}", "-p", f"terminal:={terminal.path}"]
        process = subprocess.Popen(
            [sys.executable, "-m", "mail_teleop.teleop_node", *node],
            env={**os.environ, "ROS_DOMAIN_ID": claim.value},
            start_new_session=True,
        )
        try:
            with Operator(domain_id=int(claim.value)) as operator:
                assert operator.wait_for_node("teleop", LIMIT_S)
                assert operator.change_state("teleop", "configure", LIMIT_S)
            assert not terminal.is_line_by_line
            process.send_signal(number)
            assert process.wait(LIMIT_S) == 0
            assert terminal.is_line_by_line
        finally:
            process.kill()
            process.wait()


class TeleopRig:
    """The node's process beside a robot and the arm's process, and a person at a terminal.

    It has an operator of its own: one that knew a killed node may go on talking to that one.
    """

    def __init__(self, rig: ArmRig, terminal: PtyTerminal) -> None:
        self.rig, self.terminal = rig, terminal
        self.commands: list[TeleopCommand] = []
        self._operator = Operator(
            domain_id=int(rig.domain), use_sim_time=True, name=f"person{time.time_ns()}"
        )

    def __enter__(self) -> "TeleopRig":
        node = self._operator.__enter__().node
        node.create_subscription(
            TeleopCommand, "teleop/command", self.commands.append, QoSProfile(depth=100)
        )
        self.process = self.rig.start(
            "teleop",
            "mail_teleop.teleop_node",
            "-p",
            "use_sim_time:=true",
            "-p",
            f"config_file:={KEYBOARD}",
            "-p",
            f"terminal:={self.terminal.path}",
        )
        assert self._operator.wait_for_node("teleop", LIMIT_S), self.rig.said("teleop")
        for transition in ("configure", "activate"):
            done = self._operator.change_state("teleop", transition, LIMIT_S)
            assert done, self.rig.said("teleop")
        self.rig.wait_until(lambda: len(self.commands) > 2, "open switches")
        return self

    def __exit__(self, *error: object) -> None:
        end(self.process)
        self._operator.__exit__(*error)

    def arm(self) -> None:
        """Make the arm ready, and wait until it obeys: DDS takes seconds to find a new program.

        Until then a person presses in vain; a key that is held all the while is never seen open.
        """
        self.rig.arm()
        for _ in range(10):
            with Typist(self.terminal, "c"):
                obeys = self._operator.wait_until(lambda: self.rig.state == "teleop", 2.0)
            if obeys:
                self.rig.wait_for("ready")
                return
            time.sleep(0.5)
        raise AssertionError(f"the arm does not obey: {self.rig.said('teleop')}")

    def drive(self, key: str, duration_s: float) -> np.ndarray:
        """Hold a key for some robot time; return where the hand was [m], shape (n, 3)."""
        cycle = self.rig.robot.newest_cycle()
        with Typist(self.terminal, key):
            self.rig.wait_for("teleop")
            self.rig.pass_time(duration_s)
            return self.rig.hand_positions(cycle)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ArmRig]:
    # The link's own watchdog runs on the wall clock and is none of our business here.
    with ArmRig(tmp_path, bounds={"stall_s": 3.0}) as rig:
        yield rig


def since(rig: ArmRig, state: str, stamp_s: float) -> float:
    """Wait for a state; return when the arm saw it, since a stamp of the simulated clock [ms]."""
    return 1000.0 * (rig.wait_for(state).robot_time - (stamp_s - 100.0))


@pytest.mark.fault("F44", bound="released: 30 ms after the key counts as released; then standstill")
def test_the_arm_follows_the_keys_and_stops_when_they_are_let_go(
    rig: ArmRig, measured: Measured
) -> None:
    with PtyTerminal() as terminal, TeleopRig(rig, terminal) as teleop:
        teleop.arm()
        hand = teleop.drive("a", 0.6)
        way = hand[-1] - hand[0]
        # 0.05 m/s to the left, less the time to get going.
        assert 0.01 < way[1] < 0.035
        assert np.abs(way[[0, 2]]).max() < 0.005
        rig.wait_for("hold")
        released = next(c for c in reversed(teleop.commands) if c.dead_man)
        opened = next(c for c in teleop.commands if c.sequence > released.sequence)
        released_ms = since(rig, "hold", stamp_to_seconds(opened.header.stamp))
        measured(f"{released_ms:.0f} ms")
        assert released_ms <= 30.0
        rig.pass_time(0.4)
        cycle = rig.robot.newest_cycle()
        rig.pass_time(0.3)
        assert rig.speeds(cycle).max() < 1e-3
        # And on from there, the other way.
        hand = teleop.drive("d", 0.4)
        assert hand[-1][1] < hand[0][1] - 0.005


@pytest.mark.fault("F44", bound="a killed node: lost after 100 ms, no motion when it is back")
def test_a_killed_node_stops_the_arm(rig: ArmRig, measured: Measured) -> None:
    with PtyTerminal() as terminal, TeleopRig(rig, terminal) as teleop:
        teleop.arm()
        with Typist(terminal, "a"):
            rig.wait_for("teleop")
            rig.pass_time(0.3)
            cycle = rig.robot.newest_cycle()
            teleop.process.kill()
            lost_ms = 1000.0 * rig.wait_for("hold").robot_time - cycle
            measured(f"{lost_ms:.0f} ms")
            assert lost_ms <= 130.0
            assert "silent" in rig.states[-1].cause
            teleop.process.wait()
            assert any(is_still_after_a_restart(rig, terminal) for _ in range(3))


def is_still_after_a_restart(rig: ArmRig, terminal: PtyTerminal) -> bool:
    """Start a new node while the key is still held; return whether the arm stood.

    A machine that stops the typist for 0.15 s lets go of the key for him, and presses it anew.
    """
    with TeleopRig(rig, terminal) as teleop:
        cycle = rig.robot.newest_cycle()
        rig.pass_time(0.5)
        was_pressed = any(command.dead_man for command in teleop.commands)
        is_still = bool(rig.speeds(cycle).max() < 1e-3)
        assert is_still or was_pressed
        return is_still
