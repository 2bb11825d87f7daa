"""The pure parts of the twin: pacing, waiting for pictures, messages, addresses."""

import socket

import pytest

from mail_sim.clock_pacer import ClockPacer
from mail_sim.twin import Twin, TwinConfig, TwinError
from mail_sim.world.address import AddressError, busy_port, find_free_address, require_free
from mail_sim.world.graphics import GraphicsError
from mail_sim.world.process_channel import Channel, ChannelClosedError
from mail_sim.world.render_gate import RenderGate, RenderGateConfig

GATE = RenderGateConfig(max_lag=1, step_limit_s=0.02, patience_s=2.0)


def test_the_physics_does_not_wait_for_a_renderer_that_keeps_up():
    gate = RenderGate(GATE)
    assert not any(gate.must_wait(lag, 0.0, 0.0) for lag in (0, 1))


def test_the_physics_waits_for_a_renderer_that_is_behind_but_not_long_in_one_step():
    gate = RenderGate(GATE)
    assert gate.must_wait(2, step_began_s=10.0, now_s=10.0)
    assert gate.must_wait(2, step_began_s=10.0, now_s=10.019)
    assert not gate.must_wait(2, step_began_s=10.0, now_s=10.021)
    assert gate.must_wait(2, step_began_s=10.021, now_s=10.022)


def test_the_physics_gives_a_stuck_renderer_up_until_it_has_caught_up():
    gate = RenderGate(GATE)
    assert gate.must_wait(2, 0.0, 0.0)
    assert not gate.must_wait(2, 2.001, 2.001)
    assert not gate.must_wait(9, 60.0, 60.0)
    assert not gate.must_wait(1, 61.0, 61.0)
    assert gate.must_wait(2, 62.0, 62.0)


@pytest.mark.parametrize(
    ("field", "value"), [("max_lag", 0), ("step_limit_s", 0.5), ("patience_s", 0.0)]
)
def test_a_gate_that_could_cut_the_client_off_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        RenderGateConfig(**{field: value})


def test_the_clock_is_published_at_its_rate_of_simulated_time():
    pacer = ClockPacer(rate_hz=200.0)
    published = [ms for ms in range(100, 151) if pacer.is_due(ms / 1000)]
    assert published == list(range(100, 151, 5))


def test_a_clock_that_stands_still_is_not_published_again():
    pacer = ClockPacer(rate_hz=200.0)
    assert pacer.is_due(1.0)
    assert not any(pacer.is_due(1.0) for _ in range(10))


@pytest.fixture
def channels():
    ours, theirs = socket.socketpair()
    channels = Channel(ours), Channel(theirs)
    yield channels
    for channel in channels:
        channel.close()


def test_messages_arrive_whole_and_in_order(channels):
    ours, theirs = channels
    assert theirs.poll() is None
    ours.send({"command": "first", "text": "x" * 100_000})
    ours.send({"command": "second"})
    assert theirs.receive(1.0)["text"] == "x" * 100_000
    assert theirs.poll() == {"command": "second"}
    assert theirs.poll() is None


def test_waiting_for_a_message_that_does_not_come_has_a_limit(channels):
    assert channels[0].receive(0.01) is None


def test_the_end_of_the_other_side_is_noticed(channels):
    ours, theirs = channels
    ours.close()
    with pytest.raises(ChannelClosedError):
        theirs.poll()


def test_free_addresses_differ_and_can_be_bound():
    first, second = find_free_address(), find_free_address()
    assert first != second
    assert busy_port(first) is None


def test_a_busy_port_is_refused_with_the_remedy():
    address = find_free_address()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind((address, 1338))
        other.listen()
        with pytest.raises(AddressError, match=rf"{address}: port 1338 is in use.*robot_ip:="):
            require_free(address)
        with pytest.raises(TwinError, match="port 1338 is in use"):
            Twin(address, "test").__enter__()


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(AddressError, match="use an address of this machine"):
        require_free("192.0.2.1")


def test_a_machine_that_cannot_render_is_refused_before_a_process_starts(monkeypatch):
    def refuse() -> None:
        raise GraphicsError("install it with: apt install libegl1")

    monkeypatch.setattr("mail_sim.twin.require_graphics", refuse)
    monkeypatch.setattr("mail_sim.child_process.subprocess.Popen", None)
    with pytest.raises(TwinError, match="apt install libegl1"):
        Twin(find_free_address(), "test", TwinConfig()).__enter__()
