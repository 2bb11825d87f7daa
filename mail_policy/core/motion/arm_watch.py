"""What the arm itself says: link, mode, errors, control, a hand on it."""

import numpy as np

from mail_policy.core.motion.config import WatchdogConfig
from mail_policy.core.motion.status import ArmStatus, Verdict
from mail_policy.core.motion.values import MotionInputs, MotionState
from mail_policy.core.motion.watchdogs import Lasting
from mail_policy.core.types import ArmReading

_S = MotionState
_BY_MODE = {
    "user_stopped": (_S.USER_STOP, "the user stop is pressed"),
    "guiding": (_S.GUIDING, "the arm is guided by hand"),
}
_HANDS_OFF = {_S.USER_STOP, _S.GUIDING}
# How long a motion may take to start [s].
_START_S = 1.0


class ArmWatch:
    """Turns readings into changes of state.

    Args:
        config: How long each source may misbehave.
    """

    def __init__(self, config: WatchdogConfig) -> None:
        self._config = config
        self._starved = Lasting(config.success_rate_s)
        self._hand = Lasting(config.hand_s)
        self._was_in_control = False
        self.hand_on_arm = False

    def judge(self, status: ArmStatus, inputs: MotionInputs, now_s: float) -> Verdict | None:
        """Return the state to enter and why, None to stay."""
        if status.state in (_S.ESTOP, _S.SHUTDOWN):
            return None
        reading = inputs.reading
        if not status.is_controlled:
            self._was_in_control = False
        if reading is None:
            return self._judge_silence(status, inputs.arm_fault or "no reading from the arm")
        if reading.mode in _BY_MODE:
            state, cause = _BY_MODE[reading.mode]
            return None if status.state is state else (state, cause)
        if status.state in _HANDS_OFF:
            return _S.IDLE, "released; arm again to go on"
        if status.state is _S.OFFLINE:
            return _S.IDLE, "connected"
        if reading.errors or reading.mode == "reflex":
            names = ", ".join(reading.errors) or "no error named"
            reflex = f"the robot stopped by reflex: {names}"
            # The robot may leave control a moment before it says why.
            named = status.state is _S.FAULT and (status.cause == reflex or not reading.errors)
            return None if named else (_S.FAULT, reflex)
        if status.state is _S.FAULT:
            return None
        if not status.is_controlled:
            return None
        if inputs.arm_fault:
            return _S.FAULT, inputs.arm_fault
        return self._judge_motion(status, reading, now_s)

    def _judge_silence(self, status: ArmStatus, cause: str) -> Verdict | None:
        if status.state in (_S.OFFLINE, _S.FAULT):
            return None
        if status.is_controlled:
            return _S.FAULT, cause
        return _S.OFFLINE, cause

    def _judge_motion(self, status: ArmStatus, reading: ArmReading, now_s: float) -> Verdict | None:
        self._was_in_control |= reading.in_control
        late = now_s - status.entered_at_s > _START_S
        if not reading.in_control and (self._was_in_control or late):
            return _S.FAULT, f"the arm left control, robot mode is {reading.mode}"
        poor = 0.0 < reading.success_rate < self._config.min_success_rate
        if self._starved.update(poor, now_s) and status.state is not _S.STOPPED:
            rate = f"{reading.success_rate:.2f}, limit is {self._config.min_success_rate}"
            return _S.STOPPED, f"control success rate is {rate}"
        pressed = int(np.sum(np.abs(reading.external_torques) > self._config.hand_torque_nm))
        self.hand_on_arm = self._hand.update(pressed >= 2, now_s)
        if self.hand_on_arm and status.state is _S.POLICY:
            return _S.HOLD, "a hand seems to be on the arm"
        return None
