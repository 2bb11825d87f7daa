"""Forward and inverse kinematics of Panda and FR3, which share their geometry.

The tool centre point (TCP) is the point between the fingertips of the Franka Hand, mounted on
the flange as Franka does: turned by -45 degrees about z, 0.1034 m away.

Sources: DH parameters in Craig's convention, Franka documentation "Denavit-Hartenberg
parameters"; damped least squares, Wampler 1986; null-space posture, Liegeois 1977.
"""

from dataclasses import dataclass

import numpy as np

from mail_policy.core.frames import Array, make_transform, pose_error
from mail_policy.core.robot_limits import SHARED_JOINT_LIMITS
from mail_policy.core.types import NUM_JOINTS

# Posture from which every task starts, legal on both arms [rad].
HOME_JOINT_POSITIONS = np.array([0.0, -0.20, 0.0, -2.25, 0.0, 2.05, 0.785])

# a [m], d [m], alpha [rad] of joints 1 to 7, Craig's convention.
_DH_A = (0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088)
_DH_D = (0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0)
_DH_ALPHA = (0.0, -np.pi / 2, np.pi / 2, np.pi / 2, -np.pi / 2, np.pi / 2, np.pi / 2)
_FLANGE_M = 0.107
_HAND_M = 0.1034
_HAND_ANGLE_RAD = -np.pi / 4

_COS_ALPHA = np.cos(_DH_ALPHA)
_SIN_ALPHA = np.sin(_DH_ALPHA)
_TRANSFORM_TCP_TO_JOINT_7 = make_transform(
    np.array(
        [
            [np.cos(_HAND_ANGLE_RAD), -np.sin(_HAND_ANGLE_RAD), 0.0],
            [np.sin(_HAND_ANGLE_RAD), np.cos(_HAND_ANGLE_RAD), 0.0],
            [0.0, 0.0, 1.0],
        ]
    ),
    np.array([0.0, 0.0, _FLANGE_M + _HAND_M]),
)


def joint_transforms(joint_positions: Array) -> Array:
    """Return the pose of every joint frame and of the TCP in the base frame.

    Args:
        joint_positions: [rad], shape (7,).

    Returns:
        Shape (8, 4, 4): transform_joint_i_to_base for joints 1 to 7, then transform_tcp_to_base.
    """
    cosines, sines = np.cos(joint_positions), np.sin(joint_positions)
    transforms = np.empty((NUM_JOINTS + 1, 4, 4))
    parent = np.eye(4)
    link = np.eye(4)
    for i in range(NUM_JOINTS):
        c, s, ca, sa = cosines[i], sines[i], _COS_ALPHA[i], _SIN_ALPHA[i]
        link[0] = (c, -s, 0.0, _DH_A[i])
        link[1] = (s * ca, c * ca, -sa, -sa * _DH_D[i])
        link[2] = (s * sa, c * sa, ca, ca * _DH_D[i])
        parent = parent @ link
        transforms[i] = parent
    transforms[NUM_JOINTS] = parent @ _TRANSFORM_TCP_TO_JOINT_7
    return transforms


def forward_kinematics(joint_positions: Array) -> Array:
    """Return transform_tcp_to_base, shape (4, 4), for joint positions [rad] of shape (7,)."""
    tcp: Array = joint_transforms(joint_positions)[NUM_JOINTS]
    return tcp


def _jacobian_from(transforms: Array) -> Array:
    axes = transforms[:NUM_JOINTS, :3, 2]
    arms = transforms[NUM_JOINTS, :3, 3] - transforms[:NUM_JOINTS, :3, 3]
    return np.concatenate([np.cross(axes, arms), axes], axis=1).T


def jacobian(joint_positions: Array) -> Array:
    """Return the geometric Jacobian of the TCP in the base frame, shape (6, 7).

    Rows are linear velocity [m/rad], then angular velocity [rad/rad].
    """
    return _jacobian_from(joint_transforms(joint_positions))


@dataclass(frozen=True, slots=True, eq=False)
class IkSolution:
    """Result of the inverse kinematics.

    Attributes:
        joint_positions: [rad], shape (7,), inside the shared joint limits.
        position_error_m: Distance between wanted and reached TCP [m].
        rotation_error_rad: Angle between wanted and reached TCP [rad].
    """

    joint_positions: Array
    position_error_m: float
    rotation_error_rad: float


def inverse_kinematics(
    transform_tcp_to_base: Array,
    seed: Array,
    *,
    posture: Array = HOME_JOINT_POSITIONS,
    iterations: int = 6,
    damping: float = 1e-4,
    posture_gain: float = 0.15,
    limit_margin_rad: float = 0.05,
) -> IkSolution:
    """Find joint positions near a seed that bring the TCP to a pose.

    Damped least squares with a pull towards a posture in the null space, so that the elbow does
    not wander over a long motion. The result is always inside the shared joint limits; whether
    it reached the pose is said by the errors, and the caller decides.

    Args:
        transform_tcp_to_base: Wanted pose, shape (4, 4).
        seed: Joint positions to start from [rad], shape (7,).
        posture: Preferred joint positions [rad], shape (7,).
        iterations: Number of Newton steps.
        damping: Added to the diagonal of J J^T.
        posture_gain: Share of the way to the posture taken in each null-space step.
        limit_margin_rad: Distance kept from the joint limits [rad].
    """
    lower = SHARED_JOINT_LIMITS.lower + limit_margin_rad
    upper = SHARED_JOINT_LIMITS.upper - limit_margin_rad
    q = np.clip(seed, lower, upper)
    for _ in range(iterations):
        transforms = joint_transforms(q)
        error = pose_error(transforms[NUM_JOINTS], transform_tcp_to_base)
        j = _jacobian_from(transforms)
        pseudo_inverse = np.linalg.solve(j @ j.T + damping * np.eye(6), j).T
        task_step = pseudo_inverse @ error
        pull = posture_gain * (posture - q)
        posture_step = pull - pseudo_inverse @ (j @ pull)
        q = np.clip(q + task_step + posture_step, lower, upper)
    residual = pose_error(forward_kinematics(q), transform_tcp_to_base)
    return IkSolution(q, float(np.linalg.norm(residual[:3])), float(np.linalg.norm(residual[3:])))
