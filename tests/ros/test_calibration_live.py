"""Calibration beside a running stack: views are collected and delays found, as on a robot."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from calibration.board import BoardConfig, BoardDetector
from calibration.latency_motions import Chirp
from calibration.views import ViewFolder, ViewSession
from mail_bringup.calibration_collect import Collector
from mail_bringup.calibration_drive import ArmDrive, CalibrationStopError
from mail_bringup.calibration_latency import LatencyStation, latency_of
from mail_bringup.calibration_motion import StraightWay
from mail_bringup.calibration_node import CalibrationLink
from mail_bringup.operator_node import Operator
from mail_policy.core.frames import Array
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from tests.system.running_stack import Stack

START_LIMIT_S = 150.0
LIMIT_S = 0.005
POSTURES = HOME_JOINT_POSITIONS + np.array(
    [[0.1, 0.0, 0.0, 0.0, 0.0, 0.1, 0.0], [0.1, -0.1, 0.0, 0.0, 0.0, 0.1, 0.2]]
)

# The machine may be slow: shorter than what an operator gets.
SHORT_MOTION = Chirp(amplitude=0.04, duration_s=6.0, fade_s=1.5)

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def operator() -> Iterator[Operator]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("ROS_DOMAIN_ID", raising=False)  # each stack claims its own
        stack = Stack("calibrate", "use_description:=false")
        try:
            with Operator(domain_id=stack.domain_id(), use_sim_time=True, name="tester") as found:

                def is_home() -> bool:
                    assert stack.popen.poll() is None, stack.text
                    arm = found.arm_state
                    return arm is not None and (arm.state, arm.cause) == ("ready", "at home")

                assert found.wait_until(is_home, START_LIMIT_S), stack.text
                yield found
        finally:
            assert stack.end() == 0, stack.text


@pytest.fixture(scope="module")
def link(operator: Operator) -> CalibrationLink:
    link = CalibrationLink(operator.node, operator.time_s, "wrist")
    assert operator.wait_until(link.sees, 30.0)
    return link


def session(link: CalibrationLink) -> ViewSession:
    return ViewSession(
        robot="sim", camera="wrist", serial=link.serial, parent_frame="tcp", board=BoardConfig()
    )


def never() -> bool:
    return False


def test_postures_are_visited_and_views_stored_where_the_arm_stood(operator, link, tmp_path: Path):
    said: list[str] = []
    folder = ViewFolder.open_or_create(tmp_path / "views", session(link))
    collector = Collector(operator, link, folder, said.append)
    collector.drive(POSTURES[:1], never)
    assert [len(folder.views), len(collector.untaken(POSTURES))] == [1, 1], said
    # A second run goes on where the first one ended.
    collector.drive(POSTURES, never)
    again = ViewFolder(tmp_path / "views")
    assert len(again.views) == 2, said
    for view, posture in zip(again.views, POSTURES, strict=True):
        assert np.abs(np.array(view.joint_positions) - posture).max() < 0.01
        assert BoardDetector(BoardConfig()).detect(again.image(view)) is not None
    assert operator.arm_state.state == "ready"


def lag_by_phase_s(commanded: Array, measured: Array, times_s: Array) -> float:
    """Find the delay in another way: the slope of the phase between both spectra."""
    even_s = np.arange(times_s[0], times_s[-1], 0.01)
    spectra = [
        np.fft.rfft(np.interp(even_s, times_s, x - x.mean()) * np.hanning(len(even_s)))
        for x in (commanded, measured)
    ]
    hz = np.fft.rfftfreq(len(even_s), 0.01)
    cross = spectra[0] * np.conj(spectra[1])
    used = (hz > 0.3) & (hz < 0.9)
    weights = np.abs(cross[used])
    omega = 2.0 * np.pi * hz[used]
    return float(np.sum(weights * omega * np.angle(cross[used])) / np.sum(weights * omega * omega))


def test_delays_of_arm_and_camera_are_those_of_the_twin(operator, link):
    station = LatencyStation(operator, link, never, SHORT_MOTION)
    camera = station.measure("wrist")
    # The twin stamps pictures with the instant that they show.
    seen = latency_of(camera)
    assert seen.latency_s == pytest.approx(0.0, abs=LIMIT_S)
    arm = station.measure("arm")
    estimate = latency_of(arm)
    times_s = arm.measured.times_s
    inside = (times_s > arm.reference.times_s[0]) & (times_s < arm.reference.times_s[-1])
    truth_s = lag_by_phase_s(
        arm.reference.at(times_s[inside]), arm.measured.values[inside], times_s[inside]
    )
    assert estimate.latency_s == pytest.approx(truth_s, abs=LIMIT_S)
    assert 0.0 < estimate.latency_s < 0.2


def test_a_key_stops_the_arm_and_it_stays_ready(operator, link):
    pressed = threading.Event()
    threading.Timer(1.5, pressed.set).start()
    with (
        pytest.raises(CalibrationStopError, match="stopped by a key"),
        ArmDrive(operator, link, 60.0, pressed.is_set) as drive,
    ):
        drive.follow(StraightWay(drive.commanded_position(), POSTURES[1] + 0.3, 0.05))
    assert operator.wait_until(lambda: operator.arm_state.state == "ready", 10.0)
