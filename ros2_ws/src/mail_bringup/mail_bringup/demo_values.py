"""What the demo is asked to do, and what came of it."""

from dataclasses import dataclass
from pathlib import Path

from mail_bringup.task_attempt import Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSettings:
    """What the demo shall do.

    Attributes:
        task: The sentence as the user wrote it.
        checkpoint: Name or folder of the checkpoint.
        seed: Initial state of the scene.
        limit_s: Time for the task, on the twin's clock [s].
        folder: Where results go.
        started_s: When the command began, on the steady clock [s].
    """

    task: str
    checkpoint: str
    seed: int
    limit_s: float
    folder: Path
    started_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoOutcome:
    """What came of it.

    Attributes:
        attempt: What the policy achieved.
        resolved_task: The sentence that the policy followed.
        ready_s: From the command until all nodes were active [s].
        first_motion_s: From the command until the arm moved for the first time [s].
        policy_start_s: From the command until the policy got the arm [s].
        peak_memory_mb: Largest resident memory by process name [MB], children included.
        episode: Folder of the recording.
    """

    attempt: Attempt
    resolved_task: str
    ready_s: float
    first_motion_s: float
    policy_start_s: float
    peak_memory_mb: dict[str, float]
    episode: Path


def outcome_sentence(settings: DemoSettings, outcome: DemoOutcome) -> str:
    """Say in one sentence what happened."""
    did = f"{outcome.resolved_task!r} (seed {settings.seed})"
    after = f"{outcome.attempt.duration_s:.1f} s of simulated time"
    if outcome.attempt.success:
        return f"Success: {did} was done after {after}; measure {outcome.attempt.measure:.3f}."
    why = f"the arm ended in state {outcome.attempt.arm_state!r}"
    cause = f", because {outcome.attempt.arm_cause}" if outcome.attempt.arm_cause else ""
    return f"No success: {did} was not done within {after}; {why}{cause}."
