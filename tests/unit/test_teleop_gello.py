"""The GELLO: the vendor's library on a bus of motors behind a pseudo terminal."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_policy.core.robot_limits import FER_JOINT_LIMITS
from mail_teleop.device import TeleopError
from mail_teleop.gello_angles import TICKS_PER_TURN, GelloAngles, GelloConfig
from mail_teleop.gello_driver import Gello
from tests.ros.pty_dynamixel import PtyDynamixel
from tests.unit.test_teleop_contract import read_often, read_until

IDS = [11, 12, 13, 14, 15, 16, 17]
TRIGGER = 8
SIGNS = (1, -1, 1, 1, 1, -1, 1)
OFFSETS_RAD = (0.1, -0.2, 0.3, 3.0, 0.0, -6.2, 1.0)
HOME = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
# Long, because a busy machine must not look like a lost packet.
ANSWER_S = 0.3


@pytest.fixture
def bus() -> Iterator[PtyDynamixel]:
    with PtyDynamixel([*IDS, TRIGGER]) as bus:
        hold_pose(bus, HOME)
        yield bus


def hold_pose(bus: PtyDynamixel, joint_positions: np.ndarray) -> None:
    """Turn the motors so that signs and offsets give these joints [rad]."""
    for motor, joint, sign, offset in zip(IDS, joint_positions, SIGNS, OFFSETS_RAD, strict=True):
        bus.ticks[motor] = round(sign * (joint + offset) / (2 * np.pi) * TICKS_PER_TURN)


def make(bus: PtyDynamixel, **changes: object) -> Gello:
    settings: dict[str, object] = {
        "port": bus.path,
        "joint_ids": tuple(IDS),
        "joint_signs": SIGNS,
        "joint_offsets_rad": OFFSETS_RAD,
        "trigger_id": TRIGGER,
        "trigger_open_rad": 0.0,
        "trigger_closed_rad": 0.7,
        "answer_s": ANSWER_S,
    }
    return Gello(GelloConfig(**(settings | changes)))  # type: ignore[arg-type]


def joints(gello: Gello) -> np.ndarray:
    reading = read_until(gello, lambda reading: reading.joint_positions is not None)
    assert reading.joint_positions is not None
    return reading.joint_positions


def test_signs_and_offsets_give_the_pose_of_the_robot(bus: PtyDynamixel) -> None:
    with make(bus) as gello:
        np.testing.assert_allclose(joints(gello), HOME, atol=0.001)
        hold_pose(bus, HOME + 0.2)
        np.testing.assert_allclose(joints(gello), HOME + 0.2, atol=0.001)


def test_a_motor_that_woke_up_in_another_turn_gives_the_same_pose(bus: PtyDynamixel) -> None:
    for motor in IDS:
        bus.ticks[motor] %= TICKS_PER_TURN
    with make(bus) as gello:
        np.testing.assert_allclose(joints(gello), HOME, atol=0.001)


def test_a_wrap_while_reading_is_no_jump(bus: PtyDynamixel) -> None:
    with make(bus) as gello:
        before = joints(gello)
        bus.ticks[IDS[0]] -= TICKS_PER_TURN
        bus.ticks[IDS[3]] += 3 * TICKS_PER_TURN
        np.testing.assert_allclose(joints(gello), before, atol=1e-9)


def test_positions_whose_bytes_look_like_a_header_arrive(bus: PtyDynamixel) -> None:
    # FF FF FD FF on the wire: the protocol stuffs a byte.
    bus.ticks[IDS[2]] = -131073
    angle_rad = -131073 / TICKS_PER_TURN * 2 * np.pi - OFFSETS_RAD[2]
    with make(bus) as gello:
        difference_rad = joints(gello)[2] - angle_rad
    assert difference_rad / (2 * np.pi) == pytest.approx(round(difference_rad / (2 * np.pi)))


def test_the_trigger_asks_for_the_gripper(bus: PtyDynamixel) -> None:
    with make(bus) as gello:
        for squeezed_rad, width_m in ((0.0, 0.08), (0.35, 0.04), (0.7, 0.0), (0.9, 0.0)):
            bus.ticks[TRIGGER] = round(squeezed_rad / (2 * np.pi) * TICKS_PER_TURN)
            reading = gello.read(0.0)
            assert reading is not None
            assert reading.trigger_width_m == pytest.approx(width_m, abs=2e-4)
            assert not reading.dead_man


@pytest.mark.fault("F45", bound="a lost or damaged answer is never a joint position")
@pytest.mark.parametrize("fault", ["silent", "corrupting"])
def test_a_lost_or_damaged_answer_is_no_reading_and_heals(bus: PtyDynamixel, fault: str) -> None:
    with make(bus, answer_s=0.05, lost_s=60.0) as gello:
        joints(gello)
        motors: set[int] = getattr(bus, fault)
        motors.add(IDS[3])
        asked = bus.exchanges
        for _ in range(3):
            assert gello.read(0.0) is None
        assert bus.exchanges >= asked + 3
        motors.clear()
        np.testing.assert_allclose(joints(gello), HOME, atol=0.001)


def test_noise_before_the_answers_is_skipped(bus: PtyDynamixel) -> None:
    bus.noise = b"\x00\xff\xff\x55"
    with make(bus) as gello:
        np.testing.assert_allclose(joints(gello), HOME, atol=0.001)


@pytest.mark.fault("F44", bound="motors that fall silent are a lost device")
def test_motors_without_power_are_a_lost_device(bus: PtyDynamixel) -> None:
    with make(bus, answer_s=0.02, lost_s=0.05) as gello:
        joints(gello)
        bus.silent |= set(bus.ticks)
        with pytest.raises(TeleopError, match="check its power"):
            read_often(gello)


def test_missing_motors_are_named_when_it_is_opened(bus: PtyDynamixel) -> None:
    bus.silent |= {12, 16}
    with pytest.raises(TeleopError, match=r"motors 12, 16 .* do not answer at 57600 baud"):
        make(bus, answer_s=0.05).__enter__()


def test_a_missing_port_is_refused_with_the_remedy(tmp_path: Path) -> None:
    gello = Gello(GelloConfig(port=str(tmp_path / "ttyUSB0")))
    with pytest.raises(TeleopError, match="dialout"):
        gello.__enter__()


# The adapter's latency timer.


@pytest.fixture
def adapter(bus: PtyDynamixel, tmp_path: Path) -> Path:
    timer = tmp_path / Path(bus.path).name / "latency_timer"
    timer.parent.mkdir()
    timer.write_text("16\n")
    return timer


def test_the_adapter_hands_on_after_one_millisecond(
    bus: PtyDynamixel, adapter: Path, tmp_path: Path
) -> None:
    config = GelloConfig(port=bus.path, joint_ids=tuple(IDS), answer_s=ANSWER_S)
    with Gello(config, usb_serial=tmp_path):
        assert adapter.read_text() == "1"


def test_an_adapter_that_may_not_be_set_is_explained(
    bus: PtyDynamixel,
    adapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(path: Path, text: str) -> int:
        raise PermissionError

    # Root may write everywhere.
    monkeypatch.setattr(Path, "write_text", refuse)
    config = GelloConfig(port=bus.path, joint_ids=tuple(IDS), answer_s=ANSWER_S)
    with caplog.at_level(logging.WARNING), Gello(config, usb_serial=tmp_path):
        pass
    assert "16 ms" in caplog.text
    assert f"tee {adapter}" in caplog.text


# The angles.

LOWER, UPPER = FER_JOINT_LIMITS.lower, FER_JOINT_LIMITS.upper


@given(
    shares=st.lists(st.floats(0.0, 1.0), min_size=7, max_size=7),
    turns=st.lists(st.integers(-3, 3), min_size=7, max_size=7),
)
def test_every_pose_of_the_robot_is_found_in_every_turn(
    shares: list[float], turns: list[int]
) -> None:
    pose = LOWER + np.array(shares) * (UPPER - LOWER)
    config = GelloConfig(port="", joint_signs=SIGNS, joint_offsets_rad=OFFSETS_RAD)
    ticks = np.array(SIGNS) * (pose + OFFSETS_RAD) / (2 * np.pi) * TICKS_PER_TURN
    seen = [round(t) + turn * TICKS_PER_TURN for t, turn in zip(ticks, turns, strict=True)]
    np.testing.assert_allclose(GelloAngles(config).joint_positions(seen), pose, atol=0.001)
