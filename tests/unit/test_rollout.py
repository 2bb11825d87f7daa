"""Roll-outs: history, horizon and delay as on the robot; intervals that mean what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_policy.core.action_schema import (
    EE_DELTA,
    JOINT_POSITION,
    MAX_JOINT_STEP_RAD,
    SCHEMAS,
    ActionSchema,
    rows_from_targets,
    targets_from_rows,
)
from mail_policy.core.frames import move_pose
from mail_policy.core.kinematics import (
    HOME_JOINT_POSITIONS,
    forward_kinematics,
    inverse_kinematics,
)
from mail_policy.core.types import Observation
from mail_policy.data.windows import Window
from mail_policy.evaluation.playback import ChunkPlayback
from mail_policy.evaluation.rollout import (
    EpisodeResult,
    EvaluationResult,
    RolloutConfig,
    run_episode,
    run_episodes,
)
from mail_policy.evaluation.statistics import percentiles, wilson_interval
from mail_policy.inference.history import HistoryBuffer
from mail_policy.inference.predictor import PredictionError

PERIOD_S = 0.05


class Line:
    """A world in which the task is to be beyond a point on the x axis."""

    def __init__(self, goal_m: float = 0.1) -> None:
        self.goal_m = goal_m
        self.actions: list[np.ndarray] = []

    def reset(self, seed: int) -> Observation:
        self.pose = np.eye(4)
        self.pose[0, 3] = 0.001 * seed
        self.actions = []
        return self._observe()

    def step(self, action: np.ndarray) -> Observation:
        self.actions.append(action)
        self.pose = move_pose(self.pose, action[:6])
        return self._observe()

    def step_joints(self, action: np.ndarray) -> Observation:
        raise AssertionError("a policy of poses must not command joints")

    def success(self) -> bool:
        return bool(self.pose[0, 3] > self.goal_m)

    def _observe(self) -> Observation:
        joints = np.zeros(7)
        joints[0] = self.pose[0, 3]
        return Observation(PERIOD_S * len(self.actions), {}, joints, 0.07)


class Forward:
    """Always wants to go forward by one row after the other, and notes when it was asked."""

    schema = EE_DELTA

    def __init__(self, rows: int = 4, step_m: float = 0.01) -> None:
        self.values = np.tile([step_m, 0, 0, 0, 0, 0, 0.03], (rows, 1))
        self.windows: list[Window] = []
        self.encoded: list[float] = []

    def reset(self) -> None:
        self.windows, self.encoded = [], []

    def new_history(self) -> HistoryBuffer:
        return HistoryBuffer(3, PERIOD_S)

    def encode(self, observation: Observation) -> None:
        self.encoded.append(observation.captured_at_s)

    def predict(self, window: Window) -> np.ndarray:
        self.windows.append(window)
        return self.values


def standing(width_m: float = 0.08) -> Observation:
    return Observation(0.0, {}, HOME_JOINT_POSITIONS, width_m)


def config(**changes: int) -> RolloutConfig:
    values = {"exec_horizon": 2, "max_steps": 8, **changes}
    return RolloutConfig(period_s=PERIOD_S, **values)


def test_an_episode_ends_with_success() -> None:
    result = run_episode(Line(goal_m=0.045), Forward(), 0, config())
    assert result.success
    assert result.steps == 5


def test_an_episode_fails_at_the_last_step() -> None:
    result = run_episode(Line(goal_m=9.0), Forward(), 0, config())
    assert not result.success
    assert result.steps == 8
    assert len(result.inference_ms) == 4


def test_a_failure_says_why_as_far_as_the_world_knows() -> None:
    class Talking(Line):
        def explain(self) -> str:
            return f"time ran out: {self.pose[0, 3]:.2f} m of {self.goal_m:.2f} m"

    assert run_episode(Line(goal_m=9.0), Forward(), 0, config()).failure == "time ran out"
    told = run_episode(Talking(goal_m=9.0), Forward(), 0, config()).failure
    assert told == "time ran out: 0.08 m of 9.00 m"
    assert run_episode(Talking(goal_m=0.045), Forward(), 0, config()).failure == ""


def test_a_policy_that_cannot_predict_has_failed_and_does_not_end_the_evaluation() -> None:
    class Broken(Forward):
        def predict(self, window: Window) -> np.ndarray:
            if len(self.windows) == 2:
                raise PredictionError("the policy predicted NaN or infinity")
            return super().predict(window)

    world = Line(goal_m=9.0)
    result = run_episode(world, Broken(), 3, config())
    assert result == EpisodeResult(3, False, 4, result.inference_ms, result.failure)
    assert result.failure == "the policy predicted NaN or infinity"
    assert len(world.actions) == 4


def test_every_observation_is_shown_to_whoever_watches() -> None:
    seen: list[Observation] = []
    run_episode(Line(goal_m=9.0), Forward(), 0, config(), watch=seen.append)
    stamps = [round(observation.captured_at_s / PERIOD_S) for observation in seen]
    assert stamps == list(range(9))


def test_the_policy_plans_after_its_horizon_and_sees_a_padded_history() -> None:
    predictor = Forward()
    run_episode(Line(goal_m=9.0), predictor, 0, config(exec_horizon=3))
    seen = [[round(o.captured_at_s / PERIOD_S) for o in w.observations] for w in predictor.windows]
    assert seen == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert [round(stamp_s / PERIOD_S) for stamp_s in predictor.encoded] == [1, 2, 4, 5, 7]


def test_until_the_first_chunk_arrives_the_arm_holds_and_keeps_its_grip() -> None:
    world = Line(goal_m=9.0)
    run_episode(world, Forward(), 0, config(latency_steps=2))
    for action in world.actions[:2]:
        np.testing.assert_allclose(action, [0, 0, 0, 0, 0, 0, 0.07])


def test_a_late_chunk_reaches_the_places_that_it_meant() -> None:
    on_time, late = Line(goal_m=9.0), Line(goal_m=9.0)
    run_episode(on_time, Forward(rows=8, step_m=0.005), 0, config(exec_horizon=8))
    run_episode(late, Forward(rows=8, step_m=0.005), 0, config(exec_horizon=8, latency_steps=2))
    np.testing.assert_allclose(late.pose, on_time.pose, atol=1e-12)


def test_a_chunk_that_is_over_is_followed_by_holding() -> None:
    playback = ChunkPlayback(EE_DELTA, standing(0.05))
    playback.load(np.tile([0.01, 0, 0, 0, 0, 0, 0.02], (2, 1)), made_at=0)
    actions = [playback.next_action() for _ in range(4)]
    assert [round(float(action[0]), 6) for action in actions] == [0.01, 0.01, 0.0, 0.0]
    assert [float(action[6]) for action in actions] == [0.02] * 4


# Six rows of these add up to less than one period's largest step: a late arm catches up at once.
rows = st.lists(st.floats(-0.002, 0.002), min_size=6, max_size=6)


@given(st.lists(rows, min_size=6, max_size=6), st.integers(1, 5))
def test_places_do_not_depend_on_when_a_chunk_arrived(
    values: list[list[float]], delay: int
) -> None:
    chunk = np.hstack([np.array(values), np.full((6, 1), 0.08)])
    paths = []
    for arrival in (0, delay):
        playback, pose, path = ChunkPlayback(EE_DELTA, standing()), np.eye(4), []
        for step in range(8):
            if step == arrival:
                playback.load(chunk, made_at=0)
            pose = move_pose(pose, playback.next_action()[:6])
            path.append(pose)
        paths.append(np.array(path))
    np.testing.assert_array_equal(paths[1][:delay], np.broadcast_to(np.eye(4), (delay, 4, 4)))
    np.testing.assert_allclose(paths[1][delay:], paths[0][delay:], atol=1e-9)


def test_a_jump_is_taken_in_steps_that_the_arm_can_make() -> None:
    playback = ChunkPlayback(EE_DELTA, standing())
    values = np.zeros((4, 7))
    values[0, :6] = [0.05, 0.0, 0.0, 0.0, 0.2, 0.0]
    playback.load(values, made_at=0)
    actions = np.array([playback.next_action() for _ in range(3)])
    np.testing.assert_allclose(actions[:, 0], [0.03, 0.02, 0.0], atol=1e-9)
    np.testing.assert_allclose(actions[:, 4], [0.15, 0.05, 0.0], atol=1e-9)


def test_the_same_plan_in_every_schema_leads_to_the_same_places() -> None:
    """Also when it arrives late, in the middle of another."""
    rng = np.random.default_rng(1)
    first, second = (0.005 * rng.normal(size=(6, 7)) for _ in range(2))
    ways = {}
    for schema in SCHEMAS.values():
        playback, pose = ChunkPlayback(schema, standing()), forward_kinematics(HOME_JOINT_POSITIONS)
        joints, way, commanded = HOME_JOINT_POSITIONS, [], [(pose, HOME_JOINT_POSITIONS)]
        for step in range(14):
            for made_at, arrives_at, rows in ((0, 0, first), (3, 5, second)):
                if step == arrives_at:
                    playback.load(in_schema(schema, *commanded[made_at], rows), made_at)
            action = playback.next_action()
            assert len(action) == schema.size
            if schema.is_cartesian:
                pose = move_pose(pose, action[:6])
                joints = inverse_kinematics(pose, joints).joint_positions
            else:
                joints, pose = action[:7], forward_kinematics(action[:7])
            way.append(pose)
            commanded.append((pose, joints))
        ways[schema.name] = np.array(way)
    np.testing.assert_allclose(ways["ee_relative"], ways["ee_delta"], atol=1e-9)
    # The inverse kinematics is exact to a micrometre.
    np.testing.assert_allclose(ways["joint_position"], ways["ee_delta"], atol=1e-4)


def in_schema(
    schema: ActionSchema, pose: np.ndarray, joints: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Express rows of EE_DELTA in another schema, counted from a pose and its joint positions."""
    targets = targets_from_rows(EE_DELTA, pose, rows)
    if not schema.is_cartesian:
        followed = []
        for target in targets:
            joints = inverse_kinematics(target, joints).joint_positions
            followed.append(joints)
        targets = np.array(followed)
    return rows_from_targets(schema, pose, targets, rows[:, 6])


def test_a_jump_of_the_joints_is_taken_in_steps_too() -> None:
    playback = ChunkPlayback(JOINT_POSITION, standing())
    values = np.tile(np.append(HOME_JOINT_POSITIONS, 0.04), (4, 1))
    values[:, 2] += 0.25
    playback.load(values, made_at=0)
    steps = [playback.next_action()[2] - HOME_JOINT_POSITIONS[2] for _ in range(5)]
    np.testing.assert_allclose(steps, [0.1, 0.2, 0.25, 0.25, 0.25], atol=1e-12)
    assert MAX_JOINT_STEP_RAD == 0.1


def test_a_policy_of_joint_positions_commands_joints() -> None:
    class Joints(Line):
        def step(self, action: np.ndarray) -> Observation:
            raise AssertionError("a policy of joints must not command poses")

        def step_joints(self, action: np.ndarray) -> Observation:
            self.actions.append(action)
            self.pose[0, 3] = action[0]
            return self._observe()

    class Sideways(Forward):
        schema = JOINT_POSITION

        def predict(self, window: Window) -> np.ndarray:
            now = window.newest.joint_positions[0]
            values = np.zeros((4, 8))
            values[:, 0] = now + 0.01 * np.arange(1, 5)
            return values

    result = run_episode(Joints(goal_m=0.045), Sideways(), 0, config())
    assert result.success
    assert result.steps == 5


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [(0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0), (9, 10, 0.5958, 0.9821), (0, 0, 0.0, 1.0)],
)
def test_wilson_interval_matches_published_values(
    successes: int, episodes: int, low: float, high: float
) -> None:
    assert wilson_interval(successes, episodes) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 500), st.data())
def test_the_interval_holds_the_rate_and_is_symmetric(episodes: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, episodes))
    low, high = wilson_interval(successes, episodes)
    assert 0.0 <= low <= successes / episodes <= high <= 1.0
    mirrored = wilson_interval(episodes - successes, episodes)
    assert mirrored == pytest.approx((1.0 - high, 1.0 - low))


def test_more_successes_than_episodes_are_refused() -> None:
    with pytest.raises(ValueError, match="successes must be in"):
        wilson_interval(3, 2)


def test_a_result_is_written_with_interval_and_timing() -> None:
    results = (
        EpisodeResult(7, True, 30, (10.0, 20.0)),
        EpisodeResult(8, False, 100, (30.0,)),
    )
    result = EvaluationResult(
        task="go", robot="sim", policy={"name": "p"}, config=config(), episodes=results
    )
    summary = result.to_json()
    assert summary["successes"] == 1
    assert summary["success_rate"] == 0.5
    assert summary["interval_95"] == list(wilson_interval(1, 2))
    assert summary["timing"]["inference_ms"]["max"] == 30.0
    assert summary["timing"]["steps_to_success"]["p50"] == 30.0
    assert [row["seed"] for row in summary["rows"]] == [7, 8]
    assert percentiles([]) is None


def test_episodes_are_independent() -> None:
    together = run_episodes(Line(0.05), Forward(), [0, 9, 0], config())
    assert together[0].steps == together[2].steps == 6
    assert together[1].steps == 5
