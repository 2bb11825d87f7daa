"""Ways that the arm goes during calibration, as the action chunks that lead it there."""

import math
from dataclasses import dataclass

import numpy as np

from calibration.latency_motions import Chirp
from mail_policy.core.action_schema import (
    GRIPPER_CLOSE_BELOW_M,
    GRIPPER_OPEN_ABOVE_M,
    JOINT_POSITION,
    POLICY_RATE_HZ,
)
from mail_policy.core.frames import Array
from mail_policy.core.types import ActionChunk

TASK = "calibration"
ROW_PERIOD_S = 1.0 / POLICY_RATE_HZ
_ROWS = 16
# Between grasp and open: the hand stays as it is, also one that holds the board.
_HAND_STAYS_M = 0.5 * (GRIPPER_CLOSE_BELOW_M + GRIPPER_OPEN_ABOVE_M)
# Peak speed over mean speed of a motion without jerk at its ends.
_PEAK_SHARE = 1.875
_SHORTEST_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class StraightWay:
    """A straight line in joint space, smooth at both ends.

    Attributes:
        start: [rad], shape (7,).
        goal: [rad], shape (7,).
        speed_rad_s: Largest speed of a joint [rad/s].
    """

    start: Array
    goal: Array
    speed_rad_s: float

    @property
    def duration_s(self) -> float:
        """How long it takes [s]."""
        longest_rad = float(np.abs(self.goal - self.start).max())
        return max(_SHORTEST_S, _PEAK_SHARE * longest_rad / self.speed_rad_s)

    def at(self, times_s: Array) -> Array:
        """Return joint positions [rad] (n, 7) at times since the start [s] (n,)."""
        share = np.clip(times_s / self.duration_s, 0.0, 1.0)
        # Minimum jerk: Flash and Hogan 1985.
        progress = share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
        positions: Array = self.start + progress[:, None] * (self.goal - self.start)
        return positions


@dataclass(frozen=True, slots=True, eq=False)
class ChirpWay:
    """One joint swings around where it is; the others stay.

    Attributes:
        start: [rad], shape (7,).
        joint: Which joint, counted from 0.
        chirp: How it swings [rad].
    """

    start: Array
    joint: int
    chirp: Chirp

    @property
    def duration_s(self) -> float:
        """How long it takes [s]."""
        return self.chirp.duration_s

    def at(self, times_s: Array) -> Array:
        """Return joint positions [rad] (n, 7) at times since the start [s] (n,)."""
        positions = np.tile(self.start, (len(times_s), 1))
        positions[:, self.joint] += self.chirp.at(times_s)
        return positions


Way = StraightWay | ChirpWay


class ChunkWriter:
    """Cuts ways into chunks. After the end of a way the arm is asked to stay there.

    Args:
        lease_epoch: The lease under which the arm moves.
    """

    def __init__(self, lease_epoch: int) -> None:
        self.lease_epoch = lease_epoch
        self._sequence = 0
        self._way: Way | None = None
        self._began_s = math.inf

    def begin(self, way: Way, now_s: float) -> None:
        """Follow a way from now on [s]."""
        self._way, self._began_s = way, now_s

    def has_ended(self, now_s: float) -> bool:
        """Whether nothing is left to command but to stay."""
        return self._way is None or now_s > self._began_s + self._way.duration_s

    def commanded(self, times_s: Array) -> Array:
        """Return what is commanded at times of the clock [s]: [rad], shape (n, 7)."""
        if self._way is None:
            raise ValueError("no way was begun; call begin first")
        return self._way.at(np.asarray(times_s) - self._began_s)

    def write(self, now_s: float) -> ActionChunk:
        """Return the next part of the way.

        Args:
            now_s: Time at which the arm was seen where the chunk starts from [s].
        """
        self._sequence += 1
        joints = self.commanded(now_s + ROW_PERIOD_S * np.arange(1.0, _ROWS + 1.0))
        return ActionChunk(
            values=np.column_stack([joints, np.full(_ROWS, _HAND_STAYS_M)]),
            schema=JOINT_POSITION.id_at(POLICY_RATE_HZ),
            observed_at_s=now_s,
            step_period_s=ROW_PERIOD_S,
            lease_epoch=self.lease_epoch,
            sequence=self._sequence,
            task=TASK,
            inference_s=0.0,
        )
