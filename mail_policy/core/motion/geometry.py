"""Where TCP and elbow are; kept until `generator` asks the kinematics itself."""

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import joint_transforms


def arm_points(joint_positions: Array) -> tuple[Array, Array]:
    """Return the positions of TCP and elbow [m] in the base frame, each of shape (3,)."""
    transforms = joint_transforms(joint_positions)
    return transforms[7, :3, 3], transforms[3, :3, 3]
