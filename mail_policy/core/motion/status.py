"""The state of the arm, why it is in it, and who may move it."""

from dataclasses import dataclass

from mail_policy.core.motion.admission import LeaseView
from mail_policy.core.motion.values import CONTROLLED_STATES, MotionState

# What a watch asks for: the state to enter, and why.
Verdict = tuple[MotionState, str]

POLICY_HOLDER = "policy"
TELEOP_HOLDER = "teleop"
HOMING_HOLDER = "homing"
_KEEP_LEASE = {MotionState.HOLD, MotionState.POLICY, MotionState.TELEOP, MotionState.HOMING}
# A policy that a person interrupted can be resumed from these.
_KEEP_INTERRUPTED = {MotionState.HOLD, MotionState.TELEOP, MotionState.READY}


@dataclass(slots=True)
class Lease:
    """The permission to move the arm.

    Attributes:
        holder: "policy", "teleop" or "homing".
        task: The armed sentence.
        granted_at_s: When it was granted [s].
        ends_at_s: When it ends at the latest [s].
        heard_at_s: When its holder was heard last [s].
        last_sequence: Of the last accepted chunk, -1 before the first.
        last_observed_at_s: Of the last accepted chunk [s].
    """

    holder: str
    task: str
    granted_at_s: float
    ends_at_s: float
    heard_at_s: float
    last_sequence: int = -1
    last_observed_at_s: float = float("-inf")

    @classmethod
    def granted(cls, holder: str, task: str, now_s: float, duration_s: float) -> "Lease":
        """Return a lease that begins now and ends after some time [s]."""
        return cls(holder, task, now_s, now_s + duration_s, now_s)


class ArmStatus:
    """State, cause and lease. The epoch grows with every lease and every stop.

    Args:
        epoch: First epoch; random per run, so that no chunk of an earlier run fits.
    """

    def __init__(self, epoch: int) -> None:
        self.state = MotionState.OFFLINE
        self.cause = "no arm connected yet"
        self.epoch = epoch
        self.lease: Lease | None = None
        self.interrupted: Lease | None = None
        self.entered_at_s = float("-inf")

    @property
    def is_controlled(self) -> bool:
        """Whether one of our motions shall run."""
        return self.state in CONTROLLED_STATES

    def enter(self, state: MotionState, cause: str, now_s: float) -> None:
        """Change the state. Only moving states and HOLD keep a lease."""
        self.state, self.cause, self.entered_at_s = state, cause[:256], now_s
        if state not in _KEEP_LEASE:
            self.revoke()
        if state not in _KEEP_INTERRUPTED:
            self.interrupted = None

    def grant(self, lease: Lease) -> None:
        """Give the permission to move. A policy that a person interrupts is remembered."""
        if lease.holder == TELEOP_HOLDER and self.holds(POLICY_HOLDER):
            self.interrupted = self.lease
        self.epoch += 1
        self.lease = lease

    def holds(self, holder: str) -> bool:
        """Whether somebody holds the lease."""
        return self.lease is not None and self.lease.holder == holder

    def revoke(self) -> None:
        """Take the permission back, if there is one."""
        if self.lease is not None:
            self.epoch += 1
            self.lease = None

    def view(self) -> LeaseView:
        """Return what admission must know."""
        lease = self.lease
        if lease is None or not self.holds(POLICY_HOLDER):
            return LeaseView(False, self.epoch, "", 0.0, -1, float("-inf"))
        return LeaseView(
            self.state in (MotionState.POLICY, MotionState.HOLD),
            self.epoch,
            lease.task,
            lease.granted_at_s,
            lease.last_sequence,
            lease.last_observed_at_s,
        )
