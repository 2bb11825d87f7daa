"""Names, scales and conventions of LIBERO's demonstration files.

A file holds the demonstrations of one task: `data/demo_N/{actions,dones,rewards,obs/...}`. An
action is what robosuite's OSC_POSE controller takes: six numbers in [-1, 1] that scale a step of
the end effector in the base frame, and the gripper, -1 open and +1 close. Pictures lie as OpenGL
draws them, upside down. Source: LIBERO's `scripts/create_dataset.py`, robosuite 1.4's
`controllers/config/osc_pose.json`.
"""

import re
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mail_policy.core.action_schema import (
    GRIPPER_CLOSE_BELOW_M,
    GRIPPER_OPEN_ABOVE_M,
    GRIPPER_OPEN_M,
)
from mail_policy.core.frames import Array

FILE_SUFFIX = "_demo.hdf5"
DEMO_PREFIX = "demo_"
RATE_HZ = 20.0
# Step of an action of 1 [m, m, m, rad, rad, rad].
STEP_AT_ONE = (0.05, 0.05, 0.05, 0.5, 0.5, 0.5)
OPEN, CLOSE = -1.0, 1.0
# LIBERO's camera on the hand; what we call the same, we write as it is.
CAMERA_ALIASES = {"wrist": "eye_in_hand"}
_RGB_SUFFIX = "_rgb"


class ImageConvention(StrEnum):
    """Which way up stored pictures are."""

    UPRIGHT = "upright"
    OPENGL = "opengl"  # upside down: the first row is the lowest
    # OpenGL's, turned by half, as OpenVLA, openpi and LeRobot's LIBERO sets have them: the right
    # way up, but mirrored.
    ROT180 = "rot180"


# What robosuite calls the two that it knows.
ROBOSUITE_NAMES = {ImageConvention.OPENGL: "opengl", ImageConvention.UPRIGHT: "opencv"}


def turned(image: NDArray[np.uint8], convention: ImageConvention) -> NDArray[np.uint8]:
    """Turn an upright picture into a convention, or one of a convention upright."""
    if convention is ImageConvention.OPENGL:
        return image[::-1]
    if convention is ImageConvention.ROT180:
        return image[:, ::-1]
    return image


def picture_key(camera: str, cameras: dict[str, str]) -> str:
    """Return the name of a camera's pictures, by a mapping from our names to LIBERO's."""
    return cameras.get(camera, CAMERA_ALIASES.get(camera, camera)) + _RGB_SUFFIX


def cameras_in(keys: Sequence[str], cameras: dict[str, str]) -> dict[str, str]:
    """Return names of pictures by our camera names, the mapped ones first."""
    aliases = {theirs: ours for ours, theirs in CAMERA_ALIASES.items()}
    aliases |= {theirs: ours for ours, theirs in cameras.items()}
    found = {
        aliases.get(key.removesuffix(_RGB_SUFFIX), key.removesuffix(_RGB_SUFFIX)): key
        for key in sorted(keys)
        if key.endswith(_RGB_SUFFIX)
    }
    first = [camera for camera in cameras if camera in found]
    return {camera: found[camera] for camera in dict.fromkeys([*first, *found])}


def actions_from_rows(rows: Array) -> tuple[Array, int]:
    """Scale rows of EE_DELTA to LIBERO's actions.

    Returns:
        Actions, shape (steps, 7), and how many steps were too large and have been clipped.
    """
    scaled = rows[:, :6] / STEP_AT_ONE
    # A step of exactly the limit must not count as too large by a rounding.
    clipped = int((np.abs(scaled) > 1.0 + 1e-9).any(axis=1).sum())
    return np.column_stack([scaled.clip(-1.0, 1.0), _commands(rows[:, 6])]), clipped


def rows_from_actions(actions: Array, step_at_one: Array) -> Array:
    """Return the rows of EE_DELTA that LIBERO's actions stand for, the inverse.

    Args:
        actions: Shape (steps, 7); robosuite clips what is beyond [-1, 1], and so does this.
        step_at_one: Step of an action of 1, shape (6,).
    """
    steps = actions[:, :6].clip(-1.0, 1.0) * step_at_one
    is_closed = actions[:, 6] > 0.0
    # Zero leaves the fingers alone, so the last command before it counts.
    last = np.maximum.accumulate(np.where(actions[:, 6] != 0.0, np.arange(len(actions)), 0))
    return np.column_stack([steps, np.where(is_closed[last], 0.0, GRIPPER_OPEN_M)])


def file_name(task: str, taken: set[str]) -> str:
    """Return a new plain file name for a sentence, for example open_the_drawer_demo.hdf5."""
    words = "_".join(re.findall(r"[a-z0-9]+", task.lower()))[:120] or "task"
    names = (f"{words}{number or ''}{FILE_SUFFIX}" for number in range(len(taken) + 1))
    return next(name for name in names if name not in taken)


def sentence_of(name: str) -> str:
    """Return the sentence that LIBERO's benchmark makes of a file name."""
    words = re.sub(r"^.*SCENE[0-9]+_", "", name.removesuffix(FILE_SUFFIX))
    return words.replace("_", " ")


def _commands(widths_m: Array) -> Array:
    """Return OPEN or CLOSE for each wanted width; between the two limits, as before."""
    is_open = bool(widths_m[0] >= (GRIPPER_CLOSE_BELOW_M + GRIPPER_OPEN_ABOVE_M) / 2)
    commands = np.empty(len(widths_m))
    for step, width_m in enumerate(widths_m):
        is_open = width_m > GRIPPER_OPEN_ABOVE_M or (is_open and width_m >= GRIPPER_CLOSE_BELOW_M)
        commands[step] = OPEN if is_open else CLOSE
    return commands
