"""Connects to a lost arm again, away from the control loop, which must go on answering."""

import logging
import threading

from mail_policy.core.devices import Arm, ArmError

_LOGGER = logging.getLogger(__name__)
_STOP_S = 1.0


class Reconnection:
    """Tries until it succeeds. Nobody else may use the arm before `is_done`.

    Args:
        arm: The arm whose link is lost.
        period_s: Time between two attempts [s].
    """

    def __init__(self, arm: Arm, period_s: float) -> None:
        self._arm = arm
        self._period_s = period_s
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconnection", daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether the arm is connected."""
        return self._connected.is_set()

    def stop(self) -> None:
        """Give up."""
        self._stopping.set()
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        said = ""
        while not self._stopping.wait(self._period_s):
            try:
                self._arm.__exit__(None, None, None)
                self._arm.__enter__()
            except ArmError as error:
                if str(error) != said:
                    said = str(error)
                    _LOGGER.warning("no link yet: %s", said)
                continue
            self._connected.set()
            return
