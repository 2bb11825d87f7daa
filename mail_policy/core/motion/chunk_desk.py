"""Where chunks arrive: admits, plans and counts them."""

from functools import partial

from mail_policy.core.motion.admission import LeaseView, Rejection, judge
from mail_policy.core.motion.chunk_planner import ChunkPlan, ChunkPlanner
from mail_policy.core.motion.config import MotionConfig
from mail_policy.core.motion.generator import SetPointGenerator
from mail_policy.core.motion.posture_check import collision_refusal
from mail_policy.core.motion.splice import Gap
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
            path_check=partial(collision_refusal, envelope=config.envelope),
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
        self.plan, gap = result
        self._generator.follow(self.plan.path, gap)
        decision = Decision(
            epoch,
            sequence,
            True,
            "",
            "",
            age_s,
            camera_to_command_s=age_s + self._config.tick_s,
            skipped_steps=self.plan.skipped_steps,
            disagreement_rad=gap.largest_rad,
        )
        return decision, stop_cause

    def _plan(self, chunk: ActionChunk) -> tuple[ChunkPlan, Gap] | Rejection:
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
        gap = generator.gap_to(plan.path)
        return self._join_rejection(gap) or (plan, gap)

    def _join_rejection(self, gap: Gap) -> Rejection | None:
        """Return why a path may not follow the running one, None if it may."""
        config = self._config.admission
        if gap.largest_rad > config.max_join_rad:
            detail = f"joint gap {gap.largest_rad:.3f} rad, limit is {config.max_join_rad} rad"
            return Rejection("join", detail)
        if gap.tcp_m > config.max_join_m:
            return Rejection("join", f"TCP gap {gap.tcp_m:.3f} m, limit is {config.max_join_m} m")
        return None
