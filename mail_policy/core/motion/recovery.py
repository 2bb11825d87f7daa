"""A recovery from an error of the robot: asked once, believed after two clean readings."""

from mail_policy.core.motion.values import Command
from mail_policy.core.types import ArmReading

_LONGEST_S = 2.0
_CLEAN_READINGS = 2


class Recovery:
    """One attempt, from the operator's request to its answer.

    Args:
        command: The request.
    """

    def __init__(self, command: Command) -> None:
        self.command = command
        self._until_s: float | None = None
        self._clean_readings = 0

    def update(
        self, robot_agreed: bool | None, reading: ArmReading | None, now_s: float
    ) -> str | None:
        """Take what is known in this tick.

        Args:
            robot_agreed: The robot's answer if it came in this tick.
            reading: The state of the arm.
            now_s: Current time [s].

        Returns:
            None while it is under way, "" when the arm has recovered, otherwise why it has not.
        """
        errors = ", ".join(reading.errors) if reading else "no link"
        if robot_agreed is False:
            return f"the robot refused to recover: {errors or 'no reason given'}"
        if robot_agreed:
            self._until_s = now_s + _LONGEST_S
        if self._until_s is None:
            return None
        clean = reading is not None and not reading.errors and reading.mode in ("idle", "move")
        self._clean_readings = self._clean_readings + 1 if clean else 0
        if self._clean_readings >= _CLEAN_READINGS:
            return ""
        return f"the robot still reports {errors}" if now_s > self._until_s else None
