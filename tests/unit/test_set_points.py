"""What was commanded while an episode was recorded becomes anchors and, at need, actions."""

from typing import Any

import numpy as np
import pytest

from data_collection.errors import EpisodeError
from mail_policy.data.episodes import PictureRequest, load_episodes
from mail_policy.data.set_points import read_wanted_widths
from tests.unit.arm_messages import write_arm_state, write_gripper_state
from tests.unit.synthetic_episodes import PERIOD_S

PICTURES = PictureRequest(("agentview", "wrist"), 32, 48)


def record_driven(episodes: Any, gap: bool = False) -> None:
    """Record an episode without actions, of a person who drives and closes the hand at 0.28 s."""
    with episodes.writer(source="teleop") as writer:
        for step in range(10):
            writer.write_step(episodes.observation(step), None)
        for tick in range(60):
            if not (gap and 10 < tick < 35):
                write_arm_state(writer, 0.01 * tick)
            target_m = 0.08 if 0.05 <= 0.01 * tick < 0.275 else 0.0
            write_gripper_state(writer, 0.01 * tick, 0.07, target_m)
        writer.finish(success=True)


def test_an_episode_that_was_driven_by_hand_teaches_its_set_points(episodes: Any) -> None:
    record_driven(episodes)
    for _ in range(2):  # the second time from the cache
        (episode,) = load_episodes(episodes.root, PICTURES)
        assert episode.action_schema == "joint_position"
        np.testing.assert_allclose(episode.commanded[:, 3], episode.times_s, atol=1e-6)
        later_s = episode.times_s + PERIOD_S
        np.testing.assert_allclose(episode.actions[:, 3], later_s, atol=1e-6)
        # Commanded open at 0.05 s, closed at 0.28 s: an action says what comes after it.
        expected = [0.08] * 5 + [0.0] * 5
        np.testing.assert_allclose(episode.actions[:, 7], expected)


def test_before_the_first_command_the_gripper_wants_what_it_has(episodes: Any) -> None:
    record_driven(episodes)
    folder = next(path for path in episodes.root.iterdir() if path.is_dir())
    widths_m = read_wanted_widths(folder, np.array([0.0, 0.04, 0.06, 0.4]))
    assert widths_m is not None
    np.testing.assert_allclose(widths_m, [0.07, 0.07, 0.08, 0.0])


def test_a_gap_in_what_was_commanded_is_refused(episodes: Any) -> None:
    record_driven(episodes, gap=True)
    with pytest.raises(EpisodeError, match=r"nothing on /arm/state for 0\.1"):
        load_episodes(episodes.root, PICTURES)


def test_recorded_actions_count_more_than_set_points(episodes: Any) -> None:
    with episodes.writer() as writer:
        for step in range(5):
            writer.write_step(episodes.observation(step), episodes.action(step))
            write_arm_state(writer, 0.05 * step)
        writer.finish(success=True)
    (episode,) = load_episodes(episodes.root, PICTURES)
    assert episode.action_schema == "ee_delta"
    np.testing.assert_array_equal(episode.actions[3], episodes.action(3))
    assert episode.set_points is not None
    np.testing.assert_allclose(episode.set_points[:, 0], episode.times_s, atol=1e-6)


def test_an_episode_without_any_commands_is_refused(episodes: Any) -> None:
    with episodes.writer(source="teleop") as writer:
        for step in range(5):
            writer.write_step(episodes.observation(step), None)
        writer.finish(success=True)
    with pytest.raises(EpisodeError, match="holds no actions"):
        load_episodes(episodes.root, PICTURES)
