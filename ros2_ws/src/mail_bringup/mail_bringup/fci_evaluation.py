"""Episodes of a policy on the whole stack: real nodes, the FCI twin, the real franky client."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from rich.console import Console

from mail_bringup.arguments import resolve
from mail_bringup.claims import ClaimError
from mail_bringup.operator_node import Operator, OperatorCancelledError, OperatorError
from mail_bringup.preflight import PreflightError
from mail_bringup.run_log import RunLog
from mail_bringup.runner import StackRunner
from mail_bringup.session import prepared
from mail_bringup.stack_arguments import STACKS
from mail_bringup.task_attempt import attempt_task, is_ready
from mail_policy.evaluation.job import Job
from mail_policy.evaluation.rollout import EpisodeResult


class FciEvaluationError(RuntimeError):
    """The stack could not be started or driven. The text names the remedy."""


def evaluate_fci(
    job: Job, seeds: Sequence[int], workers: int, on_result: Callable[[EpisodeResult], None]
) -> list[EpisodeResult]:
    """Run episodes on the whole stack, one after the other on one twin.

    Args:
        job: The policy and its task. Horizon and history are those of the checkpoint, latency is
            the real one.
        seeds: Of the initial states.
        workers: Not used: one stack needs all cores of a small machine.
        on_result: Called with every result as it comes.
    """
    limit_s = job.config.max_steps * job.config.period_s
    results = []
    try:
        with _running_stack(job, limit_s) as operator:
            for seed in seeds:
                results.append(_run_seed(operator, job, seed, limit_s))
                on_result(results[-1])
    except (OperatorError, PreflightError, ClaimError) as error:
        raise FciEvaluationError(str(error)) from error
    return results


@contextmanager
def _running_stack(job: Job, limit_s: float) -> Iterator[Operator]:
    given = {
        "task": job.task,
        "checkpoint": str(job.checkpoint),
        "auto_start": "false",
        "record": "false",
        "max_duration_s": str(limit_s + 10.0),
    }
    logs = Path("runs/eval") / datetime.now().strftime("%Y%m%d-%H%M%S") / "logs"
    with ExitStack() as stack:
        session = stack.enter_context(prepared("policy", resolve(STACKS["policy"], given)))
        log = stack.enter_context(RunLog(logs))
        runner = stack.enter_context(StackRunner(session.processes, session.variables, log.write))
        operator = stack.enter_context(
            Operator(
                domain_id=session.domain_id,
                use_sim_time=True,
                name="evaluation",
                is_cancelled=lambda: runner.required_ended() is not None,
            )
        )
        try:
            with Console().status("starting the stack"):
                if not is_ready(operator, recorder=False):
                    raise FciEvaluationError(f"the stack is not ready; logs: {logs}")
            operator.arm()
            yield operator
        except OperatorCancelledError:
            ended = runner.required_ended()
            why = log.last_words(ended) if ended is not None else "interrupted"
            raise FciEvaluationError(f"{why}\nLogs: {logs}") from None


def _run_seed(operator: Operator, job: Job, seed: int, limit_s: float) -> EpisodeResult:
    operator.home()
    operator.reset_scene(seed)
    task = operator.set_task(job.task)
    operator.inference_ms.clear()
    attempt = attempt_task(operator, task, limit_s=limit_s, on_progress=lambda line: None)
    if attempt.arm_state == "fault":
        # It cost this episode. Only a twin may be recovered without a person looking at it.
        operator.trigger("arm/recover")
    else:
        operator.come_to_rest()
    return EpisodeResult(
        seed=seed,
        success=attempt.success,
        steps=round(attempt.duration_s / job.config.period_s),
        inference_ms=tuple(operator.inference_ms),
        failure="" if attempt.success else f"{attempt.arm_state}: {attempt.arm_cause}",
    )
