"""Plays one scripted episode, with the disturbances that teach a policy to recover."""

from dataclasses import dataclass

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.types import Observation
from mail_sim.world.experts import Expert
from mail_sim.world.servo import ServoConfig
from mail_sim.world.world import World

MAX_STEPS = 600
# Steps that are kept after the success, so that a policy learns to stay.
TAIL_STEPS = 5

_BURST_STEPS = 15
_BURST_SHARE = 0.5
# Turns are disturbed less than shifts: they do not come back as quickly.
_ROTATION_SHARE = 0.3
_NOISE_STREAM = 3


@dataclass(frozen=True, slots=True, eq=False)
class Demonstration:
    """A played episode.

    Attributes:
        steps: Each observation with the expert's action upon it; None upon the last one.
        success: Whether the task was done.
    """

    steps: list[tuple[Observation, Array | None]]
    success: bool


class Disturbance:
    """Pushes the executed actions aside in bursts, while the label stays the expert's own.

    That is DART (Laskey et al. 2017): the data then show how to come back from mistakes.
    """

    def __init__(self, noise: float, seed: int) -> None:
        """Prepare.

        Args:
            noise: Standard deviation of the push, as a share of the expert's largest step.
            seed: Seed of the episode.
        """
        if not 0.0 <= noise <= 1.0:
            raise ValueError(f"noise must be a share in [0, 1], got {noise}")
        config = ServoConfig()
        self._spread = noise * np.repeat(
            [config.max_translation_m, _ROTATION_SHARE * config.max_rotation_rad], 3
        )
        self._random = np.random.default_rng([seed, _NOISE_STREAM])
        self._push = np.zeros(6)
        self._step = 0

    def disturbed(self, action: Array) -> Array:
        """Return the action that is executed, shape (7,). The gripper is never disturbed."""
        if self._step % _BURST_STEPS == 0:
            active = self._random.uniform() < _BURST_SHARE
            self._push = active * self._random.normal(0.0, self._spread)
        self._step += 1
        return np.append(action[:6] + self._push, action[6])


def demonstrate(world: World, seed: int, noise: float) -> Demonstration:
    """Let the expert play one episode from a seed."""
    observation = world.reset(seed)
    expert, disturbance = Expert(world), Disturbance(noise, seed)
    steps: list[tuple[Observation, Array | None]] = []
    tail = 0
    while tail < TAIL_STEPS and len(steps) < MAX_STEPS:
        tail += world.success()
        action = expert.act()
        steps.append((observation, action))
        observation = world.step(disturbance.disturbed(action))
    steps.append((observation, None))
    return Demonstration(steps, world.success())
