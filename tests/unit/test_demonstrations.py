"""Which demonstrations are learned from, which windows they give, where actions end."""

import dataclasses

import numpy as np
import pytest

from mail_policy.core.config import to_plain
from mail_policy.data.batches import BatchConfig, BatchMaker
from mail_policy.data.dataset import (
    WindowRule,
    make_decisions,
    measure_statistics,
    sentences_of,
)
from mail_policy.data.demonstrations import (
    DemonstrationConfig,
    DemonstrationOrder,
    choose_demonstrations,
    demonstration_order,
)
from mail_policy.data.episodes import DatasetError
from mail_policy.data.normalisation import Bounds, action_bounds, statistics_of
from mail_policy.models.config import Windows
from mail_policy.training.train import prepare
from tests.unit.synthetic_episodes import PERIOD_S, TASK, episode, episodes, train_config

NO_AUGMENTATION = train_config(
    augment={"shift_pixels": 0, "brightness": 0.0, "colour_gain": 0.0}
).augment
# Ids that the published code used of 50 demonstrations (mail-model.md 6, row 7).
PUBLISHED = {
    5: [0, 1, 12, 23, 34],
    10: [0, 1, 12, 23, 34, 45, 46, 47, 48, 49],
    20: [0, 1, 12, 23, 34, 45, 46, 47, 48, 49, *range(2, 12)],
    30: [0, 1, 12, 23, 34, 45, 46, 47, 48, 49, *range(2, 12), *range(13, 23)],
}


@pytest.mark.parametrize(("count", "ids"), PUBLISHED.items())
def test_published_demonstrations_are_those_of_the_published_code(
    count: int, ids: list[int]
) -> None:
    order = demonstration_order(50, DemonstrationOrder.PUBLISHED, seed=0)
    assert sorted(order[:count]) == sorted(ids)
    assert sorted(order) == list(range(50))


def test_other_orders_are_numeric_or_drawn_from_the_seed() -> None:
    numeric, seeded = DemonstrationOrder.NUMERIC, DemonstrationOrder.SEEDED
    assert demonstration_order(4, numeric, seed=3) == [0, 1, 2, 3]
    assert demonstration_order(30, seeded, seed=3) == demonstration_order(30, seeded, seed=3)
    assert demonstration_order(30, seeded, seed=3) != demonstration_order(30, seeded, seed=4)


def test_so_many_demonstrations_of_each_task_are_used() -> None:
    other = [episode(f"other-{i}", seed=i, task="stay away") for i in range(3)]
    chosen = choose_demonstrations([*episodes(4), *other], DemonstrationConfig(per_task=2), 0)
    assert [one.id for one in chosen] == ["episode-0", "episode-1", "other-0", "other-1"]
    run = prepare(train_config(demonstrations={"per_task": 3}), episodes(6), "test")
    used = [*run.learned.split.training, *run.learned.split.validation]
    assert sorted(one.id for one in used) == ["episode-0", "episode-1", "episode-2"]


def test_too_few_demonstrations_are_refused() -> None:
    with pytest.raises(DatasetError, match=f"5 demonstrations of '{TASK}' are wanted, there are 4"):
        choose_demonstrations(episodes(4), DemonstrationConfig(per_task=5), 0)
    with pytest.raises(ValueError, match="per_task must be at least 1"):
        DemonstrationConfig(per_task=0)


def test_published_windows_lie_inside_an_episode_and_short_episodes_give_none() -> None:
    rule = WindowRule(3, 4, PERIOD_S, Windows.PUBLISHED)
    lengths = (9, 5, 6)  # a window and its chunk need 3 + 4 - 1 = 6 steps
    recorded = [episode(f"{n}", seed=n, steps=n) for n in lengths]
    decisions = make_decisions(recorded, rule, sentences_of(recorded))
    assert np.flatnonzero(decisions.valid).tolist() == [2, 3, 4, 5, 16]
    assert decisions.windows[2].tolist() == [0, 1, 2]
    assert decisions.targets[2].tolist() == [2, 3, 4, 5]
    padded = make_decisions(
        recorded, dataclasses.replace(rule, windows=Windows.PADDED), sentences_of(recorded)
    )
    assert padded.valid.all()
    with pytest.raises(DatasetError, match="no episode is long enough"):
        make_decisions(recorded[1:2], rule, sentences_of(recorded))


def test_only_valid_decisions_are_drawn() -> None:
    rule = WindowRule(3, 4, PERIOD_S, Windows.PUBLISHED)
    recorded = [episode("nine", seed=0, steps=9)]
    decisions = make_decisions(recorded, rule, sentences_of(recorded))
    maker = BatchMaker(decisions, ("agentview", "wrist"), *measure_statistics(decisions))
    size = BatchConfig(segments=50, decisions_per_segment=1)
    batch = maker.training_batch(size, NO_AUGMENTATION, 0.0, np.random.default_rng(0))
    assert bool(batch.mask.all())


def test_bounds_are_the_extremes_or_ignore_one_outlier_in_a_thousand() -> None:
    values = np.random.default_rng(0).uniform(-1.0, 1.0, (5000, 2))
    values[7] = 50.0
    statistics = statistics_of(values)
    low, high = action_bounds(values, statistics, Bounds.MIN_MAX)
    np.testing.assert_allclose(statistics.restore(high), [50.0, 50.0], atol=1e-3)
    np.testing.assert_allclose(statistics.restore(low), values.min(axis=0), atol=1e-3)
    low, high = action_bounds(values, statistics, Bounds.PERCENTILE)
    assert (statistics.restore(high) < 1.1).all()
    assert (statistics.restore(high) > 0.9).all()
    still = np.zeros((10, 1))
    low, high = action_bounds(still, statistics_of(still), Bounds.MIN_MAX)
    assert low[0] < high[0]


def test_a_denoising_policy_is_trained_with_the_bounds_of_its_data() -> None:
    changes = {"head": {"kind": "flow", "steps": 2}}
    model = {**to_plain(train_config().model), **changes}
    run = prepare(train_config(model=model, action_bounds="min_max"), episodes(6), "test")
    head = run.trainer.policy.head
    shown = np.concatenate([one.actions for one in run.learned.split.training])
    np.testing.assert_allclose(
        run.learned.actions.restore(head.action_high.numpy()), shown.max(axis=0), atol=2e-4
    )
    assert bool((run.trainer.averaged.policy.head.action_high == head.action_high).all())
    assert np.isfinite(run.trainer.run_step().loss)
    assert run.trainer.validate() is not None
