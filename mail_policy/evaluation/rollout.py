"""Lets a policy act in an environment, with the history, horizon and delay of the robot."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from mail_policy.core.action_schema import ActionSchema
from mail_policy.core.frames import Array
from mail_policy.core.types import Hold, Observation
from mail_policy.data.windows import Window
from mail_policy.evaluation.environment import Environment, SelfExplaining
from mail_policy.evaluation.playback import TWIN_LIMITS, ChunkPlayback, StepLimits
from mail_policy.evaluation.statistics import percentiles, wilson_interval
from mail_policy.inference.history import History


class WindowPredictor(Protocol):
    """What a roll-out needs of a policy whose task is set."""

    @property
    def schema(self) -> ActionSchema:
        """What the rows of a chunk mean."""
        ...

    def new_history(self) -> History:
        """Return a history that builds the policy's windows."""
        ...

    def encode(self, observation: Observation) -> None:
        """Prepare an observation."""
        ...

    def predict(self, window: Window) -> Array:
        """Return rows of the schema, shape (rows, schema.size)."""
        ...

    def reset(self) -> None:
        """Forget all observations."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutConfig:
    """How a policy acts.

    Attributes:
        period_s: Time of one step [s].
        exec_horizon: Steps after which the policy plans again.
        max_steps: Steps after which an episode has failed.
        latency_steps: Steps between an observation and the chunk made from it.
        limits: How far a step may go.
    """

    period_s: float
    exec_horizon: int
    max_steps: int
    latency_steps: int = 0
    limits: StepLimits = TWIN_LIMITS

    def __post_init__(self) -> None:
        """Refuse roll-outs that never plan."""
        if self.exec_horizon < 1 or self.max_steps < 1 or self.latency_steps < 0:
            raise ValueError(
                "exec_horizon and max_steps must be at least 1, latency_steps at least 0, got "
                f"{self}"
            )


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """What became of one episode.

    Attributes:
        seed: Of the initial state.
        success: Whether the task was done.
        steps: Until success or the end.
        inference_ms: Of every plan [ms].
        failure: Why it failed, "" if it succeeded.
        video: Path of its video below the folder of the evaluation, "" if it was not filmed.
        stages: The stages of the task that a person saw done, in their order.
    """

    seed: int
    success: bool
    steps: int
    inference_ms: tuple[float, ...]
    failure: str = ""
    video: str = ""
    stages: tuple[str, ...] = ()


def run_episode(
    environment: Environment,
    predictor: WindowPredictor,
    seed: int,
    config: RolloutConfig,
    timer: Callable[[], float] = time.perf_counter,
    watch: Callable[[Observation], None] = lambda observation: None,
) -> EpisodeResult:
    """Run one episode until success or the last step.

    Args:
        environment: Where.
        predictor: Who.
        seed: Of the initial state.
        config: How.
        timer: Seconds on a steady clock, to measure inference.
        watch: Shown every observation.
    """
    # With the predictor comes torch, which the command line must not wait for.
    from mail_policy.inference.predictor import PredictionError

    observation = environment.reset(seed)
    watch(observation)
    pilot = _Pilot(predictor, observation, config, timer)
    act = environment.step if predictor.schema.is_cartesian else environment.step_joints
    for step in range(config.max_steps):
        try:
            action = pilot.action(step, observation)
        except PredictionError as error:
            return EpisodeResult(seed, False, step, tuple(pilot.inference_ms), str(error))
        observation = act(action)
        watch(observation)
        if environment.success():
            return EpisodeResult(seed, True, step + 1, tuple(pilot.inference_ms))
    reason = environment.explain() if isinstance(environment, SelfExplaining) else "time ran out"
    return EpisodeResult(seed, False, config.max_steps, tuple(pilot.inference_ms), reason)


class _Pilot:
    """Chooses the actions of one episode: looks, plans when it is time, follows late chunks."""

    def __init__(
        self,
        predictor: WindowPredictor,
        start: Observation,
        config: RolloutConfig,
        timer: Callable[[], float],
    ) -> None:
        predictor.reset()
        self._predictor, self._config, self._timer = predictor, config, timer
        self._history = predictor.new_history()
        self._playback = ChunkPlayback(predictor.schema, start, config.limits)
        self._on_the_way: list[tuple[int, Array]] = []
        self._next_plan = 0
        self.inference_ms: list[float] = []

    def action(self, step: int, observation: Observation) -> Array:
        """Return the action of a step, as `ChunkPlayback.next_action` does."""
        self._history.push(observation)
        if step >= self._next_plan:
            self._plan(step)
        else:
            self._predictor.encode(observation)
        if self._on_the_way and step >= self._on_the_way[0][0] + self._config.latency_steps:
            made_at, values = self._on_the_way.pop(0)
            self._playback.load(values, made_at)
        return self._playback.next_action()

    def _plan(self, step: int) -> None:
        started_s = self._timer()
        window = self._history.window()
        if not isinstance(window, Hold):
            self._on_the_way.append((step, self._predictor.predict(window)))
            self.inference_ms.append(1e3 * (self._timer() - started_s))
            self._next_plan = step + self._config.exec_horizon


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationResult:
    """How good a policy is at a task.

    Attributes:
        task: The resolved sentence.
        robot: In what it was tried.
        policy: Name and hash of the checkpoint.
        config: How it acted.
        episodes: In the order of their seeds.
    """

    task: str
    robot: str
    policy: dict[str, str]
    config: RolloutConfig
    episodes: tuple[EpisodeResult, ...]

    @property
    def successes(self) -> int:
        """How many episodes succeeded."""
        return sum(episode.success for episode in self.episodes)

    def to_json(self) -> dict[str, Any]:
        """Return the content of a summary, see architecture.md 3."""
        count = len(self.episodes)
        return {
            "task": self.task,
            "robot": self.robot,
            "policy": self.policy,
            "episodes": count,
            "successes": self.successes,
            "success_rate": self.successes / count if count else 0.0,
            "interval_95": list(wilson_interval(self.successes, count)),
            "exec_horizon": self.config.exec_horizon,
            "latency_steps": self.config.latency_steps,
            "max_steps": self.config.max_steps,
            "timing": {
                "inference_ms": percentiles([t for e in self.episodes for t in e.inference_ms]),
                "steps_to_success": percentiles([e.steps for e in self.episodes if e.success]),
            },
            "rows": [
                {
                    "seed": episode.seed,
                    "success": episode.success,
                    "steps": episode.steps,
                    "failure": episode.failure,
                    "video": episode.video,
                    "stages": list(episode.stages),
                }
                for episode in self.episodes
            ],
        }


def run_episodes(
    environment: Environment,
    predictor: WindowPredictor,
    seeds: Iterable[int],
    config: RolloutConfig,
) -> list[EpisodeResult]:
    """Run one episode per seed, one after the other."""
    return [run_episode(environment, predictor, seed, config) for seed in seeds]
