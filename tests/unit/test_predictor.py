"""The predictor: SI units out, every frame encoded once, the same answer with and without cache."""

from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from mail_policy.core.types import Observation
from mail_policy.data.windows import Window
from mail_policy.inference.checkpoint import WEIGHTS_NAME
from mail_policy.inference.history import HistoryBuffer
from mail_policy.inference.predictor import PredictionError, Predictor
from mail_policy.inference.sentences import UnknownTaskError
from mail_policy.inference.weights import load_policy
from mail_policy.training.train import prepare, train
from tests.unit.synthetic_episodes import PERIOD_S, SIZE, TASK, episode, episodes, train_config

OTHER_TASK = "stay away from the square"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recorded = [*episodes(4), episode("other", seed=9, task=OTHER_TASK)]
    run = prepare(train_config(), recorded, "test")
    return train(run, tmp_path_factory.mktemp("run"), Console(quiet=True), tensorboard=False)


@pytest.fixture
def predictor(folder: Path) -> Predictor:
    predictor = Predictor(folder)
    predictor.set_task(TASK)
    return predictor


def windows(count: int = 8) -> list[Window]:
    """Return the windows of an episode as the robot builds them."""
    recorded, history, found = episode("live", seed=5, steps=count), HistoryBuffer(3, PERIOD_S), []
    for step in range(count):
        history.push(recorded.observation(step))
        window = history.window()
        assert isinstance(window, Window)
        found.append(window)
    return found


def test_the_cache_changes_nothing(folder: Path, predictor: Predictor) -> None:
    for window in windows():
        fresh = Predictor(folder)
        fresh.set_task(TASK)
        np.testing.assert_allclose(predictor.predict(window), fresh.predict(window), atol=1e-6)


def test_every_frame_is_encoded_once(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, encoded = predictor._served.encode_frames, []

    def counted(images: list[torch.Tensor], proprio: torch.Tensor | None) -> torch.Tensor:
        encoded.append(len(images[0]))
        return encode(images, proprio)

    monkeypatch.setattr(predictor._served, "encode_frames", counted)
    for window in windows():
        predictor.encode(window.newest)
        predictor.predict(window)
    assert encoded == [1] * 8
    predictor.reset()
    predictor.predict(windows()[-1])
    assert encoded == [1] * 8 + [3]


def test_the_cache_stays_small(predictor: Predictor) -> None:
    for window in windows(60):
        predictor.predict(window)
    assert len(predictor._frames) <= 12


def test_values_are_si_units_and_the_gripper_stays_in_its_range(predictor: Predictor) -> None:
    values = predictor.predict(windows()[-1])
    assert values.shape == (4, 7)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    assert (values[:, 6] >= 0.0).all()
    assert (values[:, 6] <= 0.08).all()


def test_larger_pictures_are_averaged_to_the_size_of_the_checkpoint(predictor: Predictor) -> None:
    def enlarged(seen: Observation) -> Observation:
        large = {name: image.repeat(4, 0).repeat(4, 1) for name, image in seen.images.items()}
        assert large["wrist"].shape == (4 * SIZE, 4 * SIZE, 3)
        return Observation(seen.captured_at_s, large, seen.joint_positions, seen.gripper_width_m)

    window = windows()[-1]
    values = predictor.predict(window)
    predictor.reset()
    large = Window(tuple(map(enlarged, window.observations)))
    np.testing.assert_allclose(predictor.predict(large), values, atol=1e-6)


def test_the_task_decides(predictor: Predictor) -> None:
    window = windows()[-1]
    values = predictor.predict(window)
    assert predictor.set_task("stay away") == OTHER_TASK
    assert not np.allclose(predictor.predict(window), values)


def test_without_a_task_or_with_an_unknown_one_nothing_is_predicted(folder: Path) -> None:
    predictor = Predictor(folder)
    with pytest.raises(PredictionError, match="no task is set"):
        predictor.predict(windows()[0])
    with pytest.raises(UnknownTaskError, match="nearest"):
        predictor.set_task("make coffee")


def test_a_missing_camera_is_named(predictor: Predictor) -> None:
    seen = windows()[0].newest
    without = Observation(
        99.0, {"agentview": seen.images["agentview"]}, seen.joint_positions, seen.gripper_width_m
    )
    with pytest.raises(PredictionError, match="needs camera 'wrist', got agentview"):
        predictor.encode(without)


def test_a_window_of_the_wrong_length_is_refused(predictor: Predictor) -> None:
    with pytest.raises(PredictionError, match="must have 3 observations, got 2"):
        predictor.predict(Window(windows()[0].observations[:2]))


def test_the_training_set_and_the_robot_give_the_policy_the_same(folder: Path) -> None:
    """Predictions from the loader's tensors equal those from replayed observations."""
    from mail_policy.data.batches import BatchMaker
    from mail_policy.data.dataset import WindowRule, make_decisions

    predictor = Predictor(folder)
    predictor.set_task(TASK)
    manifest = predictor.manifest
    recorded = episode("live", seed=5, steps=8)
    decisions = make_decisions([recorded], WindowRule(3, 4, PERIOD_S), manifest.task_sentences)
    assert manifest.proprio is not None
    maker = BatchMaker(decisions, manifest.model.camera_names, manifest.actions, manifest.proprio)
    (batch,) = maker.validation_batches(8)
    known = len(manifest.task_sentences)
    weights = folder / WEIGHTS_NAME
    policy = load_policy(weights, manifest.model, known, manifest.weights_sha256)
    with torch.inference_mode():
        frames = policy.encode_frames(batch.images, batch.proprio)
        chunks = policy.predict(frames[batch.windows], batch.tasks).numpy()
    for step, window in enumerate(windows()):
        expected = manifest.actions.restore(chunks[step])
        expected[:, 6] = expected[:, 6].clip(0.0, 0.08)
        np.testing.assert_allclose(predictor.predict(window), expected, atol=1e-6)
