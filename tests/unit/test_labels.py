"""Recorded actions teach the same motion in every action schema."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from mail_policy.core.action_schema import (
    EE_DELTA,
    EE_RELATIVE,
    JOINT_POSITION,
    SCHEMAS,
    ActionSchema,
    rows_from_targets,
    schema_named,
    targets_from_rows,
)
from mail_policy.core.config import to_plain
from mail_policy.core.frames import pose_error
from mail_policy.core.kinematics import (
    HOME_JOINT_POSITIONS,
    forward_kinematics,
    inverse_kinematics,
)
from mail_policy.core.types import Observation
from mail_policy.data.dataset import WindowRule, make_decisions, measure_statistics
from mail_policy.data.episodes import DatasetError, EpisodeArrays
from mail_policy.data.windows import Window
from mail_policy.evaluation.rollout import RolloutConfig, run_episode
from mail_policy.inference.history import HistoryBuffer
from mail_policy.inference.predictor import Predictor
from mail_policy.training.train import prepare, train
from mail_sim.direct_evaluation import SteppedTwin
from mail_sim.world.demonstration import demonstrate
from mail_sim.world.tasks import TASKS
from mail_sim.world.world import World
from tests.unit.synthetic_episodes import PERIOD_S, TASK, train_config
from tests.unit.synthetic_episodes import episode as pictures

STEPS, CHUNK = 12, 4
schemas = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=lambda schema: schema.name)


def driven(name: str = "driven", seed: int = 0, steps: int = STEPS) -> EpisodeArrays:
    """Return an episode of EE_DELTA whose set-points are those that its actions led to."""
    rng = np.random.default_rng(seed)
    actions = np.zeros((steps, 7))
    actions[:, :6] = 0.005 * rng.normal(size=(steps, 6))
    actions[:, 6] = rng.uniform(0.0, 0.08, steps)
    set_points = [HOME_JOINT_POSITIONS]
    pose = forward_kinematics(HOME_JOINT_POSITIONS)
    for action in actions[:-1]:
        (pose,) = targets_from_rows(EE_DELTA, pose, action[None])
        set_points.append(inverse_kinematics(pose, set_points[-1]).joint_positions)
    return replace(
        pictures(name, seed, steps),
        joint_positions=np.array(set_points) + 0.01,
        actions=actions,
        set_points=np.array(set_points),
    )


def recorded_in(schema: ActionSchema, episode: EpisodeArrays) -> EpisodeArrays:
    """Return the same episode with its actions recorded in another schema."""
    rows = []
    for joints, action in zip(episode.commanded, episode.actions, strict=True):
        anchor = forward_kinematics(joints)
        targets = targets_from_rows(EE_DELTA, anchor, action[None])
        if not schema.is_cartesian:
            targets = inverse_kinematics(targets[0], joints).joint_positions[None]
        rows.append(rows_from_targets(schema, anchor, targets, action[-1:])[0])
    return replace(episode, actions=np.array(rows), action_schema=schema.name)


def chunks(episode: EpisodeArrays, schema: ActionSchema, chunk: int = CHUNK) -> np.ndarray:
    rule = WindowRule(3, chunk, PERIOD_S, action_schema=schema.name)
    decisions = make_decisions([episode], rule, (episode.task,))
    found = decisions.actions[decisions.targets]
    assert found.shape == (len(episode), chunk, schema.size)
    found[~decisions.target_exists] = np.nan
    return found


@schemas
def test_labels_lead_to_where_the_demonstrator_went(schema: ActionSchema) -> None:
    episode = driven()
    labels = chunks(episode, schema)
    for step in range(STEPS - CHUNK):
        anchor = forward_kinematics(episode.commanded[step])
        targets = targets_from_rows(schema, anchor, labels[step])
        for row, target in enumerate(targets):
            pose = target if schema.is_cartesian else forward_kinematics(target)
            went = forward_kinematics(episode.commanded[step + row + 1])
            np.testing.assert_allclose(pose_error(pose, went), 0.0, atol=1e-4)
        np.testing.assert_array_equal(labels[step, :, -1], episode.actions[step : step + CHUNK, -1])


@pytest.mark.parametrize("recorded", SCHEMAS)
@schemas
def test_what_was_recorded_does_not_matter(recorded: str, schema: ActionSchema) -> None:
    episode = driven()
    other = recorded_in(schema_named(recorded), episode)
    np.testing.assert_allclose(chunks(other, schema), chunks(episode, schema), atol=1e-3)


def test_recorded_steps_are_used_as_they_are() -> None:
    episode = driven()
    rule = WindowRule(3, CHUNK, PERIOD_S)
    decisions = make_decisions([episode, driven("other", 1, 9)], rule, (TASK,))
    np.testing.assert_array_equal(decisions.actions[:STEPS], episode.actions)
    assert len(decisions.actions) == len(decisions) == STEPS + 9
    assert decisions.targets[STEPS].tolist() == [12, 13, 14, 15]


def test_statistics_count_rows_that_exist_and_no_others() -> None:
    rule = WindowRule(3, CHUNK, PERIOD_S, action_schema="ee_relative")
    decisions = make_decisions([driven(), driven("other", 1, 9)], rule, (TASK,))
    assert len(decisions.actions) == decisions.target_exists.sum()
    rows = decisions.actions[decisions.targets[decisions.target_exists]]
    np.testing.assert_array_equal(rows, decisions.actions)
    actions, _ = measure_statistics(decisions)
    np.testing.assert_allclose(actions.mean, rows.mean(axis=0))


def test_without_set_points_the_measured_joints_are_the_anchor() -> None:
    episode = replace(driven(), set_points=None)
    assert episode.commanded is episode.joint_positions
    labels = chunks(episode, JOINT_POSITION)
    moved = chunks(driven(), JOINT_POSITION)
    assert 0.005 < np.nanmax(np.abs(labels - moved)[..., :7]) < 0.05


def test_an_action_out_of_reach_is_refused_with_episode_and_step() -> None:
    episode = driven()
    episode.actions[5, 0] = 2.0
    with pytest.raises(DatasetError, match="episode driven, step 2: the arm misses an action"):
        chunks(episode, JOINT_POSITION)


def test_a_half_turn_cannot_be_a_row_and_is_refused() -> None:
    episode = driven()
    episode.actions[3:6, 3:6] = [0.0, 0.0, 1.03]
    with pytest.raises(DatasetError, match=r"step 2: a row of ee_relative cannot turn by 3\.\d"):
        chunks(episode, EE_RELATIVE)


@schemas
def test_a_policy_is_trained_and_served_in_its_schema(
    schema: ActionSchema, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = {**to_plain(train_config().model), "action_size": schema.size}
    config = train_config(model=model, action_schema=schema.name, steps=3)
    episodes = [driven(f"episode-{seed}", seed) for seed in range(4)]
    run = prepare(config, episodes, "test")
    folder = tmp_path_factory.mktemp(schema.name)
    predictor = Predictor(train(run, folder, Console(quiet=True), tensorboard=False))
    assert predictor.manifest.action_schema == schema.id_at(20.0)
    assert predictor.schema is schema
    predictor.warm_up()
    predictor.set_task(TASK)
    history = predictor.new_history()
    for step in range(3):
        history.push(episodes[0].observation(step))
    window = history.window()
    assert isinstance(window, Window)
    values = predictor.predict(window)
    assert values.shape == (CHUNK, schema.size)
    # After three steps it knows little more than the mean, which has the units of the schema.
    actions, std = np.array(run.learned.actions.mean), np.array(run.learned.actions.std)
    assert (np.abs(values - actions) < 5.0 * std + 1e-6).all()


class Replay:
    """A policy that knows an episode by heart and tells what comes next in its schema."""

    def __init__(self, schema: ActionSchema, episode: EpisodeArrays) -> None:
        self.schema = schema
        labels = chunks(episode, schema, chunk=16)
        self._chunks = dict(zip(episode.times_s.round(3), labels, strict=True))

    def new_history(self) -> HistoryBuffer:
        return HistoryBuffer(1, PERIOD_S)

    def encode(self, observation: Observation) -> None: ...

    def reset(self) -> None: ...

    def predict(self, window: Window) -> np.ndarray:
        chunk = self._chunks[round(window.newest.captured_at_s, 3)]
        return chunk[~np.isnan(chunk[:, 0])]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(TASKS[0], render=False) as world:
        yield world


@pytest.fixture(scope="module")
def shown(world: World) -> EpisodeArrays:
    """Let the expert open the drawer, and note what it commanded."""
    commanded = []

    original = world.step

    def step(action: np.ndarray) -> Observation:
        commanded.append(world.commanded_joints)
        return original(action)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "step", step)
        demonstration = demonstrate(world, seed=3, noise=0.0)
    assert demonstration.success
    steps = [(seen, action) for seen, action in demonstration.steps if action is not None]
    return EpisodeArrays(
        id="shown",
        task="any",
        times_s=np.array([seen.captured_at_s for seen, _ in steps]),
        images={},
        joint_positions=np.array([seen.joint_positions for seen, _ in steps]),
        gripper_widths_m=np.array([seen.gripper_width_m for seen, _ in steps]),
        actions=np.array([action for _, action in steps]),
        set_points=np.array(commanded),
    )


@schemas
def test_a_demonstration_played_in_any_schema_opens_the_drawer(
    world: World, shown: EpisodeArrays, schema: ActionSchema
) -> None:
    config = RolloutConfig(period_s=PERIOD_S, exec_horizon=4, max_steps=len(shown), latency_steps=1)
    result = run_episode(SteppedTwin(world), Replay(schema, shown), 3, config)
    assert result.success
