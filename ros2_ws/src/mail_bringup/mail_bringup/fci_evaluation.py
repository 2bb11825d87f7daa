"""Episodes of a policy on the whole stack: real nodes, the FCI twin, the real franky client."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from rich.console import Console

from data_collection.pictures import write_film_strip, write_video
from mail_bringup.arguments import resolve
from mail_bringup.claims import ClaimError
from mail_bringup.operator_node import Operator, OperatorCancelledError, OperatorError
from mail_bringup.preflight import PreflightError
from mail_bringup.run_log import RunLog
from mail_bringup.runner import StackRunner
from mail_bringup.session import prepared
from mail_bringup.stack_arguments import STACKS
from mail_bringup.task_attempt import Attempt, attempt_task, is_ready
from mail_policy.evaluation.job import FAULT, EvaluationError, OnResult, Trial
from mail_policy.evaluation.rollout import EpisodeResult
from mail_policy.evaluation.videos import Videos, is_wanted, picture_beside, video_path
from mail_sim.failure_words import TIME_RAN_OUT, measure_in_words
from mail_sim.world.tasks import task_for

# The stack outlasts an episode by so much, so that the episode's own limit ends it [s].
_MARGIN_S = 10.0
_RECORDINGS = "recordings"
_FAULT_STATE = "fault"


def evaluate_fci(trials: Sequence[Trial], workers: int, folder: Path, on_result: OnResult) -> None:
    """Run episodes on the whole stack, one after the other on one twin; see `Evaluator`.

    Horizon and history are those of the checkpoint, latency is the real one. A stack serves one
    checkpoint, so policies that are compared do not take turns.

    Args:
        trials: What to run.
        workers: Not used: one stack needs all cores of a small machine.
        folder: Where videos and logs go.
        on_result: Called with every result.
    """
    del workers
    try:
        for _, group in groupby(sorted(trials, key=_checkpoint), key=_checkpoint):
            of_policy = list(group)
            with _running_stack(of_policy, folder) as operator:
                for trial in of_policy:
                    on_result(trial, _run_trial(operator, trial, folder))
    except (OperatorError, PreflightError, ClaimError) as error:
        raise EvaluationError(str(error)) from error


def _checkpoint(trial: Trial) -> Path:
    return trial.job.checkpoint


def _limit_s(trial: Trial) -> float:
    return trial.job.config.max_steps * trial.job.config.period_s


@contextmanager
def _running_stack(trials: Sequence[Trial], folder: Path) -> Iterator[Operator]:
    """Run the stack of the policy that all trials share."""
    job = trials[0].job
    is_filmed = job.videos is not Videos.NONE
    given = {
        "task": job.task,
        "checkpoint": str(job.checkpoint),
        "auto_start": "false",
        "record": str(is_filmed).lower(),
        "max_duration_s": str(max(map(_limit_s, trials)) + _MARGIN_S),
    }
    recordings = (folder / _RECORDINGS).resolve()
    if is_filmed:
        given["episodes_dir"] = str(recordings)
    logs = folder / "logs"
    with ExitStack() as stack:
        # Videos are kept; only an episode that broke off leaves its recording.
        stack.callback(shutil.rmtree, recordings, ignore_errors=True)
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
                if not is_ready(operator, recorder=is_filmed):
                    raise EvaluationError(f"the stack is not ready; logs: {logs}")
            operator.arm()
            yield operator
        except OperatorCancelledError:
            ended = runner.required_ended()
            why = log.last_words(ended) if ended is not None else "interrupted"
            raise EvaluationError(f"{why}\nLogs: {logs}") from None


def _run_trial(operator: Operator, trial: Trial, folder: Path) -> EpisodeResult:
    job, is_filmed = trial.job, trial.job.videos is not Videos.NONE
    operator.home()
    operator.reset_scene(trial.key.seed)
    task = operator.set_task(job.task)
    operator.inference_ms.clear()
    recording = Path(operator.start_recording(task)) if is_filmed else None
    attempt = attempt_task(operator, task, limit_s=_limit_s(trial), on_progress=lambda line: None)
    if recording is not None:
        operator.save_recording()
    _settle(operator)
    result = EpisodeResult(
        seed=trial.key.seed,
        success=attempt.success,
        steps=round(attempt.duration_s / job.config.period_s),
        inference_ms=tuple(operator.inference_ms),
        failure="" if attempt.success else _reason(attempt, task),
    )
    return result if recording is None else _filmed(result, trial, recording, folder)


def _settle(operator: Operator) -> None:
    """Bring the arm to rest. Only a twin may be recovered without a person looking at it."""
    if not _is_in_fault(operator):
        try:
            operator.come_to_rest()
            return
        except OperatorError:
            # Braking may end in a fault, too.
            if not _is_in_fault(operator):
                raise
    operator.trigger("arm/recover")


def _is_in_fault(operator: Operator) -> bool:
    return operator.arm_state is not None and operator.arm_state.state == _FAULT_STATE


def _reason(attempt: Attempt, task: str) -> str:
    measured = measure_in_words(task_for(task), attempt.measure)
    if attempt.arm_state == _FAULT_STATE:
        return f"{FAULT}{attempt.arm_cause}; {measured}"
    cause = f"{attempt.arm_state}: {attempt.arm_cause}" if attempt.arm_cause else TIME_RAN_OUT
    return f"{cause}; {measured}"


def _filmed(result: EpisodeResult, trial: Trial, recording: Path, folder: Path) -> EpisodeResult:
    """Turn a recording into a video if one is wanted; the recording goes."""
    stem = trial.key.file_stem
    video = ""
    if is_wanted(trial.job.videos, result.success, folder, stem):
        video = video_path(stem, result.success)
        write_video(recording, folder / video)
        write_film_strip(recording, folder / picture_beside(video))
    shutil.rmtree(recording)
    return replace(result, video=video)
