"""Whether a braking motion keeps all limits in space: boxes, speed, self-collision, singularity.

A sample of a motion counts from its true geometry; nothing is extrapolated but the distance of
the arm from itself, by how far any of its points can have moved since it was measured.
"""

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import chain_frames, condition_numbers
from mail_policy.core.motion.config import EnvelopeConfig
from mail_policy.core.motion.self_collision import self_collision
from mail_policy.core.motion.workspace import MOMENT_S, workspace

# Near itself or a singularity the arm may still use this share of its speed.
_LOWEST_SHARE = 0.1
# The arm may be a little faster between two samples of a braking motion, so this share of the
# limit is used at the samples.
_SAMPLING_SHARE = 0.995


class SpaceGuard:
    """Says whether motions stay within the limits in space.

    Args:
        envelope: Those limits.
        tick_s: Time between set-points [s].
    """

    def __init__(self, envelope: EnvelopeConfig, tick_s: float) -> None:
        self._envelope = envelope
        self._workspace = workspace(envelope)
        self._arm = self_collision(envelope)
        # A moment as a share of a tick.
        self._moment = MOMENT_S / tick_s
        self._speed_m_s = _SAMPLING_SHARE * envelope.speed_m_s

    def reset(self, positions: Array) -> None:
        """Start at rest at joint positions [rad], shape (7,)."""
        frames = chain_frames(positions[None])
        self._measured_at = positions
        self._measured_m = float(self._arm.clearances_m(frames)[0])
        self.condition = self._next_condition = float(condition_numbers(frames)[0])

    def allows(self, before: Array, positions: Array, velocities: Array) -> bool:
        """Whether a set-point and the braking motion from it keep all limits.

        Args:
            before: The last set-point [rad], shape (7,).
            positions: Samples of the braking motion [rad], shape (n, 7): first the set-point,
                last the place where it comes to rest.
            velocities: Of these samples but the last [rad/s], shape (n - 1, 7).
        """
        ahead = positions[:-1] + MOMENT_S * velocities
        frames = chain_frames(np.concatenate([before[None], positions, ahead]))
        points, n = self._workspace.points(frames), len(positions)
        now = points[1 : n + 1]
        if not self._workspace.holds(now):
            return False
        ways = np.concatenate([points[n + 1 :] - now[:-1], (now[:1] - points[:1]) * self._moment])
        speeds_m_s = self._workspace.longest_m(ways) / MOMENT_S
        if speeds_m_s.max() > self._speed_m_s:
            return False
        share = self._condition_share(frames[:, n : n + 1])
        if share > 0.0:
            # On so short a way the arm is nearest to itself at an end, or, on an arc, amidst.
            share = min(share, self._clearance_share(positions, frames[:, [1, 1 + n // 2, n]]))
        return share > 0.0 and speeds_m_s[0] <= max(share, _LOWEST_SHARE) * self._speed_m_s

    def accept(self) -> None:
        """Take the last allowed motion as the one that is carried out."""
        self.condition = self._next_condition

    def _clearance_share(self, positions: Array, frames: Array) -> float:
        """Return the share of the speed that the distance of the arm from itself allows."""
        slow_m, stop_m = self._envelope.slow_clearance_m, self._envelope.stop_clearance_m
        travel_m = np.abs(positions - self._measured_at) @ self._arm.reaches_m
        if self._measured_m - travel_m.max() >= slow_m:
            return 1.0
        clearances_m = self._arm.clearances_m(frames)
        self._measured_at, self._measured_m = positions[-1], float(clearances_m[-1])
        nearest_m = float(clearances_m.min())
        # Apart again is free, wherever the arm is.
        if nearest_m >= stop_m and clearances_m[-1] > clearances_m[0]:
            return 1.0
        return min(1.0, (nearest_m - stop_m) / (slow_m - stop_m))

    def _condition_share(self, frames: Array) -> float:
        """Return the share of the speed that a stop near a singularity allows."""
        slow, stop = self._envelope.slow_condition, self._envelope.stop_condition
        condition = self._next_condition = float(condition_numbers(frames)[0])
        # Away from the singularity is free, wherever the arm is.
        if condition <= max(slow, self.condition):
            return 1.0
        return (stop - condition) / (stop - slow)
