"""The robot's 41 error flags, in their order on the wire."""

from collections.abc import Iterable

# Order of libfranka's research_interface; tests/ros/test_fault_fci.py compares every name with
# what a real client reports.
ERROR_NAMES = (
    "joint_position_limits_violation",
    "cartesian_position_limits_violation",
    "self_collision_avoidance_violation",
    "joint_velocity_violation",
    "cartesian_velocity_violation",
    "force_control_safety_violation",
    "joint_reflex",
    "cartesian_reflex",
    "max_goal_pose_deviation_violation",
    "max_path_pose_deviation_violation",
    "cartesian_velocity_profile_safety_violation",
    "joint_position_motion_generator_start_pose_invalid",
    "joint_motion_generator_position_limits_violation",
    "joint_motion_generator_velocity_limits_violation",
    "joint_motion_generator_velocity_discontinuity",
    "joint_motion_generator_acceleration_discontinuity",
    "cartesian_position_motion_generator_start_pose_invalid",
    "cartesian_motion_generator_elbow_limit_violation",
    "cartesian_motion_generator_velocity_limits_violation",
    "cartesian_motion_generator_velocity_discontinuity",
    "cartesian_motion_generator_acceleration_discontinuity",
    "cartesian_motion_generator_elbow_sign_inconsistent",
    "cartesian_motion_generator_start_elbow_invalid",
    "force_controller_desired_force_tolerance_violation",
    "start_elbow_sign_inconsistent",
    "communication_constraints_violation",
    "power_limit_violation",
    "cartesian_motion_generator_joint_position_limits_violation",
    "cartesian_motion_generator_joint_velocity_limits_violation",
    "cartesian_motion_generator_joint_velocity_discontinuity",
    "cartesian_motion_generator_joint_acceleration_discontinuity",
    "cartesian_position_motion_generator_invalid_frame",
    "controller_torque_discontinuity",
    "joint_p2p_insufficient_torque_for_planning",
    "tau_j_range_violation",
    "instability_detected",
    "joint_move_in_wrong_direction",
    "cartesian_spline_motion_generator_violation",
    "joint_via_motion_generator_planning_joint_limit_violation",
    "base_acceleration_initialization_timeout",
    "base_acceleration_invalid_reading",
)
NO_ERRORS = (False,) * len(ERROR_NAMES)


def error_flags(names: Iterable[str]) -> tuple[bool, ...]:
    """Return the flags of some errors. Raises ValueError for a name that is none."""
    wanted = set(names)
    unknown = sorted(wanted - set(ERROR_NAMES))
    if unknown:
        raise ValueError(f"unknown robot errors: {', '.join(unknown)}")
    return tuple(name in wanted for name in ERROR_NAMES)


def error_names(flags: Iterable[bool]) -> tuple[str, ...]:
    """Return the names of the flags that are set."""
    return tuple(name for name, is_set in zip(ERROR_NAMES, flags, strict=True) if is_set)
