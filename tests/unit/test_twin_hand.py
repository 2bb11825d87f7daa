"""The simulated hand's side of the protocol, without a network."""

import socket
import struct

import pytest
from franky_sim.franka_gripper_protocol import GripperCommand, GripperCommandStatus

from mail_sim.world.fci_server import HandRamp, TwinGripperServer

STEP_S = 0.001


class PerfectHand:
    """Fingers that are at once where they are told to be, down to an object between them."""

    def __init__(self) -> None:
        self.hand_width = 0.08
        self.object_width_m = 0.0
        self.force_n = 0.0

    def set_hand_goal(self, width: float, max_velocity: float, max_force: float) -> None:
        self.hand_width = max(width, self.object_width_m)
        self.force_n = max_force


class Bench:
    """A server without its ports, and the client's end of a connection."""

    def __init__(self) -> None:
        self.hand = PerfectHand()
        self.server = TwinGripperServer(self.hand, "127.0.0.1")
        self.client, self.theirs = socket.socketpair()
        self.client.setblocking(False)

    def run(self, duration_s: float) -> None:
        for _ in range(round(duration_s / STEP_S)):
            self.server._post_process_commands()

    def replies(self) -> list[tuple[GripperCommand, int, GripperCommandStatus]]:
        try:
            data = self.client.recv(4096)
        except BlockingIOError:
            return []
        return [
            (GripperCommand(command), number, GripperCommandStatus(status))
            for command, number, _, status in struct.iter_unpack("<HIIH", data)
        ]


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.client.close()
    bench.theirs.close()


def test_a_move_takes_the_time_of_its_speed_and_is_answered_at_rest(bench):
    bench.server.start_move(0.02, 0.03, 5, bench.theirs)
    bench.run(1.0)
    assert bench.hand.hand_width == pytest.approx(0.05, abs=1e-4)
    assert bench.replies() == []
    bench.run(1.2)
    assert bench.hand.hand_width == pytest.approx(0.02)
    assert bench.replies() == [(GripperCommand.kMove, 5, GripperCommandStatus.kSuccess)]


def test_slow_fingers_are_not_taken_for_fingers_that_have_stopped(bench):
    bench.server.start_move(0.07, 0.002, 5, bench.theirs)
    bench.run(4.9)
    assert bench.replies() == []
    bench.run(0.3)
    assert len(bench.replies()) == 1


def test_a_stop_answers_the_interrupted_command_and_itself(bench):
    bench.server.start_move(0.0, 0.02, 5, bench.theirs)
    bench.run(0.5)
    bench.server.stop(6, bench.theirs)
    assert bench.replies() == [
        (GripperCommand.kMove, 5, GripperCommandStatus.kAborted),
        (GripperCommand.kStop, 6, GripperCommandStatus.kSuccess),
    ]
    bench.run(1.0)
    assert bench.hand.hand_width == pytest.approx(0.07, abs=1e-3)
    assert bench.replies() == []


def test_a_second_command_takes_over_from_the_first(bench):
    bench.server.start_move(0.0, 0.02, 5, bench.theirs)
    bench.run(0.5)
    bench.server.start_move(0.08, 0.1, 6, bench.theirs)
    bench.run(0.5)
    assert bench.replies() == [
        (GripperCommand.kMove, 5, GripperCommandStatus.kAborted),
        (GripperCommand.kMove, 6, GripperCommandStatus.kSuccess),
    ]
    assert bench.hand.hand_width == pytest.approx(0.08)


@pytest.mark.parametrize(("width_m", "speed_m_s"), [(-0.001, 0.1), (0.081, 0.1), (0.04, 0.0)])
def test_what_no_hand_can_do_is_refused_and_nothing_moves(bench, width_m, speed_m_s):
    bench.server.start_move(width_m, speed_m_s, 5, bench.theirs)
    bench.server.start_grasp(width_m, speed_m_s, 30.0, 0.01, 0.01, 6, bench.theirs)
    bench.run(1.0)
    assert [(number, status) for _, number, status in bench.replies()] == [
        (5, GripperCommandStatus.kFail),
        (6, GripperCommandStatus.kFail),
    ]
    assert bench.hand.hand_width == 0.08


@pytest.mark.parametrize(
    ("object_width_m", "status"),
    [(0.04, GripperCommandStatus.kSuccess), (0.06, GripperCommandStatus.kFail)],
)
def test_a_grasp_succeeds_on_an_object_of_the_expected_width(bench, object_width_m, status):
    bench.hand.object_width_m = object_width_m
    bench.server.start_grasp(0.03, 0.1, 25.0, 0.005, 0.015, 5, bench.theirs)
    bench.run(1.0)
    assert bench.replies() == [(GripperCommand.kGrasp, 5, status)]
    assert bench.hand.force_n == 25.0


def test_a_client_that_leaves_takes_its_command_with_it(bench):
    bench.server.start_move(0.0, 0.1, 5, bench.theirs)
    bench.server.reset_state()
    bench.run(2.0)
    assert bench.replies() == []


def test_no_hand_is_faster_than_the_real_one():
    ramp = HandRamp(0.08, 0.0, speed_m_s=1.0, force_n=30.0)
    width_m, has_arrived = ramp.advance(0.1)
    assert width_m == pytest.approx(0.07)
    assert not has_arrived
