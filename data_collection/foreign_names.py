"""Finds joints, gripper and action space behind the names of a foreign data set."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_collection.errors import EpisodeError
from mail_policy.core.action_schema import JOINT_POSITION, SCHEMAS, ActionSchema
from mail_policy.core.types import NUM_JOINTS

_JOINT = re.compile(r"(?:.*[^a-z0-9])?(?:joint|q)_?([0-9])(?:[._]pos(?:ition)?)?")
_FINGER = re.compile(r".*finger_?(?:joint)?_?[12](?:[._]pos(?:ition)?)?")
_WIDTH = "gripper_width"


@dataclass(frozen=True, slots=True)
class JointColumns:
    """Where the seven joints and the gripper are in a vector.

    Attributes:
        joints: Columns of joint 1 to 7.
        gripper: Columns that add up to the gripper's width.
        gripper_scale_m: Width [m] for a sum of 1.
    """

    joints: tuple[int, ...]
    gripper: tuple[int, ...]
    gripper_scale_m: float

    def joint_positions(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the joints [rad] of some rows, shape (rows, 7)."""
        # Columns that are picked by number lie beside each other, rows must.
        return np.ascontiguousarray(rows[:, self.joints])

    def widths_m(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distances between the fingers [m] of some rows, shape (rows,)."""
        widths: NDArray[np.float64] = self.gripper_scale_m * rows[:, self.gripper].sum(axis=1)
        return widths


def names_of(feature: dict[str, Any], key: str) -> list[str]:
    """Return the names of a feature's numbers, also if they are grouped.

    Raises:
        EpisodeError: It does not name all of its numbers.
    """
    names = feature.get("names")
    if isinstance(names, dict):
        names = [name for group in names.values() if isinstance(group, list) for name in group]
    shape = feature.get("shape")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise EpisodeError(f"{key} does not name its numbers, so nobody knows what they mean")
    if not isinstance(shape, list) or shape != [len(names)]:
        raise EpisodeError(f"{key} has {len(names)} names for numbers of shape {shape}")
    return names


def joint_columns(names: Sequence[str], key: str, gripper_open_m: float | None) -> JointColumns:
    """Find joints and gripper by their names.

    Args:
        names: Of the numbers of a vector.
        key: Name of the vector, for messages.
        gripper_open_m: Width [m] at 1.0 of a gripper that is not told in metres.

    Raises:
        EpisodeError: Says which joint or unit is missing.
    """
    lower = [name.lower() for name in names]
    fingers = tuple(i for i, name in enumerate(lower) if _FINGER.fullmatch(name))
    numbered = {
        int(match[1]): i
        for i, name in enumerate(lower)
        if i not in fingers and (match := _JOINT.fullmatch(name))
    }
    first = 0 if 0 in numbered else 1
    wanted = range(first, first + NUM_JOINTS)
    if absent := [number for number in wanted if number not in numbered]:
        raise EpisodeError(
            f"{key} lacks joint {', '.join(map(str, absent))}; it has {', '.join(names)[:300]}"
        )
    joints = tuple(numbered[number] for number in wanted)
    if _WIDTH in lower:
        return JointColumns(joints, (lower.index(_WIDTH),), 1.0)
    if len(fingers) == 2:
        return JointColumns(joints, fingers, 1.0)
    told = [i for i, name in enumerate(lower) if "gripper" in name]
    if len(told) != 1:
        raise EpisodeError(f"{key} has no gripper; it has {', '.join(names)[:300]}")
    if gripper_open_m is None:
        raise EpisodeError(
            f"{key} does not say in which unit {names[told[0]]} is; give its width at 1.0 in "
            "metres with --gripper-open, for example 0.08"
        )
    return JointColumns(joints, (told[0],), gripper_open_m)


def action_schema_of(names: Sequence[str]) -> ActionSchema:
    """Find the action space by the names of its numbers.

    Raises:
        EpisodeError: They are neither those of one of our schemas nor joints and a gripper.
    """
    for schema in SCHEMAS.values():
        if tuple(names) == schema.names:
            return schema
    try:
        joint_columns(names, "action", gripper_open_m=1.0)
    except EpisodeError as error:
        known = "; ".join(f"{s.name}: {', '.join(s.names)}" for s in SCHEMAS.values())
        raise EpisodeError(
            f"{error}. An action must be wanted joint positions [rad] with a gripper, or have the "
            f"names of one of our schemas ({known})"
        ) from error
    return JOINT_POSITION
