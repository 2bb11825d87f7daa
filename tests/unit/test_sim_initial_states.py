"""The fixed initial states stay what they were when the benchmark was published."""

import mujoco
import pytest

from mail_policy.evaluation.seeds import FIRST_EVALUATION_SEED
from mail_sim.world.initial_states import current, fingerprint, published
from mail_sim.world.suites import INITIAL_STATES, SUITES, initial_state_seeds
from mail_sim.world.world import World


def test_the_initial_states_are_the_published_ones() -> None:
    states = published()
    assert states.mujoco == mujoco.__version__, (
        "another MuJoCo settles the scene differently: check the experts, then publish the states "
        "anew with `python -m mail_sim.world.initial_states --write`"
    )
    assert current() == states


def test_there_are_fifty_different_ones_of_each_suite() -> None:
    states = published()
    assert states.first_seed == FIRST_EVALUATION_SEED
    assert states.sha256.keys() == SUITES.keys()
    for sha256 in states.sha256.values():
        assert len(set(sha256)) == len(sha256) == INITIAL_STATES == 50


def test_all_tasks_of_a_suite_start_alike() -> None:
    for tasks in SUITES.values():
        for seed in (*initial_state_seeds(3), 7):
            assert len({repr(task.layout(seed)) for task in tasks}) == 1


def test_a_state_that_moved_by_ten_nanometres_is_noticed() -> None:
    with World(render=False) as world:
        world.reset(FIRST_EVALUATION_SEED)
        before = fingerprint(world)
        assert before == published().sha256["drawers10"][0]
        world.data.qpos[12] += 1e-8
        assert fingerprint(world) != before


def test_seeds_beyond_the_published_ones_are_refused() -> None:
    assert list(initial_state_seeds(2)) == [FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + 1]
    with pytest.raises(ValueError, match="a task has 50 initial states, got 51"):
        initial_state_seeds(51)
