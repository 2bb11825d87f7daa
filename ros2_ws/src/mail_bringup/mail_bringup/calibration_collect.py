"""Collects views of the board: the arm at rest, the picture sharp, both of the same instant."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from calibration.board import BoardDetector
from calibration.view_quality import view_problem
from calibration.views import ViewFolder
from mail_bringup.calibration_drive import REST_S, ArmDrive
from mail_bringup.calibration_motion import StraightWay
from mail_bringup.calibration_records import Picture
from mail_policy.core.frames import Array

if TYPE_CHECKING:
    from mail_bringup.calibration_node import CalibrationLink
    from mail_bringup.operator_console import OperatorConsole
    from mail_bringup.operator_node import Operator

# Well below the limits of launch/config/arm.yaml: pictures wait for standstill anyway.
SPEED_RAD_S = 0.4
# A stored view counts as taken at a planned posture within this distance [rad].
_SAME_RAD = 0.02
_PICTURE_LIMIT_S = 30.0
# Longest way between two postures, with standstill and pictures [s].
_LONGEST_STEP_S = 30.0
_TAKE_KEYS, _END_KEYS = (" ", "\n", "\r"), ("q", "Q")


class Collector:
    """Adds views to a folder.

    Args:
        operator: Connected to the stack.
        link: Calibration's topics of the same stack.
        folder: Where views go.
        say: Tells the person what happens.
    """

    def __init__(
        self,
        operator: "Operator",
        link: "CalibrationLink",
        folder: ViewFolder,
        say: Callable[[str], None],
    ) -> None:
        self._operator, self._link, self._folder, self._say = operator, link, folder, say
        self._detector = BoardDetector(folder.session.board)

    def drive(self, postures: Array, wants_stop: Callable[[], bool]) -> None:
        """Visit postures [rad] (n, 7) and take a view at each that has none yet.

        Raises:
            CalibrationStopError: The arm stopped; the same call goes on later.
        """
        left = self.untaken(postures)
        self._say(f"{len(left)} of {len(postures)} views are to be taken; any key stops the arm")
        if not left:
            return
        longest_s = _LONGEST_STEP_S * len(left)
        with ArmDrive(self._operator, self._link, longest_s, wants_stop) as drive:
            for number, posture in enumerate(left, start=1):
                drive.follow(StraightWay(drive.commanded_position(), posture, SPEED_RAD_S))
                self._say(f"{number} of {len(left)}: {self.take()}")

    def guide(self, console: "OperatorConsole") -> None:
        """Take a view whenever the person who moves the arm presses a key."""
        self._say("move the arm, then press space for a view; q ends")
        with console.keys():
            while (key := console.key()) not in _END_KEYS:
                if key in _TAKE_KEYS:
                    self._say(self.take())
                self._operator.wait_until(lambda: False, 0.05)

    def untaken(self, postures: Array) -> list[Array]:
        """Return the postures [rad] without a view, in order."""
        taken = [np.array(view.joint_positions) for view in self._folder.views]
        return [
            posture
            for posture in postures
            if not any(np.abs(posture - there).max() < _SAME_RAD for there in taken)
        ]

    def take(self) -> str:
        """Take a view now if it is a good one; say what came of it."""
        asked_at_s = self._link.joints.newest_s
        picture = self._picture_after(asked_at_s)
        if picture is None:
            return "no view: no picture comes from the camera; see mailctl status"
        captured_at_s = picture.captured_at_s
        self._operator.wait_until(
            lambda: self._link.joints.newest_s > captured_at_s, _PICTURE_LIMIT_S
        )
        if not self._link.joints.is_at_rest(captured_at_s - REST_S, captured_at_s):
            return "no view: the arm is not at rest; let it stand for half a second"
        problem = view_problem(picture.image, self._detector)
        if problem:
            return f"no view: {problem}"
        view = self._folder.add(picture.image, self._link.joints.at(captured_at_s))
        return f"view {view.picture}"

    def _picture_after(self, time_s: float) -> Picture | None:
        def newer() -> Sequence[Picture]:
            return [p for p in self._link.album.pictures() if p.captured_at_s >= time_s]

        self._operator.wait_until(lambda: bool(newer()), _PICTURE_LIMIT_S)
        return next(iter(newer()), None)
