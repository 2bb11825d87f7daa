"""Limits to set through franky, by its names.

Source: Franka documentation, "Robot and interface specifications"; for the Panda the smaller
one of its table and of what a Panda wheel of franky accepts.
"""

from mail_policy.core.robot_limits import RobotType

Limit = float | tuple[float, ...]

_FER: dict[str, Limit] = {
    "joint_velocity_limit": (2.175,) * 4 + (2.61,) * 3,
    "joint_acceleration_limit": (10.0, 7.5) + (10.0,) * 5,
    "joint_jerk_limit": (5000.0, 3750.0) + (5000.0,) * 5,
    "translation_velocity_limit": 1.7,
    "translation_acceleration_limit": 9.0,
    "translation_jerk_limit": 4500.0,
    "rotation_velocity_limit": 2.5,
    "rotation_acceleration_limit": 17.0,
    "rotation_jerk_limit": 8500.0,
    "elbow_velocity_limit": 2.175,
    "elbow_acceleration_limit": 10.0,
    "elbow_jerk_limit": 5000.0,
}
_FR3: dict[str, Limit] = _FER | {
    "joint_velocity_limit": (2.62,) * 4 + (5.26, 4.18, 5.26),
    "joint_acceleration_limit": (10.0,) * 7,
    "joint_jerk_limit": (5000.0,) * 7,
    "translation_velocity_limit": 3.0,
    "elbow_velocity_limit": 1.5,
}


def limit_table(robot_type: RobotType) -> dict[str, Limit]:
    """Return the limits of an arm; the driver clips them to what its library accepts."""
    return _FER if robot_type is RobotType.FER else _FR3
