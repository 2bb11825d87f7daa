"""Where the arm may be: boxes for the TCP, the hand, the elbow and the wrist.

A box holds all of a convex body if it holds its corners, so the hand is watched by the corners of
its body and of both open fingers; the flange lies between them.
"""

from functools import cache

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import TCP_FRAME, TCP_TO_HAND_M
from mail_policy.core.motion.config import EnvelopeConfig

# Speeds are measured by moving all points for this long [s]: short against any motion, long
# against the rounding of positions.
MOMENT_S = 1e-6
# Joints whose origins are watched: 4 is the elbow, 6 and 7 are the ends of the wrist.
_WATCHED_JOINTS = (4, 6, 7)
_JOINT_BOXES = ("elbow", "wrist", "wrist")
# Outer corners of the fingertips at full opening, and of the hand's body, in the TCP's frame [m].
# Source: meshes of the Franka Hand in franka_description, which are those of franky-sim.
FINGERTIPS = [(x, y, 0.0088) for x in (-0.0105, 0.0105) for y in (-0.051, 0.051)]
HAND_BODY = [
    (x, y, z - TCP_TO_HAND_M)
    for x in (-0.032, 0.032)
    for y in (-0.104, 0.100)
    for z in (-0.026, 0.066)
]


class Workspace:
    """The boxes, and the points of the arm that must stay inside them.

    Args:
        envelope: Limits in space.
    """

    def __init__(self, envelope: EnvelopeConfig) -> None:
        mount = [envelope.camera_mount_m] if envelope.camera_mount_m else []
        tool = [(0.0, 0.0, 0.0), *FINGERTIPS, *mount, *HAND_BODY]
        self._names = [*_JOINT_BOXES, "TCP", *["fingertip"] * len(FINGERTIPS)]
        self._names += ["camera mount"] * len(mount) + ["hand"] * len(HAND_BODY)
        boxes = [*_JOINT_BOXES, "tcp", *["hand"] * (len(tool) - 1)]
        self._tool = np.vstack([np.array(tool).T, np.ones(len(tool))])
        lower_m = np.array([getattr(envelope, f"{box}_lower_m") for box in boxes]).T
        upper_m = np.array([getattr(envelope, f"{box}_upper_m") for box in boxes]).T
        self._centres_m = 0.5 * (lower_m + upper_m)
        self._halves_m = 0.5 * (upper_m - lower_m)

    def points(self, frames: Array) -> Array:
        """Return the watched points in the base frame [m].

        Args:
            frames: Of `chain_frames`, shape (9, n, 4, 4).

        Returns:
            Shape (n, 3, points).
        """
        joints = frames[_WATCHED_JOINTS, :, :3, 3].transpose(1, 2, 0)
        return np.concatenate([joints, frames[TCP_FRAME, :, :3] @ self._tool], axis=2)

    def name(self, point: int) -> str:
        """Return what a point belongs to."""
        return self._names[point]

    def holds(self, points: Array) -> bool:
        """Whether points, shape (n, 3, points), all lie inside their boxes."""
        return bool((self.excess_m(points) <= 0.0).all())

    def excess_m(self, points: Array) -> Array:
        """Return how far each coordinate is outside its box [m], negative inside; as `points`."""
        excess_m: Array = np.abs(points - self._centres_m) - self._halves_m
        return excess_m

    @staticmethod
    def longest_m(ways: Array) -> Array:
        """Return the longest way of a point in each posture [m], shape (n,).

        Args:
            ways: Differences between points at two instants [m], shape (n, 3, points).
        """
        longest: Array = np.sqrt(np.einsum("nij,nij->nj", ways, ways).max(axis=1))
        return longest

    def complaint(self, frames: Array) -> str:
        """Return which point lies outside where, "" if none does; frames of `chain_frames`."""
        points = self.points(frames)
        excess_m = self.excess_m(points)
        if not (excess_m > 0.0).any():
            return ""
        row, _, point = np.unravel_index(np.argmax(excess_m), excess_m.shape)
        where = np.round(points[row, :, point], 3).tolist()
        return f"{self._names[point]} at {where} m is outside the workspace"


@cache
def workspace(envelope: EnvelopeConfig) -> Workspace:
    """Return the boxes of an envelope; they are the same for all that ask."""
    return Workspace(envelope)
