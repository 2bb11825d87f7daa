"""Who moves the arm, as the arm's own state tells: when a person takes over from the policy."""

from enum import StrEnum

from mail_policy.core.motion.status import POLICY_HOLDER, TELEOP_HOLDER

# An arm that says nothing for so long does not tell who moves it.
_LONGEST_STEP_S = 1.0
_SILENCE_LIMIT_NS = 2_000_000_000
# States in which a policy that was interrupted cannot go on any more.
_ENDING_STATES = frozenset(
    {"offline", "idle", "homing", "stopped", "fault", "user_stop", "guiding", "estop", "shutdown"}
)


class PersonCount:
    """Counts the takeovers of an episode, and how long a person moved the arm.

    Attributes:
        takeovers: How often a person took over from the policy.
        person_s: How long a person held the arm [s].

    Args:
        holder: Who had the arm before the first message.
    """

    def __init__(self, holder: str = "") -> None:
        self.takeovers = 0
        self.person_s = 0.0
        self._holder = holder
        self._at_ns = 0

    def add(self, holder: str, at_ns: int) -> None:
        """Take the holder of the arm's lease at a time [ns]."""
        if self._holder == TELEOP_HOLDER:
            self.person_s += min(max(0.0, (at_ns - self._at_ns) * 1e-9), _LONGEST_STEP_S)
        self.takeovers += is_takeover(self._holder, holder)
        self._holder, self._at_ns = holder, at_ns


class Turn(StrEnum):
    """What has just happened."""

    NOTHING = "nothing"
    TAKEN_OVER = "taken over"
    HANDED_BACK = "handed back"


class TakeoverWatch:
    """Tells when an intervention begins and when it ends.

    It ends when the policy has the arm again, or cannot get it again. Between its hold on the
    switch and the policy's return a person may let go and press again.

    Attributes:
        task: What the policy was doing.

    Args:
        pause_limit_s: An intervention also ends when a person has let go for so long [s].
    """

    def __init__(self, pause_limit_s: float = 30.0) -> None:
        self.task = ""
        self._pause_limit_ns = round(1e9 * pause_limit_s)
        self._holder = ""
        self._is_running = False
        self._held_ns = 0
        self._heard_ns = 0

    def update(self, holder: str, state: str, task: str, now_ns: int) -> Turn:
        """Take the state of the arm at a time [ns]."""
        began = is_takeover(self._holder, holder)
        self._holder, self._heard_ns = holder, now_ns
        if holder == POLICY_HOLDER:
            self.task = task or self.task
        if holder == TELEOP_HOLDER:
            self._held_ns = now_ns
        if began and not self._is_running:
            self._is_running = True
            return Turn.TAKEN_OVER
        if self._is_running and self._has_ended(holder, state, now_ns):
            self._is_running = False
            return Turn.HANDED_BACK
        return Turn.NOTHING

    def end_if_silent(self, now_ns: int) -> Turn:
        """End the intervention of an arm that says nothing any more."""
        if not self._is_running or now_ns - self._heard_ns <= _SILENCE_LIMIT_NS:
            return Turn.NOTHING
        self._is_running, self._holder = False, ""
        return Turn.HANDED_BACK

    def _has_ended(self, holder: str, state: str, now_ns: int) -> bool:
        is_forgotten = now_ns - self._held_ns > self._pause_limit_ns
        return holder == POLICY_HOLDER or state in _ENDING_STATES or is_forgotten


def is_takeover(before: str, after: str) -> bool:
    """Whether a person has taken the arm from the policy, not merely found it free."""
    return (before, after) == (POLICY_HOLDER, TELEOP_HOLDER)
