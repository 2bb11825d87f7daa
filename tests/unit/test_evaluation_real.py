"""Episodes on a real robot, with a person and a stack that are played by the tests."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from mail_bringup import real_evaluation
from mail_bringup.real_evaluation import RealEvaluation
from mail_policy.evaluation.job import EpisodeKey, EvaluationError, Job, Trial
from mail_policy.evaluation.rollout import EpisodeResult, RolloutConfig

TASK = "open the top drawer"
PERIOD_S = 0.05
MAX_STEPS = 100


class FakeConsole:
    """A person with prepared answers, who presses a key at an instant of a task."""

    def __init__(self, stack: "FakeStack", answers: list[str], key_at_s: float | None) -> None:
        self.stack, self.answers, self.key_at_s = stack, list(answers), key_at_s

    def say(self, text: str) -> None:
        self.stack.calls.append(f"say {text}")

    def ask(self, question: str) -> str:
        self.stack.calls.append(f"ask {question}")
        return self.answers.pop(0)

    @contextlib.contextmanager
    def keys(self) -> Iterator[None]:
        yield

    def key(self) -> str:
        running_s = self.stack.now_s - self.stack.started_s
        return " " if self.key_at_s is not None and running_s >= self.key_at_s else ""


class FakeStack:
    """Notes what is asked of it; its time goes on while somebody waits."""

    def __init__(self, ends_at_s: float = 1e9, ends_in: str = "hold") -> None:
        self.calls: list[str] = []
        self.now_s = self.started_s = 0.0
        self.ends_at_s, self.ends_in = ends_at_s, ends_in
        self.arm_state = SimpleNamespace(robot_type="fer", state="ready", cause="", lease_holder="")
        self.policy_status = SimpleNamespace(checkpoint="tiny")
        self.inference_ms: list[float] = []

    def arm(self) -> str:
        self.calls.append("arm")
        return "armed"

    def home(self) -> str:
        self.calls.append("home")
        return "home"

    def set_task(self, sentence: str) -> str:
        self.calls.append(f"set_task {sentence}")
        return sentence

    def start(self, task: str, max_duration_s: float) -> int:
        self.calls.append(f"start {task} {max_duration_s:g}")
        self.started_s = self.now_s
        self.arm_state.state, self.arm_state.lease_holder = "policy", "policy"
        return 1

    def come_to_rest(self) -> None:
        self.calls.append("come_to_rest")
        self.arm_state.state, self.arm_state.lease_holder = "ready", ""

    def trigger(self, name: str) -> str:
        self.calls.append(name)
        return name

    def time_s(self) -> float:
        return self.now_s

    def wait_until(self, condition: Callable[[], bool], limit_s: float) -> bool:
        deadline_s = self.now_s + limit_s
        while not condition():
            if self.now_s >= deadline_s:
                return False
            self.now_s += 0.1
            self.inference_ms.append(20.0)
            if self.now_s - self.started_s >= self.ends_at_s:
                self.arm_state.state, self.arm_state.cause = self.ends_in, "too much force"
                self.arm_state.lease_holder = ""
        return True


@pytest.fixture(autouse=True)
def _manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = SimpleNamespace(name="tiny")
    monkeypatch.setattr(real_evaluation, "load_manifest", lambda folder: manifest)


def trial(seed: int = 7) -> Trial:
    config = RolloutConfig(period_s=PERIOD_S, exec_horizon=2, max_steps=MAX_STEPS)
    return Trial(EpisodeKey("A", "open_top", seed), Job(Path("x"), TASK, config))


def run(
    stack: FakeStack,
    answers: list[str],
    key_at_s: float | None = None,
    stages: tuple[str, ...] = (),
) -> EpisodeResult:
    console = FakeConsole(stack, answers, key_at_s)
    results = []
    RealEvaluation(stack, console, stages).run(
        [trial()], "fer", lambda trial, result: results.append(result)
    )
    assert console.answers == []
    return results[0]


def test_a_person_allows_every_motion_and_judges() -> None:
    stack = FakeStack()
    result = run(stack, ["", "", "y"], key_at_s=2.0)
    assert result.success
    assert result.failure == ""
    assert result.steps == pytest.approx(2.0 / PERIOD_S, abs=2)
    assert set(result.inference_ms) == {20.0}
    done = [call.split(":")[0] for call in stack.calls if not call.startswith("say")]
    assert done == [
        "arm",
        "ask Clear the way of the arm. Enter",
        "home",
        "ask Set the scene. Enter",
        f"set_task {TASK}",
        f"start {TASK} 5",
        "come_to_rest",
        "ask Was the task done? [y/n]",
    ]


def test_a_failure_has_the_reason_that_the_person_gives() -> None:
    result = run(FakeStack(), ["", "", "perhaps", "n", "it slipped"], key_at_s=1.0)
    assert not result.success
    assert result.failure == "it slipped"


def test_when_time_runs_out_the_arm_comes_to_rest_and_the_person_still_judges() -> None:
    stack = FakeStack()
    result = run(stack, ["", "", "n", ""])
    assert "come_to_rest" in stack.calls
    assert result.failure == "time ran out"
    assert result.steps == MAX_STEPS


def test_a_fault_is_recovered_only_after_the_person_looked() -> None:
    stack = FakeStack(ends_at_s=1.5, ends_in="fault")
    result = run(stack, ["", "", "", "n", "hit the cabinet"])
    looked = next(n for n, call in enumerate(stack.calls) if "Make sure that it is safe" in call)
    assert stack.calls[looked + 1] == "arm/recover"
    assert result.failure == "fault: too much force; hit the cabinet"


def test_a_fault_while_braking_is_recovered_in_the_same_way() -> None:
    class Braking(FakeStack):
        def come_to_rest(self) -> None:
            self.arm_state.state, self.arm_state.cause = "fault", "too far from its set-point"
            raise RuntimeError("the arm does not stand")

    stack = Braking()
    result = run(stack, ["", "", "", "y"], key_at_s=1.0)
    assert result.success
    assert stack.calls.count("arm/recover") == 1


def test_an_arm_that_does_not_come_to_rest_ends_the_evaluation() -> None:
    class Restless(FakeStack):
        def come_to_rest(self) -> None:
            raise RuntimeError("the arm does not stand")

    with pytest.raises(RuntimeError, match="does not stand"):
        run(Restless(), ["", ""], key_at_s=1.0)


def test_an_arm_that_stops_by_itself_is_noticed_and_said() -> None:
    result = run(FakeStack(ends_at_s=1.5), ["", "", "y"])
    assert result.success
    assert result.steps < MAX_STEPS / 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no answer")])
def test_whatever_interrupts_an_episode_stops_the_arm(error: BaseException) -> None:
    class Broken(FakeStack):
        def wait_until(self, condition: Callable[[], bool], limit_s: float) -> bool:
            if self.arm_state.lease_holder == "policy":
                raise error
            return super().wait_until(condition, limit_s)

    stack = Broken()
    with pytest.raises(type(error)):
        run(stack, ["", ""])
    assert stack.calls[-1] == "arm/stop"


def test_stages_are_asked_in_order_until_one_was_not_reached() -> None:
    stages = ("opened", "grasped", "placed")
    result = run(FakeStack(), ["", "", "n", "dropped", "y", "n"], 1.0, stages)
    assert result.stages == ("opened",)
    assert run(FakeStack(), ["", "", "y"], 1.0, stages).stages == stages


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda stack: setattr(stack.arm_state, "robot_type", "fr3"), "type 'fr3', expected 'fer'"),
        (lambda stack: setattr(stack.policy_status, "checkpoint", "b"), "serves 'b'"),
        (lambda stack: setattr(stack, "arm_state", None), "arm or policy is silent"),
    ],
)
def test_another_robot_or_policy_is_refused_before_the_arm_is_touched(
    change: Callable[[FakeStack], None], said: str
) -> None:
    stack = FakeStack()
    change(stack)
    with pytest.raises(EvaluationError, match=said):
        run(stack, [])
    assert stack.calls == []
