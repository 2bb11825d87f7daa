"""Episodes become decisions and batches; nothing is invented, nothing is lost."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mail_policy.data.augment import AugmentConfig, change_pictures, draw_changes
from mail_policy.data.batches import BatchConfig, BatchMaker
from mail_policy.data.dataset import (
    Decisions,
    WindowRule,
    make_decisions,
    measure_statistics,
    require_unbroken,
    split_episodes,
)
from mail_policy.data.episodes import DatasetError, EpisodeArrays, dataset_sha256
from mail_policy.data.normalisation import SMALLEST_STD, Statistics, statistics_of
from tests.unit.synthetic_episodes import PERIOD_S, TASK, episode, episodes

RULE = WindowRule(history=3, chunk=4, period_s=PERIOD_S)
CAMERAS = ("agentview", "wrist")
UNCHANGED = AugmentConfig(shift_pixels=0, brightness=0.0, colour_gain=0.0)


@pytest.fixture
def decisions() -> Decisions:
    return make_decisions(episodes(3), RULE, (TASK,))


@pytest.fixture
def maker(decisions: Decisions) -> BatchMaker:
    return BatchMaker(decisions, CAMERAS, *measure_statistics(decisions))


def test_every_step_is_a_decision_and_windows_never_leave_their_episode(
    decisions: Decisions,
) -> None:
    assert len(decisions) == 12 + 13 + 14
    assert decisions.valid.all()
    for start, end in zip(decisions.starts[:-1], decisions.starts[1:], strict=True):
        windows, targets = decisions.windows[start:end], decisions.targets[start:end]
        assert windows.min() == targets.min() == start
        assert windows.max() == targets.max() == end - 1
        assert windows[0].tolist() == [start] * 3
        assert windows[4].tolist() == [start + 2, start + 3, start + 4]
        assert decisions.target_exists[end - 2].tolist() == [True, True, False, False]


def test_statistics_are_those_of_the_training_actions(decisions: Decisions) -> None:
    actions, proprio = measure_statistics(decisions)
    np.testing.assert_allclose(actions.mean, decisions.actions.mean(axis=0))
    assert actions.std[0] == pytest.approx(decisions.actions[:, 0].std())
    # The gripper never moved: dividing by its spread would blow up noise.
    assert actions.std[6] == SMALLEST_STD
    assert len(proprio.mean) == 8


def test_normalising_and_restoring_gives_the_values_back() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, (50, 7))
    statistics = statistics_of(values)
    normal = statistics.normalise(values)
    np.testing.assert_allclose(normal.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(normal.std(axis=0), 1.0, atol=1e-6)
    np.testing.assert_allclose(statistics.restore(normal), values, atol=1e-5)


@pytest.mark.parametrize(
    ("mean", "std", "says"),
    [
        ((0.0,), (float("nan"),), "must be finite"),
        ((float("inf"),), (1.0,), "must be finite"),
        ((0.0,), (0.0,), "greater than"),
        ((0.0, 1.0), (1.0,), "as many means"),
    ],
)
def test_statistics_that_make_nonsense_are_refused(
    mean: tuple[float, ...], std: tuple[float, ...], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Statistics(mean=mean, std=std)


def test_a_batch_holds_each_frame_of_a_segment_once(maker: BatchMaker) -> None:
    config = BatchConfig(segments=5, decisions_per_segment=6)
    rng = np.random.default_rng(0)
    batch = maker.training_batch(config, UNCHANGED, 0.0, rng)
    assert batch.windows.shape == (30, 3)
    assert batch.actions.shape == (30, 4, 7)
    assert len(batch.proprio) == len(batch.images[0]) <= 5 * (6 + 3 - 1)


def test_a_batch_gathers_what_the_decisions_say(decisions: Decisions, maker: BatchMaker) -> None:
    (batch,) = maker.validation_batches(len(decisions))
    actions, proprio = measure_statistics(decisions)
    for row in range(len(decisions)):
        for camera, images in zip(CAMERAS, batch.images, strict=True):
            seen = (255 * images[batch.windows[row]]).round().byte().permute(0, 2, 3, 1)
            shown = decisions.images[camera].take(decisions.windows[row])
            assert np.array_equal(seen.numpy(), shown)
        state = proprio.restore(batch.proprio[batch.windows[row]].numpy())
        np.testing.assert_allclose(state, decisions.proprio[decisions.windows[row]], atol=1e-5)
        wanted = actions.restore(batch.actions[row].numpy())
        np.testing.assert_allclose(wanted, decisions.actions[decisions.targets[row]], atol=1e-6)
    assert np.array_equal(batch.mask.numpy(), decisions.target_exists)


def test_validation_covers_every_decision_once(decisions: Decisions, maker: BatchMaker) -> None:
    batches = list(maker.validation_batches(16))
    assert [len(batch.tasks) for batch in batches] == [16, 16, 7]
    assert sum(float(batch.mask.sum()) for batch in batches) == decisions.target_exists.sum()


def test_the_same_source_of_chance_gives_the_same_batch(maker: BatchMaker) -> None:
    def draw(seed: int) -> torch.Tensor:
        rng = np.random.default_rng(seed)
        return maker.training_batch(BatchConfig(), AugmentConfig(), 0.5, rng).images[0]

    assert torch.equal(draw(1), draw(1))
    assert draw(1).shape != draw(2).shape or not torch.equal(draw(1), draw(2))


def test_every_decision_is_drawn_about_equally_often(decisions: Decisions) -> None:
    # The target of decision i is i: the mask then counts how often it was drawn.
    marked = decisions.actions.copy()
    marked[:, 0] = np.arange(len(decisions))
    one = Statistics(mean=(0.0,) * 7, std=(1.0,) * 7)
    marked_decisions = make_decisions(episodes(3), RULE, (TASK,))
    object.__setattr__(marked_decisions, "actions", marked)
    maker = BatchMaker(marked_decisions, CAMERAS, one, Statistics(mean=(0.0,) * 8, std=(1.0,) * 8))
    counts, rng = np.zeros(len(decisions)), np.random.default_rng(0)
    for _ in range(300):
        batch = maker.training_batch(BatchConfig(segments=8), UNCHANGED, 0.0, rng)
        drawn = batch.actions[batch.mask[:, 0] > 0][:, 0, 0].long()
        np.add.at(counts, drawn.numpy(), 1)
    assert counts.min() > 0.6 * counts.mean()
    assert counts.max() < 1.4 * counts.mean()


def test_hidden_proprio_is_the_mean(maker: BatchMaker) -> None:
    rng = np.random.default_rng(0)
    assert not maker.training_batch(BatchConfig(), UNCHANGED, 1.0, rng).proprio.any()
    assert maker.training_batch(BatchConfig(), UNCHANGED, 0.0, rng).proprio.all()


def test_a_policy_with_memory_does_not_learn_from_a_broken_episode() -> None:
    whole, broken = episode("whole", seed=0, steps=10), episode("broken", seed=0, steps=10)
    broken.times_s[5:] += 0.05
    require_unbroken([whole], PERIOD_S)
    with pytest.raises(DatasetError, match=r"episode broken: a step is missing 0\.30 s after"):
        require_unbroken([whole, broken], PERIOD_S)


def test_windows_over_a_gap_do_not_count() -> None:
    gappy = episode("gappy", seed=0, steps=10)
    gappy.times_s[5:] += 0.1
    decisions = make_decisions([gappy], RULE, (TASK,))
    assert decisions.valid.tolist() == [True] * 5 + [False, False] + [True] * 3
    maker = BatchMaker(decisions, CAMERAS, *measure_statistics(decisions))
    (batch,) = maker.validation_batches(10)
    assert not batch.mask[5:7].any()
    assert batch.mask[7].tolist() == [1.0, 1.0, 1.0, 0.0]


def augment(
    images: NDArray[np.uint8], groups: NDArray[np.int64], config: AugmentConfig, seed: int
) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    changes = draw_changes(groups, int(groups.max()) + 1, config, rng)
    return change_pictures(torch.from_numpy(images), changes)


def test_shift_moves_all_pictures_of_a_group_alike_and_repeats_the_border() -> None:
    images = np.random.default_rng(0).integers(0, 255, (6, 12, 10, 3), dtype=np.uint8)
    images[1:3] = images[0]
    images[4:] = images[3]
    groups = np.array([0, 0, 0, 1, 1, 1])
    config = AugmentConfig(shift_pixels=3, brightness=0.0, colour_gain=0.0)
    moved = augment(images, groups, config, seed=3)
    assert torch.equal(moved[0], moved[1])
    assert torch.equal(moved[3], moved[5])
    whole = torch.from_numpy(np.pad(images[0], ((3, 3), (3, 3), (0, 0)), mode="edge"))
    candidates = [whole[y : y + 12, x : x + 10] for y in range(7) for x in range(7)]
    first = (255 * moved[0]).round().byte().permute(1, 2, 0)
    assert sum(torch.equal(first, candidate) for candidate in candidates) >= 1


def test_colours_change_by_no_more_than_asked() -> None:
    images = np.full((40, 4, 4, 3), 128, dtype=np.uint8)
    config = AugmentConfig(shift_pixels=0, brightness=0.1, colour_gain=0.2)
    changed = augment(images, np.arange(40), config, seed=0)
    assert changed.std() > 0.01
    assert changed.min() >= 128 / 255 * 0.8 - 0.1 - 1e-6
    assert changed.max() <= 128 / 255 * 1.2 + 0.1 + 1e-6


def test_split_keeps_episodes_whole_and_is_the_same_for_a_seed() -> None:
    recorded = episodes(6)
    split = split_episodes(recorded, held_out=2, seed=3)
    assert len(split.validation) == 2
    ids = [e.id for e in (*split.training, *split.validation)]
    assert sorted(ids) == [e.id for e in recorded]
    again = split_episodes(recorded, held_out=2, seed=3)
    assert [e.id for e in again.validation] == [e.id for e in split.validation]
    with pytest.raises(DatasetError, match="cannot hold out 6 of 6"):
        split_episodes(recorded, held_out=6, seed=0)


def test_the_hash_of_a_dataset_sees_a_single_changed_number() -> None:
    before = dataset_sha256(episodes(2))
    assert dataset_sha256(episodes(2)) == before
    changed = episodes(2)
    changed[1].actions[3, 2] += 1e-9
    assert dataset_sha256(changed) != before


def test_episodes_with_holes_are_refused_by_name() -> None:
    good = episode("bad-one", seed=0)
    actions = good.actions.copy()
    actions[2, 1] = np.nan
    with pytest.raises(DatasetError, match="bad-one: actions holds NaN"):
        EpisodeArrays(
            good.id,
            good.task,
            good.times_s,
            good.images,
            good.joint_positions,
            good.gripper_widths_m,
            actions,
        )
