"""One attempt of a policy at a task on the running twin, with the means of an operator."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from mail_bringup.operator_node import Operator

STARTUP_LIMIT_S = 120.0
# The policy's lease outlasts the attempt, so that the attempt's own limit ends it [s].
_LEASE_MARGIN_S = 5.0
_CHECK_PERIOD_S = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """What came of an attempt.

    Attributes:
        success: The twin's own answer.
        measure: The task's own number, for example the drawer's opening [m].
        duration_s: From the start of the policy to success or end, on the twin's clock [s].
        real_time_factor: Simulated seconds per wall second while the policy ran.
        arm_state: State of the arm at the end.
        arm_cause: Why it was in that state.
    """

    success: bool
    measure: float
    duration_s: float
    real_time_factor: float
    arm_state: str
    arm_cause: str


def is_ready(operator: Operator, *, recorder: bool) -> bool:
    """Wait until every node of the policy stack is active; False if one never was."""

    # Arm and policy publish only once they are active; the recorder comes last.
    def speaks() -> bool:
        return operator.arm_state is not None and operator.policy_status is not None

    if not operator.wait_until(speaks, STARTUP_LIMIT_S):
        return False
    last = "recorder" if recorder else "policy"
    return operator.wait_for_active(last, STARTUP_LIMIT_S)


def attempt_task(
    operator: Operator,
    task: str,
    *,
    limit_s: float,
    afterglow_s: float = 0.0,
    on_progress: Callable[[str], None],
) -> Attempt:
    """Let the policy have the arm until it succeeds, time is over, or the arm stops by itself.

    The arm still has its lease afterwards if it was not taken away; the caller stops it.

    Args:
        operator: Connected to a stack whose arm is at home and whose scene is set.
        task: The resolved sentence.
        limit_s: Time for the task, on the twin's clock [s].
        afterglow_s: How long to go on after success [s].
        on_progress: Called with a line of progress.
    """
    operator.start(task, limit_s + _LEASE_MARGIN_S)
    begun_s, begun_wall_s = operator.time_s(), time.monotonic()
    done_s: float | None = None
    while True:
        now_s = operator.time_s()
        success, measure = operator.check_success(task)
        if success and done_s is None:
            done_s = now_s
        on_progress(f"{now_s - begun_s:5.1f} s simulated, measure {measure:.3f}")
        if done_s is not None and now_s - done_s >= afterglow_s:
            break
        if done_s is None and (
            now_s - begun_s >= limit_s or _has_stopped(operator, now_s - begun_s)
        ):
            break
        operator.wait_until(lambda: False, _CHECK_PERIOD_S)
    arm = operator.arm_state
    return Attempt(
        success=done_s is not None,
        measure=measure,
        duration_s=(now_s if done_s is None else done_s) - begun_s,
        real_time_factor=(now_s - begun_s) / (time.monotonic() - begun_wall_s),
        arm_state=arm.state if arm else "",
        arm_cause=arm.cause if arm else "",
    )


def _has_stopped(operator: Operator, elapsed_s: float) -> bool:
    # The first state with the lease may be on its way for a moment.
    arm = operator.arm_state
    return elapsed_s > 1.0 and arm is not None and arm.lease_holder != "policy"
