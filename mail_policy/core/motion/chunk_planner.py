"""Turns the rows of a chunk into a joint path."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from mail_policy.core.action_schema import poses_from_ee_delta
from mail_policy.core.frames import Array
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_policy.core.motion.admission import Rejection
from mail_policy.core.motion.config import AdmissionConfig, EnvelopeConfig
from mail_policy.core.motion.geometry import arm_geometry, arm_points
from mail_policy.core.motion.trajectory import HermitePath
from mail_policy.core.robot_limits import JointLimits
from mail_policy.core.types import ActionChunk

# A row is a small step from the one before: one Newton step leaves some tenths of a millimetre,
# and the next row starts from the true pose again. The first row may lie further away.
_FIRST_ITERATIONS, _ITERATIONS = 3, 1
_DAMPING = 1e-4 * np.eye(6)
_POSTURE_GAIN = 0.05
_MAX_REACH_ERROR_M = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """Where the commanded trajectory was at some instant.

    Attributes:
        progress_s: Progress of the trajectory then [s].
        positions: Commanded joint positions then [rad], shape (7,).
    """

    progress_s: float
    positions: Array


@dataclass(frozen=True, slots=True, eq=False)
class ChunkPlan:
    """A chunk, ready to be followed.

    Attributes:
        path: Joint path, by progress.
        widths_m: Gripper width of each row [m].
        row_ends_s: Progress at which each row is reached [s].
        skipped_steps: Rows whose time had passed.
    """

    path: HermitePath
    widths_m: Array
    row_ends_s: Array
    skipped_steps: int

    def width_at(self, progress_s: float) -> float:
        """Return the gripper width that the row being carried out asks for [m]."""
        row = int(np.searchsorted(self.row_ends_s, progress_s, side="right"))
        return float(self.widths_m[min(row, len(self.widths_m) - 1)])


class ChunkPlanner:
    """Plans EE_DELTA chunks.

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

    def plan(
        self, chunk: ActionChunk, anchor: Anchor, current: Anchor, lead_s: float
    ) -> ChunkPlan | Rejection:
        """Plan the rows that lie ahead.

        Args:
            chunk: A chunk that passed `judge`.
            anchor: Where the trajectory was when the chunk's newest picture was taken.
            current: Where it is now.
            lead_s: Rows that end within this time are skipped [s].
        """
        steps = np.arange(1, len(chunk.values) + 1)
        row_ends_s = np.asarray(anchor.progress_s + steps * chunk.step_period_s, np.float64)
        skipped = int(np.searchsorted(row_ends_s, current.progress_s + lead_s, side="right"))
        left = len(row_ends_s) - skipped
        if left < self._admission.min_steps_left:
            wanted = self._admission.min_steps_left
            return Rejection("steps_left", f"{left} rows lie ahead, {wanted} are needed")
        poses = poses_from_ee_delta(forward_kinematics(anchor.positions), self._scaled(chunk))
        clipped = np.clip(poses[:, :3, 3], self._lower_m, self._upper_m)
        share = float(np.mean(np.abs(clipped - poses[:, :3, 3]).max(axis=1) > 1e-6))
        if share > self._admission.max_clipped_share:
            return Rejection("workspace", f"{share:.0%} of the rows leave the workspace")
        poses[:, :3, 3] = clipped
        waypoints = self._waypoints(poses, skipped, anchor, current)
        if isinstance(waypoints, Rejection):
            return waypoints
        times_s = np.concatenate([[anchor.progress_s], row_ends_s])[skipped:]
        widths_m = np.clip(chunk.values[:, 6], 0.0, self._admission.max_gripper_width_m)
        return ChunkPlan(HermitePath(times_s, waypoints), widths_m, row_ends_s, skipped)

    def _scaled(self, chunk: ActionChunk) -> Array:
        """Shorten rows that are longer than the limit; `judge` refused the very long ones."""
        values = chunk.values.copy()
        for columns, limit in (
            (slice(0, 3), self._admission.max_translation_step_m),
            (slice(3, 6), self._admission.max_rotation_step_rad),
        ):
            sizes = np.linalg.norm(values[:, columns], axis=1, keepdims=True)
            values[:, columns] *= np.minimum(1.0, limit / np.maximum(sizes, 1e-12))
        return values

    def _waypoints(
        self, poses: Array, skipped: int, anchor: Anchor, current: Anchor
    ) -> Array | Rejection:
        """Return joint positions from the last row before now on, shape (rows left + 1, 7)."""
        rows: list[Array] = []
        seed = current.positions
        if skipped == 0:
            rows, seed = [anchor.positions], anchor.positions
        for row in range(max(skipped - 1, 0), len(poses)):
            iterations = _ITERATIONS if rows else _FIRST_ITERATIONS
            seed, error_m = follow_pose(poses[row], seed, self._limits, iterations)
            if error_m > _MAX_REACH_ERROR_M:
                detail = f"row {row} misses its pose by {1000 * error_m:.0f} mm"
                return Rejection("reach", detail)
            rows.append(seed)
        return np.array(rows)


def follow_pose(
    transform_tcp_to_base: Array, seed: Array, limits: JointLimits, iterations: int
) -> tuple[Array, float]:
    """Find joint positions for a pose close to that of a seed.

    The same damped least squares as `inverse_kinematics`, with few iterations and a weaker pull
    to the home posture, because a control tick must plan many rows.

    Returns:
        Joint positions [rad], shape (7,), and the distance by which they miss the pose [m].
    """
    q = np.clip(seed, limits.lower, limits.upper)
    for _ in range(iterations):
        geometry = arm_geometry(q)
        # Half the sum of the cross products of the axes: the rotation vector of small angles.
        turn = transform_tcp_to_base[:3, :3] @ geometry.tcp_rotation.T
        error = np.empty(6)
        error[:3] = transform_tcp_to_base[:3, 3] - geometry.tcp_position
        error[3] = 0.5 * (turn[2, 1] - turn[1, 2])
        error[4] = 0.5 * (turn[0, 2] - turn[2, 0])
        error[5] = 0.5 * (turn[1, 0] - turn[0, 1])
        j = geometry.tcp_jacobian
        pull = _POSTURE_GAIN * (HOME_JOINT_POSITIONS - q)
        # J+ (e - J p) + p: the pull acts in the null space only.
        step = j.T @ np.linalg.solve(j @ j.T + _DAMPING, error - j @ pull) + pull
        q = np.minimum(np.maximum(q + step, limits.lower), limits.upper)
    missed = transform_tcp_to_base[:3, 3] - arm_points(q)[0]
    return q, sqrt(float(missed @ missed))
