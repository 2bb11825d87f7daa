"""Measures delays on a running stack, with small motions around where the arm stands."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from calibration.latency import LatencyConfig, LatencyEstimate, Signal, estimate_latency
from calibration.latency_motions import Chirp, WidthCommand, commanded_width
from calibration.latency_pictures import picture_motion
from calibration.results import LatencyResult
from mail_bringup.calibration_drive import ArmDrive, CalibrationStopError
from mail_bringup.calibration_motion import ChirpWay

if TYPE_CHECKING:
    from mail_bringup.calibration_node import CalibrationLink
    from mail_bringup.operator_node import Operator

ARM, GRIPPER = "arm", "gripper"
# 2 cm to each side at the hand, at most 0.15 m/s.
MOTION = Chirp(amplitude=0.04)
# The first joint turns hand and camera past everything that stands on the table.
_JOINT = 0
_BEFORE_S, _AFTER_S = 1.0, 1.0
_LEASE_S = 60.0
_SAMPLE_S = 0.01
_PICTURE_WIDTH_PX = 320
_HAND_SPEED_M_S = 0.1
_HAND_WIDTHS_M = (0.02, 0.07, 0.04, 0.06, 0.01, 0.05, 0.03, 0.08)
# Uneven, so that no shift fits all of them.
_HAND_PAUSES_S = (0.4, 0.9, 0.6, 1.1, 0.5, 0.8)
_OPEN_HAND_M = 0.06
_ANSWER_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What was recorded, and what it is.

    Attributes:
        reference: What the delay counts from.
        measured: What is late.
        config: How to compare them.
        meaning: What the reference is, in words.
    """

    reference: Signal
    measured: Signal
    config: LatencyConfig
    meaning: str


class LatencyStation:
    """Makes motions and records them.

    Args:
        operator: Connected to the stack.
        link: Calibration's topics of the same stack.
        wants_stop: Asked all the time; once it says so, the arm stops.
        motion: How the arm swings [rad].
    """

    def __init__(
        self,
        operator: "Operator",
        link: "CalibrationLink",
        wants_stop: Callable[[], bool],
        motion: Chirp = MOTION,
    ) -> None:
        self._operator, self._link, self._wants_stop = operator, link, wants_stop
        self._motion = motion

    def measure(self, subject: str) -> Measurement:
        """Record what is needed for a subject: `arm`, `gripper`, or a camera's name.

        Raises:
            CalibrationStopError: The motion did not take place.
        """
        if subject == GRIPPER:
            return self._measure_hand()
        if subject == ARM:
            return self._measure_arm()
        return self._measure_camera()

    def _measure_arm(self) -> Measurement:
        commanded, began_s = self._swing()
        measured = self._link.joints.signal(_JOINT, began_s - _BEFORE_S)
        meaning = "time at which an action chunk wants the joint positions"
        return Measurement(commanded, measured, LatencyConfig(), meaning)

    def _measure_camera(self) -> Measurement:
        self._link.album.keep_all(_PICTURE_WIDTH_PX)
        try:
            _, began_s = self._swing()
            pictures = self._link.album.pictures()
        finally:
            self._link.album.keep_newest()
        if not pictures:
            raise CalibrationStopError("no picture came from the camera; see mailctl status")
        shown = picture_motion([picture.image for picture in pictures])
        measured = Signal(np.array([picture.captured_at_s for picture in pictures]), shown)
        moved = self._link.joints.signal(_JOINT, began_s - _BEFORE_S)
        meaning = "stamps of joint_states"
        return Measurement(moved, measured, LatencyConfig(either_sign=True), meaning)

    def _swing(self) -> tuple[Signal, float]:
        """Swing the arm; return the commanded positions [rad], and when they began [s]."""
        with ArmDrive(self._operator, self._link, _LEASE_S, self._wants_stop) as drive:
            drive.pause(_BEFORE_S)
            way = ChirpWay(drive.commanded_position(), _JOINT, self._motion)
            began_s = drive.follow(way)
            drive.pause(_AFTER_S)
            end_s = began_s + way.duration_s + _AFTER_S
            times_s = np.arange(began_s - _BEFORE_S, end_s, _SAMPLE_S)
            return Signal(times_s, drive.commanded(times_s)[:, _JOINT]), began_s

    def _measure_hand(self) -> Measurement:
        if not self._operator.wait_until(self._is_hand_open, _ANSWER_LIMIT_S):
            raise CalibrationStopError(
                f"the hand must be open by {_OPEN_HAND_M} m and hold nothing; open it, or arm and "
                "home the arm, which opens it"
            )
        start_m = float(self._link.width.since(-np.inf)[1][-1, 0])
        self._wait(_BEFORE_S)
        commands = tuple(
            self._command_hand(width_m, pause_s)
            for width_m, pause_s in zip(_HAND_WIDTHS_M, itertools.cycle(_HAND_PAUSES_S))
        )
        self._wait(_AFTER_S)
        reference = commanded_width(start_m, commands, self._operator.time_s())
        measured = self._link.width.signal(0, commands[0].sent_at_s - _BEFORE_S)
        meaning = "a hand that begins to move when it is commanded, at the commanded speed"
        return Measurement(reference, measured, LatencyConfig(), meaning)

    def _is_hand_open(self) -> bool:
        _, widths_m = self._link.width.since(-np.inf)
        return self._link.find_hand() and len(widths_m) > 0 and widths_m[-1, 0] > _OPEN_HAND_M

    def _command_hand(self, width_m: float, pause_s: float) -> WidthCommand:
        sent_at_s = self._operator.time_s()
        ask = self._link.send_width(width_m, _HAND_SPEED_M_S)
        if not self._operator.wait_until(lambda: ask() is not None, _ANSWER_LIMIT_S) or not ask():
            raise CalibrationStopError(
                f"the hand did not go to {width_m} m; is something between the fingers, or does "
                "the arm need the hand?"
            )
        self._wait(pause_s)
        return WidthCommand(sent_at_s, width_m, _HAND_SPEED_M_S)

    def _wait(self, duration_s: float) -> None:
        until_s = self._operator.time_s() + duration_s

        def is_over() -> bool:
            if self._wants_stop():
                raise CalibrationStopError("stopped by a key")
            return self._operator.time_s() >= until_s

        self._operator.wait_until(is_over, _ANSWER_LIMIT_S)


def latency_of(measurement: Measurement) -> LatencyEstimate:
    """Return the delay. Raises CalibrationError if it cannot be trusted."""
    return estimate_latency(measurement.reference, measurement.measured, measurement.config)


def result_of(
    estimate: LatencyEstimate, meaning: str, *, robot: str, subject: str, serial: str, tool: str
) -> LatencyResult:
    """Return a delay as a result to save.

    Args:
        estimate: The delay.
        meaning: What it counts from.
        robot: `sim`, `panda`, `fr3` or a lab's own name.
        subject: What is late.
        serial: Of the subject.
        tool: What measured it.
    """
    return LatencyResult(
        robot=robot,
        subject=subject,
        serial=serial,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        tool=tool,
        residuals={
            "standard_error_ms": 1e3 * estimate.standard_error_s,
            "rival_correlation": estimate.rival_correlation,
        },
        latency_s=estimate.latency_s,
        correlation=estimate.correlation,
        reference=meaning,
    )
