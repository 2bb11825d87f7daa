"""What the demo is asked to do, and what came of it."""

from dataclasses import dataclass
from pathlib import Path


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
        success: The twin's own answer.
        measure: The task's own number, for example the drawer's opening [m].
        resolved_task: The sentence that the policy followed.
        duration_s: From the start of the policy to success or end, on the twin's clock [s].
        real_time_factor: Simulated seconds per wall second while the policy ran.
        ready_s: From the command until all nodes were active [s].
        first_motion_s: From the command until the arm moved for the first time [s].
        policy_start_s: From the command until the policy got the arm [s].
        peak_memory_mb: Largest resident memory by process name [MB], children included.
        episode: Folder of the recording.
        arm_state: State of the arm at the end.
        arm_cause: Why it was in that state.
    """

    success: bool
    measure: float
    resolved_task: str
    duration_s: float
    real_time_factor: float
    ready_s: float
    first_motion_s: float
    policy_start_s: float
    peak_memory_mb: dict[str, float]
    episode: Path
    arm_state: str
    arm_cause: str


def outcome_sentence(settings: DemoSettings, outcome: DemoOutcome) -> str:
    """Say in one sentence what happened."""
    did = f"{outcome.resolved_task!r} (seed {settings.seed})"
    after = f"{outcome.duration_s:.1f} s of simulated time"
    if outcome.success:
        return f"Success: {did} was done after {after}; measure {outcome.measure:.3f}."
    why = f"the arm ended in state {outcome.arm_state!r}"
    cause = f", because {outcome.arm_cause}" if outcome.arm_cause else ""
    return f"No success: {did} was not done within {after}; {why}{cause}."
