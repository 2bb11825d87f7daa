"""Where a chunk wants the arm to be, brought inside the limits of steps, joints and workspace."""

import numpy as np
from numpy.typing import NDArray

from mail_policy.core.action_schema import (
    ActionSchema,
    Reference,
    cartesian_steps,
    limited_joint_step,
    limited_step,
    schema_with_id,
    targets_from_rows,
)
from mail_policy.core.frames import Array, move_pose, pose_error
from mail_policy.core.kinematics import TCP_FRAME, chain_frames, forward_kinematics
from mail_policy.core.motion.admission import Rejection
from mail_policy.core.motion.config import AdmissionConfig, EnvelopeConfig
from mail_policy.core.robot_limits import JointLimits
from mail_policy.core.types import ActionChunk

# Clipping by less than this is rounding [m or rad].
_ROUNDING = 1e-6


class TargetLimiter:
    """Turns rows of every schema into targets that the arm may go to.

    Args:
        admission: Limits of chunks.
        envelope: Limits in space; poses are clipped to its box.
        limits: Working limits of the joints.
    """

    def __init__(
        self, admission: AdmissionConfig, envelope: EnvelopeConfig, limits: JointLimits
    ) -> None:
        self._admission = admission
        self._lower_m = np.array(envelope.tcp_lower_m)
        self._upper_m = np.array(envelope.tcp_upper_m)
        self._limits = limits

    def targets(self, chunk: ActionChunk, anchor: Array) -> Array | Rejection:
        """Return what the rows want, or why too much of it is out of bounds.

        Args:
            chunk: A chunk that passed `judge`.
            anchor: Joint positions commanded when its newest picture was taken [rad], (7,).

        Returns:
            transform_tcp_to_base (steps, 4, 4), or joint positions [rad] (steps, 7).
        """
        schema = schema_with_id(chunk.schema, 1.0 / self._admission.step_period_s)
        if not schema.is_cartesian:
            return self._joint_targets(chunk.values[:, :-1], anchor)
        poses = self._limited_poses(schema, chunk.values, forward_kinematics(anchor))
        clipped = np.clip(poses[:, :3, 3], self._lower_m, self._upper_m)
        outside = np.abs(clipped - poses[:, :3, 3]).max(axis=1) > _ROUNDING
        poses[:, :3, 3] = clipped
        return self._share_rejection("workspace", "leave the workspace", outside) or poses

    def _limited_poses(self, schema: ActionSchema, values: Array, anchor: Array) -> Array:
        """Return poses whose steps are not too long; `judge` refused the very long ones."""
        limits = (self._admission.max_translation_step_m, self._admission.max_rotation_step_rad)
        too_long = any(
            float(sizes.max()) > limit
            for sizes, limit in zip(cartesian_steps(schema, values), limits, strict=True)
        )
        if not too_long:
            return targets_from_rows(schema, anchor, values)
        if schema.counted_from is Reference.ROW_BEFORE:
            return targets_from_rows(schema, anchor, limited_step(values[:, :6], *limits))
        # Places stay where they are: what one row cannot cover is left to the next.
        poses, pose = targets_from_rows(schema, anchor, values), anchor
        for row, target in enumerate(poses):
            pose = move_pose(pose, limited_step(pose_error(pose, target), *limits))
            poses[row] = pose
        return poses

    def _joint_targets(self, wanted: Array, anchor: Array) -> Array | Rejection:
        limit = self._admission.max_joint_step_rad
        first_rad = float(np.abs(wanted[0] - anchor).max())
        if first_rad > 2.0 * limit:
            detail = f"first row is {first_rad:.3f} rad from the arm, limit is {limit} rad"
            return Rejection("step_size", detail)
        clipped = np.clip(wanted, self._limits.lower, self._limits.upper)
        beyond = np.abs(clipped - wanted).max(axis=1) > _ROUNDING
        if np.abs(np.diff(clipped, axis=0, prepend=anchor[None])).max() > limit:
            clipped = _pursued(clipped, anchor, limit)
        places = chain_frames(clipped)[TCP_FRAME, :, :3, 3]
        outside = np.any((places < self._lower_m) | (places > self._upper_m), axis=1)
        return (
            self._share_rejection("joint_range", "leave the range of a joint", beyond)
            or self._share_rejection("workspace", "leave the workspace", outside)
            or clipped
        )

    def _share_rejection(self, rule: str, what: str, rows: NDArray[np.bool_]) -> Rejection | None:
        share = float(np.mean(rows))
        if share <= self._admission.max_clipped_share:
            return None
        return Rejection(rule, f"{share:.0%} of the rows {what}")


def _pursued(wanted: Array, anchor: Array, limit: float) -> Array:
    """Go to joint positions (steps, 7) with limited steps; a later row catches up."""
    positions, here = np.empty_like(wanted), anchor
    for row, target in enumerate(wanted):
        here = here + limited_joint_step(target - here, limit)
        positions[row] = here
    return positions
