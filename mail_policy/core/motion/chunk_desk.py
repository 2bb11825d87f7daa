"""Where chunks arrive: admits, plans and counts them."""

from functools import partial

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import chain_frames
from mail_policy.core.motion.admission import LeaseView, Rejection, judge
from mail_policy.core.motion.chunk_planner import ChunkPlan, ChunkPlanner
from mail_policy.core.motion.config import EnvelopeConfig, MotionConfig
from mail_policy.core.motion.generator import SetPointGenerator
from mail_policy.core.motion.self_collision import self_collision
from mail_policy.core.motion.values import Decision
from mail_policy.core.motion.watchdogs import RejectionWatch
from mail_policy.core.robot_limits import JointLimits
from mail_policy.core.types import ActionChunk


class ChunkDesk:
    """Decides about chunks and remembers how it went.

    Args:
        config: Settings of the motion core.
        limits: Working limits of the joints.
        generator: What would follow an admitted chunk.
    """

    def __init__(
        self, config: MotionConfig, limits: JointLimits, generator: SetPointGenerator
    ) -> None:
        self._config = config
        self._generator = generator
        self._planner = ChunkPlanner(
            config.admission,
            config.envelope,
            limits,
            path_check=partial(_collision, config.envelope),
        )
        self._watch = RejectionWatch(config.admission.max_rejected_share)
        self.accepted = self.rejected = 0
        self.plan: ChunkPlan | None = None

    def begin(self) -> None:
        """Start to serve a new lease."""
        self._watch.clear()
        self.plan = None

    def consider(
        self,
        chunk: ActionChunk,
        lease: LeaseView,
        now_s: float,
        *,
        hand_on_arm: bool,
        clock_offset_s: float | None,
    ) -> tuple[Decision, str]:
        """Admit a chunk and let the arm follow it, or say by which rule it was refused.

        Args:
            chunk: The chunk.
            lease: The policy's lease.
            now_s: Current time [s], on the clock that stamps observations.
            hand_on_arm: A hand seems to be on the arm.
            clock_offset_s: How far the policy's clock is ahead of ours [s], None if unknown.

        Returns:
            The decision, and why the arm must stop because of the chunks, "" if it need not.
        """
        rejection = judge(chunk, lease, now_s, self._config.admission, clock_offset_s)
        if rejection is None and hand_on_arm:
            rejection = Rejection("hand", "a hand seems to be on the arm")
        result = rejection or self._plan(chunk)
        age_s = now_s - chunk.observed_at_s
        rejection = result if isinstance(result, Rejection) else None
        stop_cause = self._watch.note(rejection, now_s) if lease.active else ""
        epoch, sequence = chunk.lease_epoch, chunk.sequence
        if isinstance(result, Rejection):
            self.rejected += 1
            return Decision(epoch, sequence, False, result.rule, result.detail, age_s), stop_cause
        self.accepted += 1
        self.plan = result
        decision = Decision(
            epoch,
            sequence,
            True,
            "",
            "",
            age_s,
            camera_to_command_s=age_s + self._config.tick_s,
            skipped_steps=result.skipped_steps,
            disagreement_rad=self._generator.follow(result.path),
        )
        return decision, stop_cause

    def _plan(self, chunk: ActionChunk) -> ChunkPlan | Rejection:
        generator = self._generator
        anchor = generator.anchor_at(chunk.observed_at_s)
        if anchor is None:
            return Rejection("history", "the arm was not in control when the picture was taken")
        plan = self._planner.plan(
            chunk,
            anchor,
            generator.current,
            self._config.tick_s,
            from_rest=generator.is_at_rest,
        )
        if isinstance(plan, Rejection):
            return plan
        return generator.join_rejection(plan.path) or plan


def _collision(envelope: EnvelopeConfig, positions: Array) -> str:
    """Return how near some postures [rad], shape (n, 7), bring the arm to itself, "" if clear."""
    nearest_m = float(self_collision(envelope).clearances_m(chain_frames(positions)).min())
    if nearest_m >= envelope.stop_clearance_m:
        return ""
    return f"the arm would come within {1000 * nearest_m:.0f} mm of itself"
