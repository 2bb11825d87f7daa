"""How loose the settings of a real arm may at most be. A file can only tighten them.

The loosest value is the default of the code, and not a second table: what the fault table promises
is tested with the defaults. A twin is free of this, see TwinConfig.
"""

import math
from operator import attrgetter
from typing import Any

# The smaller the safer.
AT_MOST = (
    "franky.follow_gain_per_s",
    "franky.follow_lead_s",
    "franky.max_follow_error_rad",
    "loop.stall_s",
    "motion.tick_s",
    "motion.envelope.slow_condition",
    "motion.envelope.stop_condition",
    "motion.admission.max_age_s",
    "motion.admission.max_future_s",
    "motion.admission.max_clock_offset_s",
    "motion.admission.max_steps",
    "motion.admission.max_translation_step_m",
    "motion.admission.max_rotation_step_rad",
    "motion.admission.max_joint_step_rad",
    "motion.admission.max_start_m",
    "motion.admission.max_start_rad",
    "motion.admission.max_start_joint_rad",
    "motion.admission.max_unreachable_rows",
    "motion.admission.max_clipped_share",
    "motion.admission.max_join_rad",
    "motion.admission.max_join_m",
    "motion.admission.max_gripper_width_m",
    "motion.admission.gripper_tolerance_m",
    "motion.admission.max_gripper_changes_per_s",
    "motion.admission.max_rejected_share",
    "motion.watchdogs.lease_ttl_s",
    "motion.watchdogs.first_chunk_s",
    "motion.watchdogs.hold_s",
    "motion.watchdogs.success_rate_s",
    "motion.watchdogs.hand_torque_nm",
    "motion.watchdogs.hand_s",
    "motion.watchdogs.late_s",
    "motion.watchdogs.oscillation_rad_s",
    "motion.watchdogs.oscillation_per_s",
    "motion.watchdogs.estop_s",
    "motion.teleop.lost_s",
    "motion.teleop.max_age_s",
    "motion.teleop.max_speed_m_s",
    "motion.teleop.max_turn_rad_s",
    "motion.teleop.max_joint_step_rad",
    "motion.teleop.max_glitches",
    "motion.homing.velocity_share",
)
# The greater the safer.
AT_LEAST = (
    "motion.joints.position_margin_rad",
    "motion.envelope.slow_clearance_m",
    "motion.envelope.stop_clearance_m",
    "motion.admission.min_steps_left",
    "motion.watchdogs.min_success_rate",
)
# A box describes the room around the arm, so a laboratory sets its own. Beyond the reach of the
# arm it would bound nothing.
FARTHEST_CORNER_M = 1.2
BOXES = tuple(
    f"motion.envelope.{part}_{side}_m"
    for part in ("tcp", "hand", "elbow", "wrist")
    for side in ("lower", "upper")
)


def require_tight(config: Any, loosest: Any) -> None:
    """Refuse settings that are looser than allowed on a real arm.

    Args:
        config: An ArmConfig.
        loosest: The ArmConfig that no value may exceed.

    Raises:
        ValueError: Names the first setting that is too loose, or is no number.
    """
    for name in (*AT_MOST, *AT_LEAST):
        value, limit = attrgetter(name)(config), attrgetter(name)(loosest)
        if not math.isfinite(value):
            raise ValueError(f"{name} must be finite, got {value}")
        if name in AT_MOST and value > limit:
            raise ValueError(_too_loose(name, f"at most {limit}", value))
        if name in AT_LEAST and value < limit:
            raise ValueError(_too_loose(name, f"at least {limit}", value))
    for name in BOXES:
        corner = attrgetter(name)(config)
        if not all(abs(value) <= FARTHEST_CORNER_M for value in corner):
            bound = f"within {FARTHEST_CORNER_M} m of the base along every axis"
            raise ValueError(_too_loose(name, bound, corner))


def _too_loose(name: str, bound: str, value: object) -> str:
    return (
        f"{name} must be {bound} on a robot, got {value}; a file can only tighten the limits of "
        "the code"
    )
