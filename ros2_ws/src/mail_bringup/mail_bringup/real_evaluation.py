"""Episodes on a real robot: a person sets the scene, allows every motion, and judges.

The stack runs already, see `mailctl up policy robot:=...`.
"""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mail_bringup.operator_console import OperatorConsole, TerminalConsole
from mail_policy.evaluation.job import FAULT, EvaluationError, OnResult, Trial
from mail_policy.evaluation.rollout import EpisodeResult
from mail_policy.inference.checkpoint import load_manifest

if TYPE_CHECKING:
    from mail_bringup.operator_node import Operator

_FIRST_MESSAGE_LIMIT_S = 5.0
# The first state with the lease may be on its way for so long [s].
_LEASE_LIMIT_S = 1.0
_YES, _NO = ("y", "yes"), ("n", "no")


def evaluate_real(
    trials: Sequence[Trial],
    workers: int,
    folder: Path,
    on_result: OnResult,
    *,
    arm: str,
    run_id: str | None,
    stages: Sequence[str],
) -> None:
    """Run episodes on the stack that is up, with the person at the terminal; see `Evaluator`.

    Args:
        trials: Of one policy.
        workers: Not used: there is one robot.
        folder: Not used: a stack with record:=true records what it sees.
        on_result: Called with every result.
        arm: Type that the arm must have.
        run_id: Which stack, if several run.
        stages: What is judged beside success, in order.
    """
    from mail_bringup.commands import connect
    from mail_bringup.operator_node import OperatorError
    from mail_bringup.records import SelectionError

    del workers, folder
    if not sys.stdin.isatty():
        raise EvaluationError("a real robot is evaluated by a person: run this in a terminal")
    try:
        with connect(run_id) as operator:
            RealEvaluation(operator, TerminalConsole(), stages).run(trials, arm, on_result)
    except (OperatorError, SelectionError) as error:
        raise EvaluationError(str(error)) from error


class RealEvaluation:
    """Leads a person through episodes.

    Args:
        operator: Connected to the stack.
        console: Where the person is.
        stages: What is judged beside success, in order.
    """

    def __init__(
        self, operator: "Operator", console: OperatorConsole, stages: Sequence[str]
    ) -> None:
        self._operator, self._console, self._stages = operator, console, stages

    def run(self, trials: Sequence[Trial], arm: str, on_result: OnResult) -> None:
        """Run episodes one after the other.

        Args:
            trials: Of one policy.
            arm: Type that the arm must have.
            on_result: Called with every result.

        Raises:
            EvaluationError: The stack is silent, or is another robot or policy.
        """
        self._check_stack(arm, load_manifest(trials[0].job.checkpoint).name)
        self._console.say(self._operator.arm())
        for number, trial in enumerate(trials, start=1):
            self._console.say(
                f"\nepisode {number} of {len(trials)}: {trial.job.task}, initial state "
                f"{trial.key.seed}"
            )
            on_result(trial, self._run_trial(trial))

    def _check_stack(self, arm: str, checkpoint: str) -> None:
        operator = self._operator

        def speaks() -> bool:
            return operator.arm_state is not None and operator.policy_status is not None

        if not operator.wait_until(speaks, _FIRST_MESSAGE_LIMIT_S):
            raise EvaluationError("arm or policy is silent; see mailctl status")
        if self._arm.robot_type != arm:
            raise EvaluationError(
                f"the stack moves an arm of type {self._arm.robot_type!r}, expected {arm!r}; say "
                "another --robot, or start the stack for this one"
            )
        served: Any = operator.policy_status
        if served.checkpoint != checkpoint:
            raise EvaluationError(
                f"the stack serves {served.checkpoint!r}, asked for is {checkpoint!r}; start it "
                "with checkpoint:=..."
            )

    @property
    def _arm(self) -> Any:
        """The newest state of the arm. There is one: the stack was checked."""
        return self._operator.arm_state

    def _run_trial(self, trial: Trial) -> EpisodeResult:
        operator, config = self._operator, trial.job.config
        self._console.ask("Clear the way of the arm. Enter: it moves home.")
        operator.home()
        self._console.ask("Set the scene. Enter: the policy moves the arm, then any key stops it.")
        task = operator.set_task(trial.job.task)
        operator.inference_ms.clear()
        begun_s = operator.time_s()
        why_stopped = self._watch(task, config.max_steps * config.period_s)
        duration_s = operator.time_s() - begun_s
        success, failure = self._judge(why_stopped)
        return EpisodeResult(
            seed=trial.key.seed,
            success=success,
            steps=min(round(duration_s / config.period_s), config.max_steps),
            inference_ms=tuple(operator.inference_ms),
            failure=failure,
            stages=self._judge_stages(success),
        )

    def _watch(self, task: str, limit_s: float) -> str:
        """Let the policy act until a key, the limit, or the arm itself ends it.

        Returns:
            Why it ended if no key did it, else "".
        """
        operator = self._operator
        begun_s = operator.time_s()
        pressed = ""

        def is_over() -> bool:
            nonlocal pressed
            pressed = self._console.key()
            started = operator.time_s() - begun_s > _LEASE_LIMIT_S
            return bool(pressed) or (started and self._arm.lease_holder != "policy")

        try:
            with self._console.keys():
                operator.start(task, limit_s)
                in_time = operator.wait_until(is_over, limit_s)
        except BaseException:
            # Whatever happened, also Ctrl-C or a lost answer: the arm must not go on alone.
            with contextlib.suppress(RuntimeError):
                operator.trigger("arm/stop")
            raise
        return self._settle(in_time, bool(pressed))

    def _settle(self, in_time: bool, pressed: bool) -> str:
        """Bring the arm to rest, ready for the next episode; say why the episode ended."""
        arm = self._arm
        why = "time ran out" if not in_time else "" if pressed else f"{arm.state}: {arm.cause}"
        if not self._is_in_fault:
            try:
                self._operator.come_to_rest()
                return why
            except RuntimeError:
                # Braking may end in a fault, too.
                if not self._is_in_fault:
                    raise
        why = f"{FAULT}{self._arm.cause}"
        self._console.ask(f"{why}\nMake sure that it is safe. Enter: the arm recovers.")
        self._operator.trigger("arm/recover")
        return why

    @property
    def _is_in_fault(self) -> bool:
        return bool(self._arm.state == "fault")

    def _judge(self, why_stopped: str) -> tuple[bool, str]:
        if why_stopped:
            self._console.say(f"it ended by itself: {why_stopped}")
        if self._confirms("Was the task done?"):
            return True, ""
        reason = self._console.ask("Why not?")
        return False, "; ".join(filter(None, (why_stopped, reason))) or "no reason given"

    def _judge_stages(self, success: bool) -> tuple[str, ...]:
        """Ask for each stage until one was not reached; success means all of them."""
        if success:
            return tuple(self._stages)
        done: list[str] = []
        for stage in self._stages:
            if not self._confirms(f"Stage {stage!r} done?"):
                break
            done.append(stage)
        return tuple(done)

    def _confirms(self, question: str) -> bool:
        while True:
            answer = self._console.ask(f"{question} [y/n]").lower()
            if answer in (*_YES, *_NO):
                return answer in _YES
