"""What was commanded while an episode was recorded."""

from pathlib import Path

import numpy as np

from data_collection import topics
from data_collection.errors import EpisodeError
from data_collection.messages import stamp_to_seconds
from data_collection.reader import iterate_messages
from mail_policy.core.frames import Array

# The arm says ten times as often what it commands; a longer silence is a gap.
_MAX_GAP_S = 0.1


def read_set_points(folder: Path, times_s: Array) -> Array | None:
    """Read the joint positions that the arm was commanded to.

    Args:
        folder: The episode.
        times_s: When [s], rising, shape (L,).

    Returns:
        Commanded joint positions [rad], shape (L, 7); None if the episode does not hold any.

    Raises:
        EpisodeError: The episode is damaged, or has a gap.
    """
    told = [
        (stamp_to_seconds(item.message.header.stamp), np.asarray(item.message.set_point))
        for item in iterate_messages(folder, (topics.ARM_STATE,))
    ]
    if not told:
        return None
    stamps_s = np.array([stamp_s for stamp_s, _ in told])
    order = np.argsort(stamps_s, kind="stable")
    stamps_s, positions = stamps_s[order], np.array([told[i][1] for i in order])
    misses_s = np.abs(stamps_s[:, None] - times_s).min(axis=0)
    if misses_s.max() > _MAX_GAP_S:
        raise EpisodeError(
            f"{folder}: nothing on {topics.ARM_STATE} for {misses_s.max():.2f} s around "
            f"{times_s[misses_s.argmax()]:.2f} s; leave the episode out"
        )
    return np.column_stack([np.interp(times_s, stamps_s, joint) for joint in positions.T])


def read_wanted_widths(folder: Path, times_s: Array) -> Array | None:
    """Read the width that the gripper was last commanded to.

    Args:
        folder: The episode.
        times_s: When [s], rising, shape (L,).

    Returns:
        Wanted distance between the fingers [m], shape (L,); before the first command the measured
        one. None if the episode does not hold any.
    """
    stamps_s, widths_m, is_commanded = [], [], False
    for item in iterate_messages(folder, (topics.GRIPPER_STATE,)):
        state = item.message
        # A gripper that was never commanded reports a target of 0.
        is_commanded = is_commanded or state.target_width > 0.0
        stamps_s.append(stamp_to_seconds(state.header.stamp))
        widths_m.append(state.target_width if is_commanded else state.width)
    if not stamps_s:
        return None
    last = np.searchsorted(stamps_s, times_s, side="right") - 1
    wanted: Array = np.array(widths_m)[np.maximum(last, 0)]
    return wanted


def actions_from_set_points(folder: Path, times_s: Array, period_s: float) -> Array | None:
    """Make actions of an episode in which somebody drove the arm by hand.

    Args:
        folder: The episode.
        times_s: When actions were decided [s], rising, shape (L,).
        period_s: Time after which an action shall be reached [s].

    Returns:
        Rows of JOINT_POSITION, shape (L, 8): what was commanded one period later. None if arm or
        gripper did not say what they were commanded.
    """
    positions = read_set_points(folder, times_s + period_s)
    widths_m = read_wanted_widths(folder, times_s + period_s)
    if positions is None or widths_m is None:
        return None
    return np.column_stack([positions, widths_m])
