"""A second Franka arm that a person guides by hand; it is only read, never moved."""

import threading
import time
from typing import Any, Self

import franky
import numpy as np

from mail_teleop.config import LeaderArmConfig
from mail_teleop.device import TeleopError
from mail_teleop.readings import DeviceReading

# Plain RuntimeErrors come from the network layer.
_FAULTS = (franky.Exception, RuntimeError)
# The robot has a state every millisecond; commands need one in 20.
_PERIOD_S = 0.01


class LeaderArm:
    """Reads the joints of the leader; its guiding buttons are the dead-man switch.

    Args:
        config: Address and signs.
    """

    def __init__(self, config: LeaderArmConfig) -> None:
        self._config = config
        self._robot: Any = None
        self._due_s = float("-inf")
        self._signs = np.array(config.joint_signs, dtype=np.float64)

    def __enter__(self) -> Self:
        self._robot = self._connect()
        return self

    def __exit__(self, *error: object) -> None:
        self._robot = None

    def read(self, timeout_s: float) -> DeviceReading:
        """Wait for the next period or so long [s], and return the leader's joints.

        A dead link is told by the library after one second. Until then nothing is read, and the
        arm that follows stops by that silence.
        """
        time.sleep(min(timeout_s, max(0.0, self._due_s - time.monotonic())))
        self._due_s = time.monotonic() + _PERIOD_S
        state = self._state()
        return DeviceReading(
            dead_man=state.robot_mode == franky.RobotMode.Guiding,
            joint_positions=self._signs * np.asarray(state.q, dtype=np.float64),
        )

    def _state(self) -> Any:
        if self._robot is None:
            raise TeleopError("the leader is not open")
        try:
            return self._robot.state
        except _FAULTS as error:
            raise TeleopError(self._explain(error)) from error

    def _connect(self) -> Any:
        """Connect in a thread, because a robot that is taken never answers."""
        result: list[Any] = []
        failure: list[BaseException] = []

        def work() -> None:
            try:
                # A leader that is only read needs no real-time kernel.
                realtime = franky.RealtimeConfig.Ignore
                result.append(franky.Robot(self._config.address, realtime_config=realtime))
            except _FAULTS as error:
                failure.append(error)

        worker = threading.Thread(target=work, name="connect to the leader", daemon=True)
        worker.start()
        worker.join(self._config.connect_timeout_s)
        if failure:
            raise TeleopError(self._explain(failure[0])) from failure[0]
        if not result:
            raise TeleopError(
                f"the leader at {self._config.address} did not answer within "
                f"{self._config.connect_timeout_s} s; does another program use it?"
            )
        return result[0]

    def _explain(self, error: BaseException) -> str:
        text = " ".join(str(error).split())
        return (
            f"no link to the leader at {self._config.address}: {text}; check cable and address, "
            "and that FCI is active in its Desk"
        )
