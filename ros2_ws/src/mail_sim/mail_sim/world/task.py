"""What a task is to the world: a sentence, a start, and a referee for every episode."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from mail_sim.world.layout import SceneLayout, sample_layout

# About twice what the experts need for tasks of one skill and of two.
SHORT_STEPS, LONG_STEPS = 240, 600

Measure = Callable[[Any, Any], float]
Predicate = Callable[[Any, Any], bool]


class Referee(Protocol):
    """Follows one episode and says what has become of it; both verdicts are final."""

    @property
    def succeeded(self) -> bool:
        """True once the task has been done."""
        ...

    @property
    def failure(self) -> str:
        """Why the task cannot be done any more in this episode, "" while it can."""
        ...

    def advance(self, model: Any, data: Any) -> None:
        """Look at the world after a step of the policy; may change what lamps show."""
        ...


class Task(Protocol):
    """One thing to do."""

    @property
    def name(self) -> str:
        """Short, for files and tables."""
        ...

    @property
    def sentence(self) -> str:
        """What the policy is told."""
        ...

    @property
    def max_steps(self) -> int:
        """After so many steps without success an attempt counts as failed."""
        ...

    @property
    def has_buttons(self) -> bool:
        """Whether its scene has the buttons of the memory tasks."""
        ...

    def layout(self, seed: int) -> SceneLayout:
        """Draw where things are at the start of an episode."""
        ...

    def begin(self, model: Any, data: Any, layout: SceneLayout) -> Referee:
        """Return the referee of a new episode."""
        ...

    def measure(self, model: Any, data: Any) -> float:
        """Return how far the task is, as a number [m]; what it means depends on the task."""
        ...


@dataclass(frozen=True, slots=True)
class StateTask:
    """A task that is done when the world is in a certain state, whatever came before.

    Attributes:
        name: Short, for files and tables.
        sentence: What the policy is told.
        measure: How far the task is, as a number [m]; what it means depends on the task.
        succeeded: True while the task is done.
        max_steps: After so many steps without success an attempt counts as failed.
    """

    name: str
    sentence: str
    measure: Measure
    succeeded: Predicate
    max_steps: int = SHORT_STEPS

    @property
    def has_buttons(self) -> bool:
        """No memory is needed, hence no buttons."""
        return False

    def layout(self, seed: int) -> SceneLayout:
        """Draw from the distribution that all tasks of a state share."""
        return sample_layout(seed)

    def begin(self, model: Any, data: Any, layout: SceneLayout) -> "StateReferee":
        """Return the referee of a new episode."""
        del model, data, layout
        return StateReferee(self.succeeded)


class StateReferee:
    """Remembers that the task has been done at the end of any step."""

    failure = ""

    def __init__(self, is_done: Predicate) -> None:
        self._is_done = is_done
        self.succeeded = False

    def advance(self, model: Any, data: Any) -> None:
        """Look at the world after a step."""
        self.succeeded = self.succeeded or self._is_done(model, data)
