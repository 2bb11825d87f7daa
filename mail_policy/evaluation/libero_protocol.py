"""How others measure success rates on LIBERO. A rate means something only beside its protocol.

Sources: LIBERO's `lifelong/metric.py`, MaIL's simulation of LIBERO, openpi's `examples/libero`,
LeRobot's `envs/libero.py`.
"""

from dataclasses import dataclass
from enum import StrEnum

RATE_HZ = 20.0


class Suite(StrEnum):
    """A set of tasks of LIBERO; `libero_90` has 90, the others have ten."""

    SPATIAL = "libero_spatial"
    OBJECT = "libero_object"
    GOAL = "libero_goal"
    TEN = "libero_10"
    NINETY = "libero_90"


@dataclass(frozen=True, slots=True)
class LiberoTask:
    """A task of a suite.

    Attributes:
        number: Its place in the suite, from 0.
        name: Of its files, without their endings.
        sentence: What a policy is told. The sentence in the BDDL file differs for some tasks.
    """

    number: int
    name: str
    sentence: str


class SuccessRule(StrEnum):
    """What counts as success. Whichever it is, it counts from the step on in which it was seen."""

    REWARD = "reward of 1"
    DONE = "done"
    CHECK = "done or check_success"


@dataclass(frozen=True, kw_only=True, slots=True)
class LiberoProtocol:
    """A way to measure a success rate.

    Attributes:
        name: Of the project whose way it is.
        initial_states: So many of the 50 fixed initial states of each task, the first ones.
        settle_steps: Steps before the policy begins, in which objects come to rest.
        settle_gripper: Gripper command meanwhile: -1 opens, 0 leaves the fingers alone.
        max_steps: Steps after which an episode has failed.
        success: What counts.
        seeds: One run per seed. Mean and spread over runs are reported.
    """

    name: str
    initial_states: int
    settle_steps: int
    settle_gripper: float
    max_steps: dict[Suite, int]
    success: SuccessRule
    seeds: tuple[int, ...]


MAIL = LiberoProtocol(
    name="mail",
    initial_states=20,
    settle_steps=5,
    settle_gripper=-1.0,
    max_steps=dict.fromkeys(Suite, 600),
    success=SuccessRule.REWARD,
    seeds=(0, 1, 2),
)
LIBERO = LiberoProtocol(
    name="libero",
    initial_states=20,
    settle_steps=5,
    settle_gripper=0.0,
    max_steps=dict.fromkeys(Suite, 600),
    success=SuccessRule.DONE,
    seeds=(0,),
)
OPENPI = LiberoProtocol(
    name="openpi",
    initial_states=50,
    settle_steps=10,
    settle_gripper=-1.0,
    max_steps={
        Suite.SPATIAL: 220,
        Suite.OBJECT: 280,
        Suite.GOAL: 300,
        Suite.TEN: 520,
        Suite.NINETY: 400,
    },
    success=SuccessRule.DONE,
    seeds=(7,),
)
LEROBOT = LiberoProtocol(
    name="lerobot",
    initial_states=10,
    settle_steps=10,
    settle_gripper=-1.0,
    max_steps={
        Suite.SPATIAL: 280,
        Suite.OBJECT: 280,
        Suite.GOAL: 300,
        Suite.TEN: 520,
        Suite.NINETY: 400,
    },
    success=SuccessRule.CHECK,
    seeds=(0,),
)
PROTOCOLS = {protocol.name: protocol for protocol in (MAIL, LIBERO, OPENPI, LEROBOT)}
