"""Changes of state, and what they do to the motion at once."""

from mail_policy.core.motion.generator import SetPointGenerator
from mail_policy.core.motion.status import ArmStatus, Verdict
from mail_policy.core.motion.values import MotionState

# The arm brakes on its way into these.
_BRAKED = frozenset(
    {MotionState.READY, MotionState.HOLD, MotionState.STOPPED, MotionState.SHUTDOWN}
)


class Governor:
    """Ties the state of the arm to its motion, so that no stop forgets to brake.

    Args:
        status: State, cause and lease.
        generator: Makes the set-points.
    """

    def __init__(self, status: ArmStatus, generator: SetPointGenerator) -> None:
        self.status = status
        self.generator = generator
        self.hard_stop = False

    def begin_tick(self) -> None:
        """Forget the hard stop that the last tick asked for."""
        self.hard_stop = False

    def enter(self, state: MotionState, cause: str, now_s: float) -> None:
        """Change the state; what moves brakes, or brakes hard."""
        if state in _BRAKED:
            self.generator.brake()
        self.hard_stop |= state is MotionState.ESTOP
        self.status.enter(state, cause, now_s)

    def take(self, verdict: Verdict | None, now_s: float) -> None:
        """Enter the state that a watch asks for, if it asks for one."""
        if verdict is not None:
            self.enter(*verdict, now_s)
