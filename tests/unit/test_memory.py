"""A policy with memory, from episodes to chunks: training, history, predictor."""

from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from mail_policy.core.config import to_plain
from mail_policy.core.types import Hold, Observation
from mail_policy.data.batches import BatchMaker
from mail_policy.data.dataset import make_decisions, measure_statistics, sentences_of
from mail_policy.data.windows import Window
from mail_policy.inference.episode_history import EpisodeHistory
from mail_policy.inference.predictor import Predictor
from mail_policy.training.config import TrainConfig, window_rule
from mail_policy.training.memory import learn_episodes, predict_episodes
from mail_policy.training.train import prepare, train
from tests.unit.synthetic_episodes import PERIOD_S, episode, episodes, train_config

MODEL = {
    "history": 1,
    "stateful": True,
    "backbone": {
        "kind": "aggregation",
        "encoder": {"layers": 1, "state_size": 4},
        "decoder": {"layers": 1, "state_size": 4},
    },
}


def config(**changes: object) -> TrainConfig:
    model = to_plain(train_config().model)
    return train_config(model={**model, **MODEL}, **changes)


def observation(stamp_s: float) -> Observation:
    return Observation(stamp_s, {}, np.zeros(7), 0.08)


def taken(history: EpisodeHistory) -> list[float]:
    window = history.window()
    assert isinstance(window, Window)
    return [round(step.captured_at_s, 4) for step in window.observations]


def test_every_step_is_handed_over_once() -> None:
    history = EpisodeHistory(PERIOD_S)
    for stamp_s in (1.0, 1.05, 1.1):
        assert history.push(observation(stamp_s))
    assert taken(history) == [1.0, 1.05, 1.1]
    waiting = history.window()
    assert isinstance(waiting, Hold)
    assert waiting.reason == "no new control step yet"
    history.push(observation(1.15))
    assert taken(history) == [1.15]


def test_faster_cameras_are_thinned_to_the_grid() -> None:
    history = EpisodeHistory(PERIOD_S)
    stamps_s = 2.0 + np.arange(31) / 30.0
    for stamp_s in stamps_s:
        history.push(observation(float(stamp_s)))
    steps = np.array(taken(history))
    grid = 2.0 + PERIOD_S * np.arange(len(steps))
    assert len(steps) == 21
    assert np.abs(steps - grid).max() <= PERIOD_S / 2


def test_a_gap_ends_the_episode_until_the_next_start() -> None:
    history = EpisodeHistory(PERIOD_S)
    history.push(observation(1.0))
    assert not history.push(observation(1.2))
    hold = history.window()
    assert isinstance(hold, Hold)
    assert "start the task again" in hold.reason
    assert not history.push(observation(1.25))
    history.reset()
    assert history.push(observation(1.3))
    assert taken(history) == [1.3]


def test_steps_that_nobody_looks_at_do_not_fill_the_memory() -> None:
    history = EpisodeHistory(PERIOD_S)
    for step in range(1300):
        history.push(observation(step * PERIOD_S))
    hold = history.window()
    assert isinstance(hold, Hold)
    assert "1200 steps were not looked at" in hold.reason


def maker(settings: TrainConfig, recorded: list) -> BatchMaker:
    decisions = make_decisions(recorded, window_rule(settings), sentences_of(recorded))
    return BatchMaker(decisions, ("agentview", "wrist"), *measure_statistics(decisions))


def test_episodes_in_parts_teach_and_predict_what_whole_episodes_do() -> None:
    settings = config()
    recorded = episodes(3)  # of 12, 13 and 14 steps
    run = prepare(settings, episodes(6), "test")
    policy, batches = run.trainer.policy, maker(settings, recorded)
    numbers = np.arange(3)

    def encode(batch: object) -> torch.Tensor:
        return policy.encode_frames(batch.images, batch.proprio)

    losses, chunks = [], []
    for steps in (5, 20):
        parts = list(batches.episode_batches(numbers, steps))
        assert sum(int(part.mask[:, 0].sum()) for part in parts) == batches.steps_of(numbers) == 39
        policy.zero_grad()
        targets = batches.targets_of(numbers)
        assert sum(int(part.mask.sum()) for part in parts) == targets
        total = learn_episodes(policy, parts, encode, targets, torch.Generator())
        losses.append(total)
        shown = [
            (chunk.view(3, -1, 4, 7), batch)
            for batch, chunk in predict_episodes(policy, parts, torch.Generator())
        ]
        chunks.append(torch.cat([chunk for chunk, _ in shown], dim=1)[:, :14])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    torch.testing.assert_close(chunks[0], chunks[1], rtol=0, atol=1e-5)


def test_a_policy_with_memory_is_trained_saved_and_served(tmp_path: Path) -> None:
    run = prepare(config(), episodes(6), "test")
    before = run.trainer.policy.tok_emb.weight.detach().clone()
    folder = train(run, tmp_path, Console(quiet=True), tensorboard=False)
    assert not torch.equal(run.trainer.policy.tok_emb.weight, before)
    predictor = Predictor(folder)
    predictor.warm_up()
    recorded = episode("live", seed=5, steps=9)
    plans = []
    for every in (1, 4):  # how often it plans must not change what it remembers
        predictor.reset()
        history = predictor.new_history()
        for step in range(9):
            history.push(recorded.observation(step))
            if step % every == 0:
                window = history.window()
                assert isinstance(window, Window)
                chunk = predictor.predict(window)
        plans.append(chunk)
    np.testing.assert_allclose(plans[0], plans[1], atol=1e-6)
    assert not np.allclose(plans[0], predictor.predict(Window((recorded.observation(8),))))


def test_frames_between_the_steps_do_not_push_a_step_out_of_the_cache(tmp_path: Path) -> None:
    """Cameras are faster than the policy, and a waiting node encodes whatever is newest."""
    run = prepare(config(), episodes(6), "test")
    folder = train(run, tmp_path, Console(quiet=True), tensorboard=False)
    recorded = episode("live", seed=5, steps=9)
    steps = [recorded.observation(step) for step in range(9)]
    plain, busy = Predictor(folder), Predictor(folder)
    for step in (1, 0, 3, 2, 5, 4):  # some of them steps of the window, in any order
        busy.encode(steps[step])
    window = Window((steps[0], steps[1], steps[3], steps[6]))
    np.testing.assert_allclose(busy.predict(window), plain.predict(window), atol=1e-6)
