"""Turns wanted poses into smooth actions that the real arm is allowed to make."""

from dataclasses import dataclass

import numpy as np

from mail_policy.core.action_schema import POLICY_RATE_HZ
from mail_policy.core.frames import Array, pose_error
from mail_policy.core.kinematics import jacobian
from mail_policy.core.robot_limits import SHARED_JOINT_LIMITS, LimitShares, tightened

PERIOD_S = 1.0 / POLICY_RATE_HZ
_DAMPING = 1e-4 * np.eye(6)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServoConfig:
    """How an expert moves.

    Attributes:
        max_translation_m: Largest translation of a step [m]: 0.25 m/s, the reduced speed.
        max_rotation_rad: Largest rotation of a step [rad].
        max_translation_change_m: Largest change of the translation from step to step [m].
        max_rotation_change_rad: Largest change of the rotation from step to step [rad].
        gain: Share of the remaining way that a step covers.
        joint_share: Share of the real arm's working joint velocities that a step may use.
    """

    max_translation_m: float = 0.0125
    max_rotation_rad: float = 0.1
    max_translation_change_m: float = 0.004
    max_rotation_change_rad: float = 0.03
    gain: float = 0.35
    joint_share: float = 0.9


class Servo:
    """Walks the commanded pose towards a goal, step by step."""

    def __init__(self, config: ServoConfig | None = None) -> None:
        self._config = config or ServoConfig()
        limits = tightened(SHARED_JOINT_LIMITS, LimitShares())
        self._max_joint_steps = limits.velocity * (PERIOD_S * self._config.joint_share)
        self._last = np.zeros(6)

    def step_towards(
        self, goal: Array, commanded: Array, joints: Array, slowness: float = 1.0
    ) -> Array:
        """Return the next step: translation [m] and rotation vector [rad], shape (6,).

        Args:
            goal: Wanted transform_tcp_to_base, shape (4, 4).
            commanded: The pose that the actions have added up to, shape (4, 4).
            joints: Joint positions of that pose [rad], shape (7,).
            slowness: Divides the largest speed; 2 halves it.
        """
        config = self._config
        step = config.gain * pose_error(commanded, goal)
        step[:3] = _capped(step[:3], config.max_translation_m / slowness)
        step[3:] = _capped(step[3:], config.max_rotation_rad / slowness)
        change = step - self._last
        change[:3] = _capped(change[:3], config.max_translation_change_m)
        change[3:] = _capped(change[3:], config.max_rotation_change_rad)
        step = self._within_joint_speeds(self._last + change, joints)
        # A change towards a goal behind may leave the last step a little too long.
        step[:3] = _capped(step[:3], config.max_translation_m)
        step[3:] = _capped(step[3:], config.max_rotation_rad)
        self._last = step
        return step.copy()

    def _within_joint_speeds(self, step: Array, joints: Array) -> Array:
        j = jacobian(joints)
        joint_step = j.T @ np.linalg.solve(j @ j.T + _DAMPING, step)
        excess = float((np.abs(joint_step) / self._max_joint_steps).max())
        return step / max(excess, 1.0)


def _capped(vector: Array, largest: float) -> Array:
    length = float(np.linalg.norm(vector))
    return vector if length <= largest else vector * (largest / length)
