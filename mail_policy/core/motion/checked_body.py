"""The arm as the set-point checker sees it: points that move.

It shares with the limits filter what the arm looks like, and none of its arithmetic.
"""

from typing import NamedTuple

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import TCP_FRAME, joint_transforms
from mail_policy.core.motion.config import Corner, EnvelopeConfig
from mail_policy.core.motion.self_collision import self_collision
from mail_policy.core.motion.workspace import FINGERTIPS, HAND_BODY

# A capsule's segment counts as this many points. They are at most 22 mm apart and its axis at
# least 0.1 m from the other one, so a distance is at most 0.6 mm too large.
_BEADS = 9


class Place(NamedTuple):
    """A point of the arm.

    Attributes:
        name: What it belongs to.
        box: Which box of the envelope it must stay in.
        frame: Index of the frame that carries it: 1 to 7 a joint, 8 the TCP.
        where_m: Its position in that frame [m].
    """

    name: str
    box: str
    frame: int
    where_m: Corner


def _places(envelope: EnvelopeConfig) -> list[Place]:
    """Return the points whose place and speed are watched."""
    origin = (0.0, 0.0, 0.0)
    places = [
        Place("elbow", "elbow", 4, origin),
        Place("wrist", "wrist", 6, origin),
        Place("wrist", "wrist", 7, origin),
        Place("TCP", "tcp", TCP_FRAME, origin),
    ]
    places += [Place("fingertip", "hand", TCP_FRAME, tip) for tip in FINGERTIPS]
    places += [Place("hand", "hand", TCP_FRAME, corner) for corner in HAND_BODY]
    if envelope.camera_mount_m is not None:
        places.append(Place("camera mount", "hand", TCP_FRAME, envelope.camera_mount_m))
    return places


class CheckedBody:
    """Points of the arm, with their boxes, their motion and their distances.

    Args:
        envelope: Limits in space.
    """

    def __init__(self, envelope: EnvelopeConfig) -> None:
        places = _places(envelope)
        self._names = [place.name for place in places]
        self._low = np.array([getattr(envelope, f"{place.box}_lower_m") for place in places])
        self._high = np.array([getattr(envelope, f"{place.box}_upper_m") for place in places])
        arm = self_collision(envelope)
        names = [capsule.name for capsule in arm.capsules]
        self._pairs = np.array([[names.index(a), names.index(b)] for a, b in arm.pairs])
        self._radii_m = np.array([c.radius_m for c in arm.capsules])[self._pairs].sum(axis=1)
        frames = [place.frame for place in places]
        local = [place.where_m for place in places]
        for capsule in arm.capsules:
            frames += [capsule.frame] * 2
            local += [capsule.start_m, capsule.end_m]
        self._frames = np.array(frames)
        self._local = np.array(local)[:, :, None]
        self._transforms = np.tile(np.eye(4), (9, 1, 1))
        self._points = np.zeros((len(frames), 3))
        self._measured_at: Array | None = None
        self._measured_m = 0.0

    def place(self, joint_positions: Array) -> Array:
        """Move all points to a posture [rad], shape (7,).

        Returns:
            How far each watched point has moved [m].
        """
        self._transforms[1:] = joint_transforms(joint_positions)
        carriers = self._transforms[self._frames]
        watched = len(self._names)
        before = self._points[:watched]
        self._points = (carriers[:, :3, :3] @ self._local)[:, :, 0] + carriers[:, :3, 3]
        way = self._points[:watched] - before
        moved_m: Array = np.sqrt((way * way).sum(axis=1))
        return moved_m

    def name(self, point: int) -> str:
        """Return what a watched point belongs to."""
        return self._names[point]

    def outside(self, tolerance_m: float) -> str:
        """Return which point is how far outside its box, "" if none is."""
        points = self._points[: len(self._names)]
        beyond = np.maximum(self._low - points, points - self._high).max(axis=1)
        worst = int(np.argmax(beyond))
        if beyond[worst] <= tolerance_m:
            return ""
        where = np.round(points[worst], 3).tolist()
        return f"{self._names[worst]} at {where} m is outside the workspace"

    def nearest_m(self, needed_m: float) -> float:
        """Return a distance that the arm has from itself at least [m].

        Args:
            needed_m: It is measured again only when it may have fallen below this [m].
        """
        ends = self._points[len(self._names) :]
        if self._measured_at is not None:
            way = ends - self._measured_at
            # No point of a segment moves farther than its ends; two parts move in each pair.
            sure_m = self._measured_m - 2.0 * float(np.sqrt((way * way).sum(axis=1).max()))
            if sure_m >= needed_m:
                return sure_m
        self._measured_at, self._measured_m = ends, self._measure_m(ends)
        return self._measured_m

    def _measure_m(self, ends: Array) -> float:
        segments = ends.reshape(-1, 2, 3)
        first, second = segments[self._pairs[:, 0]], segments[self._pairs[:, 1]]
        shares = np.linspace(0.0, 1.0, _BEADS)[:, None]
        beads = first[:, None, 0] + shares * (first[:, None, 1] - first[:, None, 0])
        axis = second[:, None, 1] - second[:, None, 0]
        from_start = beads - second[:, None, 0]
        length2 = np.maximum((axis * axis).sum(axis=-1), 1e-12)
        along = np.clip((from_start * axis).sum(axis=-1) / length2, 0.0, 1.0)
        gaps = np.linalg.norm(from_start - along[..., None] * axis, axis=-1)  # (pairs, beads)
        return float((gaps.min(axis=1) - self._radii_m).min())
