"""Whether the holder of a lease is still there, and how long it may go on."""

from mail_policy.core.motion.config import WatchdogConfig
from mail_policy.core.motion.status import POLICY_HOLDER, TELEOP_HOLDER, ArmStatus, Lease, Verdict
from mail_policy.core.motion.values import MotionInputs, MotionState


class LeaseWatch:
    """Ends leases.

    Args:
        config: How long each source may be silent.
    """

    def __init__(self, config: WatchdogConfig) -> None:
        self._config = config

    def judge(self, status: ArmStatus, inputs: MotionInputs, now_s: float) -> Verdict | None:
        """Return the state to enter and why, None to stay."""
        lease = status.lease
        if lease is None:
            return None
        held_s = now_s - status.entered_at_s
        too_long = status.state is MotionState.HOLD and held_s > self._config.hold_s
        if lease.holder == TELEOP_HOLDER:
            return (MotionState.READY, _after_teleop(status)) if too_long else None
        if lease.holder != POLICY_HOLDER:
            return None
        if inputs.chunk_publishers > 1:
            count = inputs.chunk_publishers
            return MotionState.STOPPED, f"{count} programs publish action chunks; end all but one"
        if too_long:
            return MotionState.STOPPED, f"held for {held_s:.1f} s: {status.cause}"
        return self._judge_policy(lease, status.epoch, inputs, now_s)

    def _judge_policy(
        self, lease: Lease, epoch: int, inputs: MotionInputs, now_s: float
    ) -> Verdict | None:
        # A chunk or a heartbeat of another epoch is not from this lease's holder, and keeps
        # nothing alive.
        chunk_epoch = inputs.chunk.lease_epoch if inputs.chunk is not None else None
        if epoch in (inputs.heartbeat_epoch, chunk_epoch):
            lease.heard_at_s = now_s
        if now_s > lease.ends_at_s:
            return MotionState.READY, "the policy's time is over"
        if lease.last_sequence < 0:
            # Nothing moves before the first chunk, so a policy may take its time for it.
            waited_s, limit_s = now_s - lease.granted_at_s, self._config.first_chunk_s
            text = f"no accepted chunk within {limit_s} s"
            return (MotionState.STOPPED, text) if waited_s > limit_s else None
        silent_s = now_s - lease.heard_at_s
        if silent_s > self._config.lease_ttl_s:
            return MotionState.STOPPED, f"no sign of the policy for {silent_s:.2f} s"
        return None


def _after_teleop(status: ArmStatus) -> str:
    if status.interrupted is not None:
        return "the person let go; arm/resume gives the arm back to the policy"
    return "the person let go; press the dead-man switch to go on"
