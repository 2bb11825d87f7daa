"""Positions and Jacobians of the points of the arm that are watched at every tick.

Kept for `generator` and `chunk_planner`; all of it is in `mail_policy.core.kinematics`.
"""

from dataclasses import dataclass

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import joint_transforms, pose_and_jacobian


@dataclass(frozen=True, slots=True, eq=False)
class ArmGeometry:
    """The arm in one posture, in the base frame.

    Attributes:
        tcp_position: Tool centre point [m], shape (3,).
        tcp_rotation: rotation_tcp_to_base, shape (3, 3).
        tcp_jacobian: Linear, then angular velocity of the TCP per joint velocity, shape (6, 7).
    """

    tcp_position: Array
    tcp_rotation: Array
    tcp_jacobian: Array


def arm_points(joint_positions: Array) -> tuple[Array, Array]:
    """Return the positions of TCP and elbow [m] in the base frame, each of shape (3,)."""
    transforms = joint_transforms(joint_positions)
    return transforms[7, :3, 3], transforms[3, :3, 3]


def arm_geometry(joint_positions: Array) -> ArmGeometry:
    """Return positions and Jacobians for joint positions [rad] of shape (7,)."""
    pose, jacobian = pose_and_jacobian(joint_positions)
    return ArmGeometry(pose[:3, 3], pose[:3, :3], jacobian)
