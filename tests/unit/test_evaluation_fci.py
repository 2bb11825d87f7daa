"""Episodes on the whole stack: order, reasons and recordings, with a stack played by the test."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from mail_bringup import fci_evaluation
from mail_bringup.fci_evaluation import evaluate_fci
from mail_bringup.operator_node import OperatorError
from mail_bringup.task_attempt import Attempt
from mail_policy.evaluation.job import EpisodeKey, EvaluationError, Job, Trial
from mail_policy.evaluation.rollout import EpisodeResult, RolloutConfig
from mail_policy.evaluation.videos import Videos

TASK = "open the top drawer of the cabinet"
CONFIG = RolloutConfig(period_s=0.05, exec_horizon=2, max_steps=40)


class FakeStack:
    """Notes what is asked of it."""

    def __init__(self, recordings: Path) -> None:
        self.calls: list[str] = []
        self.recordings = recordings
        self.inference_ms: list[float] = []
        self.arm_state = SimpleNamespace(state="policy")

    def home(self) -> None:
        self.calls.append("home")

    def reset_scene(self, seed: int) -> None:
        self.calls.append(f"reset {seed}")

    def set_task(self, task: str) -> str:
        return task

    def start_recording(self, task: str) -> str:
        self.recordings.mkdir(parents=True)
        return str(self.recordings)

    def save_recording(self) -> None:
        self.calls.append("save")

    def come_to_rest(self) -> None:
        self.calls.append("rest")

    def trigger(self, name: str) -> None:
        self.calls.append(name)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    """Replace the stack; an attempt fails with the drawer open by 0.09 m."""
    fake = FakeStack(tmp_path / "recording")

    @contextlib.contextmanager
    def running(trials: Sequence[Trial], folder: Path) -> Iterator[FakeStack]:
        fake.calls.append(f"up {trials[0].job.checkpoint}")
        yield fake
        fake.calls.append("down")

    def attempt(operator: FakeStack, task: str, **how: object) -> Attempt:
        operator.inference_ms.append(30.0)
        return Attempt(
            success=False,
            measure=0.09,
            duration_s=2.0,
            real_time_factor=1.0,
            arm_state=fake.arm_state.state,
            arm_cause="too far" if fake.arm_state.state == "fault" else "",
        )

    monkeypatch.setattr(fci_evaluation, "_running_stack", running)
    monkeypatch.setattr(fci_evaluation, "attempt_task", attempt)
    for name in ("write_video", "write_film_strip"):
        monkeypatch.setattr(fci_evaluation, name, lambda source, file: fake.calls.append(file.name))
    return fake


def run(folder: Path, videos: Videos, *policies: str) -> list[EpisodeResult]:
    trials = [
        Trial(EpisodeKey(policy, "open_top", seed), Job(Path(policy), TASK, CONFIG, videos))
        for seed in (1, 2)
        for policy in policies
    ]
    results: list[EpisodeResult] = []
    evaluate_fci(trials, 1, folder, lambda trial, result: results.append(result))
    return results


def test_each_policy_has_its_own_stack(stack: FakeStack, tmp_path: Path) -> None:
    run(tmp_path, Videos.NONE, "A", "B")
    ups = [call for call in stack.calls if call.startswith(("up", "reset", "down"))]
    assert ups == ["up A", "reset 1", "reset 2", "down", "up B", "reset 1", "reset 2", "down"]


def test_a_failure_says_what_is_missing(stack: FakeStack, tmp_path: Path) -> None:
    first, _ = run(tmp_path, Videos.NONE, "A")
    assert first.failure == "time ran out; drawer open 0.09 m of 0.14 m"
    assert (first.steps, first.inference_ms) == (40, (30.0,))


def test_a_fault_is_recovered_and_named(stack: FakeStack, tmp_path: Path) -> None:
    stack.arm_state.state = "fault"
    first, _ = run(tmp_path, Videos.NONE, "A")
    assert first.failure == "fault: too far; drawer open 0.09 m of 0.14 m"
    assert stack.calls.count("arm/recover") == 2
    assert "rest" not in stack.calls


def test_a_fault_while_braking_is_recovered_too(
    stack: FakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def brake() -> None:
        stack.arm_state.state = "fault"
        raise OperatorError("the arm does not stand")

    monkeypatch.setattr(stack, "come_to_rest", brake)
    first, _ = run(tmp_path, Videos.NONE, "A")
    assert first.failure.startswith("time ran out")
    assert stack.calls.count("arm/recover") == 2


def test_a_stack_that_cannot_go_on_ends_the_evaluation(
    stack: FakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def brake() -> None:
        raise OperatorError("the arm does not stand")

    monkeypatch.setattr(stack, "come_to_rest", brake)
    with pytest.raises(EvaluationError, match="does not stand"):
        run(tmp_path, Videos.NONE, "A")


def test_a_failure_is_filmed_from_its_recording_which_goes(
    stack: FakeStack, tmp_path: Path
) -> None:
    first, _ = run(tmp_path, Videos.FAILURES, "A")
    assert first.video == "videos/A-open_top-1-failure.mp4"
    assert stack.calls.count("A-open_top-1-failure.mp4") == 1
    assert stack.calls.count("A-open_top-1-failure.jpg") == 1
    assert not stack.recordings.exists()
