"""Runs a policy under a lease: observations in, timed action chunks out.

The session knows neither threads nor middleware. It plans whenever enough time has passed since
the instant of the last plan, measured between capture stamps, never by the wall clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mail_policy.core.frames import Array
from mail_policy.core.types import ActionChunk, Hold, Observation
from mail_policy.data.windows import Window
from mail_policy.inference.history import History
from mail_policy.inference.sentences import UnknownTaskError


@dataclass(frozen=True, slots=True)
class Lease:
    """The arm's permission to send chunks.

    Attributes:
        epoch: Number of the lease; chunks carry it.
        task: The resolved sentence that the operator started.
        granted_at_s: Pictures taken before this instant must not be used [s].
    """

    epoch: int
    task: str
    granted_at_s: float


class ChunkPredictor(Protocol):
    """What a session needs of a policy."""

    def set_task(self, sentence: str) -> str:
        """Follow a sentence; return the resolved one. Raises UnknownTaskError."""
        ...

    def encode(self, observation: Observation) -> None:
        """Prepare an observation, so that a window that holds it is predicted faster."""
        ...

    def predict(self, window: Window) -> Array:
        """Return rows of the action schema in SI units, shape (steps, size)."""
        ...

    def reset(self) -> None:
        """Forget all observations."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionConfig:
    """How a session plans.

    Attributes:
        schema: Id of the policy's action schema.
        step_period_s: Time between two rows of a chunk [s].
        exec_horizon: Rows after which the next chunk is planned.
    """

    schema: str
    step_period_s: float
    exec_horizon: int

    def __post_init__(self) -> None:
        """Refuse a horizon that would plan without end or never."""
        if self.exec_horizon < 1:
            raise ValueError(f"exec_horizon must be at least 1, got {self.exec_horizon}")
        if not self.step_period_s > 0.0:
            raise ValueError(f"step_period_s must be greater than 0, got {self.step_period_s}")


class PolicySession:
    """The policy's side of one lease at a time.

    Args:
        config: How to plan.
        predictor: The policy.
        history: Builds the observation windows.
        timer: Returns seconds on a steady clock; measures how long inference takes.
    """

    def __init__(
        self,
        config: SessionConfig,
        predictor: ChunkPredictor,
        history: History,
        timer: Callable[[], float],
    ) -> None:
        self._config = config
        self._predictor = predictor
        self._history = history
        self._timer = timer
        self._lease: Lease | None = None
        self._newest: Observation | None = None
        self._planned_s = float("-inf")
        self._sequence = 0
        self._refused = False
        self.waiting_for = "a lease"

    @property
    def lease(self) -> Lease | None:
        """The lease under which the session works, if any."""
        return self._lease

    def begin(self, lease: Lease) -> None:
        """Start with an empty history under a new lease.

        A lease for a task that the policy does not know is kept but never used, so that the
        operator reads why nothing happens and the lease runs out.
        """
        self._forget()
        self._lease = lease
        try:
            self._predictor.set_task(lease.task)
            self.waiting_for = "the first observation"
            self._refused = False
        except UnknownTaskError as error:
            self.waiting_for = str(error)
            self._refused = True

    def end(self) -> None:
        """Give the lease up and forget the history."""
        self._forget()
        self._lease = None
        self.waiting_for = "a lease"

    def _forget(self) -> None:
        self._history.reset()
        self._predictor.reset()
        self._newest = None
        self._planned_s = float("-inf")
        self._sequence = 0

    def observe(self, observation: Observation) -> None:
        """Take an observation. One from before the lease is ignored."""
        if self._lease is None or observation.captured_at_s < self._lease.granted_at_s:
            return
        if self._history.push(observation):
            self._newest = observation

    def prepare(self) -> None:
        """Use idle time to encode the newest observation, so that the next plan is faster.

        Apart from `observe`, because a policy that is behind must plan first, and need never
        encode what no window will show any more.
        """
        if self._newest is not None and not self._refused:
            self._predictor.encode(self._newest)

    def plan(self) -> ActionChunk | None:
        """Return a chunk if one is due and the history is sound; `waiting_for` says why not."""
        # Half a step of slack: stamps of a real camera are not exactly on the grid.
        due_s = self._planned_s + (self._config.exec_horizon - 0.5) * self._config.step_period_s
        if self._lease is None or self._refused or self._newest is None:
            return None
        if self._newest.captured_at_s < due_s:
            return None
        started_s = self._timer()
        window = self._history.window()
        if isinstance(window, Hold):
            self.waiting_for = window.reason
            return None
        values = self._predictor.predict(window)
        self._planned_s = window.newest.captured_at_s
        self._sequence += 1
        self.waiting_for = ""
        return ActionChunk(
            values=values,
            schema=self._config.schema,
            observed_at_s=window.newest.captured_at_s,
            step_period_s=self._config.step_period_s,
            lease_epoch=self._lease.epoch,
            sequence=self._sequence,
            task=self._lease.task,
            inference_s=self._timer() - started_s,
        )
