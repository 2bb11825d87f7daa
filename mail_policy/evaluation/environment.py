"""What a policy can be tried in."""

from typing import Protocol, runtime_checkable

from mail_policy.core.frames import Array
from mail_policy.core.types import Observation


class Environment(Protocol):
    """A world that moves on by one period of the policy with every action."""

    def reset(self, seed: int) -> Observation:
        """Begin an episode. The same seed gives the same episode."""
        ...

    def step(self, action: Array) -> Observation:
        """Move the commanded pose by a row of EE_DELTA, shape (7,), and wait one period."""
        ...

    def step_joints(self, action: Array) -> Observation:
        """Go to the joint positions of a row of JOINT_POSITION, shape (8,), in one period."""
        ...

    def success(self) -> bool:
        """Whether the task has been done since the reset."""
        ...


@runtime_checkable
class SelfExplaining(Protocol):
    """An environment that knows what an episode lacks."""

    def explain(self) -> str:
        """Say in words why the task has not been done."""
        ...
