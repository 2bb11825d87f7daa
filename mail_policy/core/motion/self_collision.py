"""How far the arm is from itself, with capsules around its links.

Every capsule contains a convex hull of a part of a collision mesh of franka_description (those of
franky-sim), so the arm is never nearer to itself than this says; radii are rounded up to the
millimetre. Link 5, an elbow pipe, and the hand are two capsules each. The fingers' capsule
contains them at every opening.

Distance of two segments: Ericson, Real-Time Collision Detection, section 5.1.9.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import (
    FRAME_DISTANCES_M,
    TCP_FRAME,
    TCP_TO_HAND_M,
    chain_frames,
)
from mail_policy.core.motion.config import EnvelopeConfig

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Capsule:
    """All points within a distance of a segment.

    Attributes:
        name: Of the part of the arm inside.
        frame: Index in `chain_frames` of the frame that carries it.
        start_m: One end of the segment in that frame [m].
        end_m: The other end [m].
        radius_m: The distance [m].
    """

    name: str
    frame: int
    start_m: Point
    end_m: Point
    radius_m: float


def _on_hand(y0_m: float, z0_m: float, y1_m: float, z1_m: float) -> tuple[Point, Point]:
    return (0.0, y0_m, z0_m - TCP_TO_HAND_M), (0.0, y1_m, z1_m - TCP_TO_HAND_M)


CAPSULES = (
    Capsule("link 0", 0, (-0.056, -0.001, 0.015), (-0.001, 0.0, 0.053), 0.106),
    Capsule("link 1", 1, (0.0, -0.054, 0.0), (0.0, 0.0, -0.140), 0.078),
    Capsule("link 2", 2, (0.0, -0.142, 0.0), (0.0, 0.002, 0.054), 0.077),
    Capsule("link 3", 3, (0.083, 0.042, -0.002), (0.001, 0.001, -0.083), 0.070),
    Capsule("link 4", 4, (0.001, 0.0, 0.043), (-0.082, 0.084, 0.001), 0.071),
    Capsule("forearm", 5, (0.0, 0.074, -0.105), (0.0, 0.0, -0.241), 0.064),
    Capsule("wrist", 5, (0.0, 0.053, 0.001), (0.0, 0.088, -0.007), 0.064),
    Capsule("link 6", 6, (0.086, 0.008, -0.003), (0.023, 0.006, 0.004), 0.076),
    Capsule("link 7", 7, (0.033, 0.033, 0.083), (-0.006, -0.006, 0.072), 0.050),
    Capsule("hand's back", TCP_FRAME, *_on_hand(-0.079, 0.002, 0.076, 0.011), 0.036),
    Capsule("hand's front", TCP_FRAME, *_on_hand(-0.090, 0.046, 0.086, 0.046), 0.028),
    Capsule("fingers", TCP_FRAME, *_on_hand(-0.056, 0.084, 0.056, 0.084), 0.030),
)
# The parts that can meet. All others are neighbours or stay more than a centimetre apart within
# the joint limits of both arms, which a test holds against the meshes.
_BASE = ("link 0", "link 1", "link 2")
_FAR = ("forearm", "wrist", "link 6", "link 7", "hand's back", "hand's front", "fingers")
PAIRS = (
    *((near, far) for near in _BASE for far in _FAR),
    *(("forearm", far) for far in ("link 7", "hand's back", "hand's front", "fingers")),
    ("link 4", "fingers"),
)
_MOUNT = "camera mount"
_MOUNT_PAIRS = tuple((name, _MOUNT) for name in (*_BASE, "link 4", "forearm", "wrist"))


class SelfCollision:
    """Distances between the parts of the arm that can meet.

    Args:
        envelope: Says whether a camera is mounted on the hand.
    """

    def __init__(self, envelope: EnvelopeConfig) -> None:
        capsules, pairs = list(CAPSULES), list(PAIRS)
        if envelope.camera_mount_m is not None:
            mount = envelope.camera_mount_m
            capsules.append(
                Capsule(_MOUNT, TCP_FRAME, mount, mount, envelope.camera_mount_radius_m)
            )
            pairs += _MOUNT_PAIRS
        names = [capsule.name for capsule in capsules]
        first, second = (np.array([names.index(pair[i]) for pair in pairs]) for i in (0, 1))
        radii_m = np.array([capsule.radius_m for capsule in capsules])
        self.capsules = tuple(capsules)
        self.pairs = tuple(pairs)
        self._first, self._second = first, second
        self._radii_m = radii_m[first] + radii_m[second]
        self._frames = np.array([capsule.frame for capsule in capsules])
        starts = [(*capsule.start_m, 1.0) for capsule in capsules]
        ends = [(*capsule.end_m, 1.0) for capsule in capsules]
        self._ends = np.array([starts, ends]).transpose(1, 2, 0)[:, None]
        self.reaches_m = _reaches_m(capsules)

    def segments(self, frames: Array) -> Array:
        """Return the ends of all segments in the base frame [m], shape (capsules, n, 3, 2).

        Args:
            frames: Of `chain_frames`, shape (9, n, 4, 4).
        """
        ends: Array = frames[self._frames, :, :3] @ self._ends
        return ends

    def clearances_m(self, frames: Array) -> Array:
        """Return the smallest distance between two parts in each posture [m], shape (n,).

        Args:
            frames: Of `chain_frames`, shape (9, n, 4, 4).
        """
        segments = self.segments(frames)
        apart = segment_distances(segments[self._first], segments[self._second])
        nearest: Array = (apart - self._radii_m[:, None]).min(axis=0)
        return nearest

    def clearance_m(self, joint_positions: Array) -> float:
        """Return the smallest distance between two parts of the arm [m], posture [rad] (7,)."""
        return float(self.clearances_m(chain_frames(joint_positions[None]))[0])


def _reaches_m(capsules: list[Capsule]) -> Array:
    """Return how far from each joint's origin anything that it moves can be [m], shape (7,).

    A turn of the joint by an angle [rad] moves every point by at most this times the angle.
    """
    reaches_m = np.zeros(TCP_FRAME + 1)
    for capsule in capsules:
        farthest_m = max(np.linalg.norm(end) for end in (capsule.start_m, capsule.end_m))
        reach_m = float(farthest_m) + capsule.radius_m
        reaches_m[capsule.frame] = max(reaches_m[capsule.frame], reach_m)
    for i in range(TCP_FRAME - 1, 0, -1):
        reaches_m[i] = max(reaches_m[i], FRAME_DISTANCES_M[i] + reaches_m[i + 1])
    return reaches_m[1:TCP_FRAME]


def segment_distances(first: Array, second: Array) -> Array:
    """Return the distances of pairs of segments [m], shape (...).

    Args:
        first: Both ends of each segment [m], shape (..., 3, 2).
        second: The other segments [m]; of the two of a pair at least one has a length.
    """
    p, r = first[..., 0], first[..., 0] - second[..., 0]
    u, v = first[..., 1] - p, second[..., 1] - second[..., 0]
    uu, vv, uv, ur, vr = (_dot(*pair) for pair in ((u, u), (v, v), (u, v), (u, r), (v, r)))
    # Parallel segments have no single nearest pair of points: any first guess will do.
    spread = np.maximum(uu * vv - uv * uv, 1e-12)
    s = _to_share((uv * vr - ur * vv) / spread)
    t = _to_share((uv * s + vr) / np.maximum(vv, 1e-12))
    s = _to_share((uv * t - ur) / np.maximum(uu, 1e-12))
    gap = r + s[..., None] * u - t[..., None] * v
    return np.sqrt(_dot(gap, gap))


def _dot(a: Array, b: Array) -> Array:
    products: Array = np.einsum("...i,...i->...", a, b)
    return products


def _to_share(values: Array) -> Array:
    return np.minimum(np.maximum(values, 0.0), 1.0)


@cache
def self_collision(envelope: EnvelopeConfig) -> SelfCollision:
    """Return the capsules of an envelope; they are the same for all that ask."""
    return SelfCollision(envelope)
