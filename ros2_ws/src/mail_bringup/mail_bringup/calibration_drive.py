"""Moves the arm for calibration, under the lease that a policy would need."""

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mail_bringup.calibration_motion import TASK, ChunkWriter, StraightWay, Way
from mail_policy.core.frames import Array
from mail_policy.core.motion.values import MotionState

if TYPE_CHECKING:
    from mail_bringup.calibration_node import CalibrationLink
    from mail_bringup.operator_node import Operator

_DISCOVERY_LIMIT_S = 20.0
_LEASE_LIMIT_S = 5.0
# On the robot's clock; a slow twin takes longer on ours.
_LATE_S = 10.0
_WALL_LIMIT_S = 300.0
REST_S = 0.5
_MOVING = (MotionState.POLICY, MotionState.HOLD)


class CalibrationStopError(RuntimeError):
    """The arm stopped before calibration had what it wanted. The text says why."""


class ArmDrive:
    """Leads the arm along ways while the context lasts, then brings it to rest.

    Every limit stays with the motion core, which gets chunks as from any policy. The operator made
    the arm ready before; whoever stops it, takes it over or ends this program ends the motion.

    Args:
        operator: Connected to the stack.
        link: Calibration's topics of the same stack.
        longest_s: The arm takes the lease away after this time [s].
        wants_stop: Asked all the time; once it says so, the arm stops.
    """

    def __init__(
        self,
        operator: "Operator",
        link: "CalibrationLink",
        longest_s: float,
        wants_stop: Callable[[], bool],
    ) -> None:
        self._operator, self._link = operator, link
        self._longest_s, self._wants_stop = longest_s, wants_stop
        self._epoch = 0

    def __enter__(self) -> Self:
        self._require_ready()
        if not self._link.offer_chunks():
            raise CalibrationStopError(
                "a policy offers action chunks; start the stack calibrate: mailctl up calibrate"
            )
        if not self._operator.wait_until(self._link.is_heard, _DISCOVERY_LIMIT_S):
            raise CalibrationStopError("the arm node does not listen; see mailctl status")
        self._epoch = self._operator.start(TASK, self._longest_s)
        self._writer = ChunkWriter(self._epoch)
        here = self.commanded_position()
        self._writer.begin(StraightWay(here, here, 1.0), self._operator.time_s())
        self._link.writer = self._writer
        if not self._operator.wait_until(self._has_lease, _LEASE_LIMIT_S):
            self.__exit__(None)
            raise CalibrationStopError(f"the arm does not move for calibration: {self._cause()}")
        return self

    def __exit__(self, *error: object) -> None:
        # Who stopped the arm before us decides when it goes on.
        if self._has_lease():
            # Without our chunks the arm stops by itself; why we leave matters more.
            with contextlib.suppress(*([RuntimeError] if error[0] is not None else [])):
                self._operator.come_to_rest()
        self._link.writer = None

    def commanded_position(self) -> Array:
        """Return the joint positions that the arm is commanded to hold [rad], shape (7,)."""
        return np.array(self._arm.set_point)

    def follow(self, way: Way) -> float:
        """Lead the arm along a way and wait until it rests at its end.

        Returns:
            When the way began [s].

        Raises:
            CalibrationStopError: Something or somebody stopped the arm.
        """
        began_s = self._operator.time_s()
        self._writer.begin(way, began_s)
        rested_at_s = began_s + way.duration_s + REST_S
        latest_s = rested_at_s + _LATE_S

        def has_arrived() -> bool:
            self._require_going(latest_s)
            newest_s = self._link.joints.newest_s
            return newest_s > rested_at_s and self._link.joints.is_at_rest(
                newest_s - REST_S, newest_s
            )

        if not self._operator.wait_until(has_arrived, _WALL_LIMIT_S):
            raise CalibrationStopError("the clock of the robot stands still; see mailctl status")
        return began_s

    def pause(self, duration_s: float) -> None:
        """Stay for a while [s]."""
        until_s = self._operator.time_s() + duration_s

        def is_over() -> bool:
            self._require_going(until_s + _LATE_S)
            return self._operator.time_s() >= until_s

        self._operator.wait_until(is_over, _WALL_LIMIT_S)

    def commanded(self, times_s: Array) -> Array:
        """Return what the last way commanded at times [s]: [rad], shape (n, 7)."""
        return self._writer.commanded(times_s)

    @property
    def _arm(self) -> Any:
        """The newest state of the arm; it was heard, since the arm was found ready."""
        return self._operator.arm_state

    def _require_ready(self) -> None:
        def speaks() -> bool:
            return self._operator.arm_state is not None and np.isfinite(self._link.joints.newest_s)

        if not self._operator.wait_until(speaks, _DISCOVERY_LIMIT_S):
            raise CalibrationStopError("the arm is silent; is the stack up? see mailctl status")
        if self._arm.state != MotionState.READY:
            raise CalibrationStopError(
                f"the arm is {self._arm.state!r}, expected 'ready'; allow it to move with: "
                "mailctl arm"
            )

    def _has_lease(self) -> bool:
        return self._arm.lease_epoch == self._epoch and self._arm.state in _MOVING

    def _require_going(self, latest_s: float) -> None:
        if self._wants_stop():
            raise CalibrationStopError("stopped by a key; start again to go on")
        if not self._has_lease():
            raise CalibrationStopError(f"the arm stopped: {self._cause()}")
        if self._operator.time_s() > latest_s:
            raise CalibrationStopError(
                f"the arm did not get where it should within {_LATE_S:.0f} s more than planned; "
                "is something in its way?"
            )

    def _cause(self) -> str:
        return f"it is {self._arm.state!r}, {self._arm.cause}"
