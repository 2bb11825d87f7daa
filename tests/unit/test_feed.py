"""Batches made ahead, or in shares, are those that one process makes when it needs them."""

import dataclasses

import numpy as np
import pytest
import torch

from mail_policy.core.config import to_plain
from mail_policy.data.batch import Batch
from mail_policy.data.batches import BatchMaker, Share
from mail_policy.data.dataset import make_decisions, measure_statistics, sentences_of
from mail_policy.data.episodes import DatasetError
from mail_policy.training.config import TrainConfig, window_rule
from mail_policy.training.feed import Feed, Part
from tests.unit.synthetic_episodes import episodes, train_config

WINDOWS = train_config()
MEMORY = train_config(model={**to_plain(WINDOWS.model), "history": 1, "stateful": True})
EVERYTHING = Share()


def maker(config: TrainConfig, share: Share = EVERYTHING) -> BatchMaker:
    recorded = episodes(6)
    decisions = make_decisions(recorded, window_rule(config), sentences_of(recorded))
    names = config.model.camera_names
    return BatchMaker(decisions, names, *measure_statistics(decisions), share)


def feed(config: TrainConfig, share: Share = EVERYTHING) -> Feed:
    return Feed(config, maker(config, share), stage=lambda batch: batch)


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    """Return everything that a policy gets, by name."""
    names = [field.name for field in dataclasses.fields(batch)]
    values = {name: getattr(batch, name) for name in names}
    whole = {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
    return whole | {f"images {camera}": images for camera, images in enumerate(batch.images)}


def assert_same(one: list[Part], other: list[Part]) -> None:
    for a, b in zip(one, other, strict=True):
        assert (a.samples, a.chance, a.is_last) == (b.samples, b.chance, b.is_last)
        for name, value in tensors(a.batch).items():
            assert torch.equal(value, tensors(b.batch)[name]), name


@pytest.mark.parametrize("config", [WINDOWS, MEMORY], ids=["windows", "memory"])
def test_what_a_step_learns_from_depends_on_its_number_only(config: TrainConfig) -> None:
    in_order = feed(config)
    steps = [list(in_order.step(number)) for number in range(4)]
    assert all(
        [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True] for parts in steps
    )
    assert_same(list(feed(config).step(2)), steps[2])
    # Also when a run goes back, or forth.
    assert_same(list(in_order.step(1)), steps[1])
    assert_same(list(in_order.step(3)), steps[3])


def test_a_step_draws_what_the_maker_draws_from_its_seed() -> None:
    config = WINDOWS
    (part,) = feed(config).step(3)
    rng = np.random.default_rng([config.seed, 3])
    proprio = config.model.proprio
    assert proprio is not None
    batch = maker(config).training_batch(config.batch, config.augment, proprio.dropout, rng)
    for name, value in tensors(part.batch).items():
        assert torch.equal(value, tensors(batch)[name]), name
    assert part.samples == 12


@pytest.mark.parametrize("config", [WINDOWS, MEMORY], ids=["windows", "memory"])
def test_shares_together_are_the_whole_batch(config: TrainConfig) -> None:
    whole = next(feed(config).step(0)).batch
    shares = [next(feed(config, Share(rank, 2)).step(0)).batch for rank in range(2)]
    assert [len(share.mask) for share in shares] == [8, 4]
    for name in ("mask", "actions", "tasks"):
        joined = torch.cat([getattr(share, name) for share in shares])
        assert torch.equal(joined, getattr(whole, name)), name
    for share in shares:
        assert torch.equal(share.mask_of_all, whole.mask)
    # What the decisions see, augmented as in the whole batch.
    for camera in range(2):
        seen = torch.cat([share.images[camera][share.windows] for share in shares])
        assert torch.equal(seen, whole.images[camera][whole.windows])
    proprio = torch.cat([share.proprio[share.windows] for share in shares])
    assert torch.equal(proprio, whole.proprio[whole.windows])


def test_more_processes_than_segments_are_refused() -> None:
    with pytest.raises(DatasetError, match="4 processes cannot share 3 segments"):
        list(feed(WINDOWS, Share(0, 4)).step(0))
