"""Joins pictures of several cameras and joint states to observations, by capture time.

Streams arrive at their own pace and in any order. A picture of the first camera defines the
instant; the other cameras must have a picture within the tolerance, and the joint states must
reach past the instant, so that they can be interpolated to it.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mail_policy.core.types import Observation

# Enough for half a second of pictures at 30 Hz and of joint states at 100 Hz.
_FRAMES_KEPT = 16
_JOINT_STATES_KEPT = 64


@dataclass(slots=True)
class AssemblerCounters:
    """What was thrown away, and why. Counts since the start.

    Attributes:
        not_newer: Messages whose stamp did not advance (duplicates, reordering, clock jumps).
        unmatched: Instants for which a camera or the joint state was missing.
    """

    not_newer: int = 0
    unmatched: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _JointSample:
    stamp_s: float
    joint_positions: NDArray[np.float64]
    gripper_width_m: float


@dataclass(slots=True)
class _Stream:
    """Pictures of one camera, oldest first."""

    stamps_s: deque[float] = field(default_factory=lambda: deque(maxlen=_FRAMES_KEPT))
    images: deque[NDArray[np.uint8]] = field(default_factory=lambda: deque(maxlen=_FRAMES_KEPT))

    def add(self, stamp_s: float, image: NDArray[np.uint8]) -> bool:
        if self.stamps_s and stamp_s <= self.stamps_s[-1]:
            return False
        self.stamps_s.append(stamp_s)
        self.images.append(image)
        return True

    def nearest(self, stamp_s: float) -> tuple[float, NDArray[np.uint8]] | None:
        """Return the distance in time [s] and the picture nearest to an instant."""
        if not self.stamps_s:
            return None
        index = min(range(len(self.stamps_s)), key=lambda i: abs(self.stamps_s[i] - stamp_s))
        return abs(self.stamps_s[index] - stamp_s), self.images[index]

    def has_passed(self, stamp_s: float) -> bool:
        return bool(self.stamps_s) and self.stamps_s[-1] >= stamp_s

    def clear(self) -> None:
        self.stamps_s.clear()
        self.images.clear()


class ObservationAssembler:
    """Builds observations from streams of pictures and joint states.

    Args:
        cameras: Camera names in the order of the checkpoint; the first one sets the instants.
        tolerance_s: Largest distance between pictures of one observation [s].
        max_joint_gap_s: Largest distance between two joint states that are interpolated [s].
    """

    def __init__(
        self, cameras: tuple[str, ...], *, tolerance_s: float, max_joint_gap_s: float = 0.1
    ) -> None:
        if not cameras:
            raise ValueError("cameras must name at least one camera, got none")
        self._streams = {name: _Stream() for name in cameras}
        self._reference = cameras[0]
        self._tolerance_s = tolerance_s
        self._max_joint_gap_s = max_joint_gap_s
        self._pending: deque[tuple[float, NDArray[np.uint8]]] = deque(maxlen=_FRAMES_KEPT)
        self._joints: deque[_JointSample] = deque(maxlen=_JOINT_STATES_KEPT)
        self.counters = AssemblerCounters()

    def clear(self) -> None:
        """Forget everything received, for example when the arm was stopped."""
        for stream in self._streams.values():
            stream.clear()
        self._pending.clear()
        self._joints.clear()

    def silent_streams(self) -> list[str]:
        """Name the streams from which nothing has come since the last `clear`."""
        silent = [name for name, stream in self._streams.items() if not stream.stamps_s]
        return silent if self._joints else [*silent, "joint_states"]

    def add_frame(
        self, camera: str, captured_at_s: float, image: NDArray[np.uint8]
    ) -> list[Observation]:
        """Take a picture; return the observations that it completes, oldest first."""
        if not self._streams[camera].add(captured_at_s, image):
            self.counters.not_newer += 1
            return []
        if camera == self._reference:
            self._pending.append((captured_at_s, image))
        return list(self._complete())

    def add_joints(
        self, stamp_s: float, joint_positions: NDArray[np.float64], gripper_width_m: float
    ) -> list[Observation]:
        """Take a joint state; return the observations that it completes, oldest first."""
        if self._joints and stamp_s <= self._joints[-1].stamp_s:
            self.counters.not_newer += 1
            return []
        self._joints.append(_JointSample(stamp_s, joint_positions, gripper_width_m))
        return list(self._complete())

    def _complete(self) -> Iterator[Observation]:
        while self._pending:
            stamp_s, image = self._pending[0]
            if not self._everything_arrived(stamp_s):
                return
            self._pending.popleft()
            observation = self._assemble(stamp_s, image)
            if observation is None:
                self.counters.unmatched += 1
            else:
                yield observation

    def _everything_arrived(self, stamp_s: float) -> bool:
        """Whether waiting longer cannot bring a better match for an instant."""
        joints_passed = bool(self._joints) and self._joints[-1].stamp_s >= stamp_s
        return joints_passed and all(s.has_passed(stamp_s) for s in self._streams.values())

    def _assemble(self, stamp_s: float, image: NDArray[np.uint8]) -> Observation | None:
        images = {self._reference: image}
        for name, stream in self._streams.items():
            if name == self._reference:
                continue
            nearest = stream.nearest(stamp_s)
            if nearest is None or nearest[0] > self._tolerance_s:
                return None
            images[name] = nearest[1]
        joints = self._joints_at(stamp_s)
        if joints is None:
            return None
        return Observation(stamp_s, images, joints.joint_positions, joints.gripper_width_m)

    def _joints_at(self, stamp_s: float) -> _JointSample | None:
        after = bisect_left(self._joints, stamp_s, key=lambda sample: sample.stamp_s)
        right = self._joints[after]
        if right.stamp_s == stamp_s:
            return right
        if after == 0 or right.stamp_s - self._joints[after - 1].stamp_s > self._max_joint_gap_s:
            return None
        left = self._joints[after - 1]
        share = (stamp_s - left.stamp_s) / (right.stamp_s - left.stamp_s)
        return _JointSample(
            stamp_s,
            left.joint_positions + share * (right.joint_positions - left.joint_positions),
            left.gripper_width_m + share * (right.gripper_width_m - left.gripper_width_m),
        )
