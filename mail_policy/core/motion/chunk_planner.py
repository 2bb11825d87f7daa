"""Turns the rows of a chunk into a joint path."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from mail_policy.core.action_schema import turn_angles
from mail_policy.core.frames import Array
from mail_policy.core.kinematics import (
    HOME_JOINT_POSITIONS,
    forward_kinematics,
    pose_and_jacobian,
)
from mail_policy.core.motion.admission import Rejection
from mail_policy.core.motion.chunk_targets import TargetLimiter
from mail_policy.core.motion.config import AdmissionConfig, EnvelopeConfig
from mail_policy.core.motion.trajectory import HermitePath
from mail_policy.core.robot_limits import JointLimits
from mail_policy.core.types import ActionChunk

# A row is a small step from the one before: one Newton step leaves some tenths of a millimetre,
# and the next row starts from the true pose again. The first row may lie further away, and so
# does the one behind a row that could not be reached.
_FAR_ITERATIONS, _NEAR_ITERATIONS = 3, 1
_DAMPING = 1e-4 * np.eye(6)
_POSTURE_GAIN = 0.05
_MAX_REACH_ERROR_M = 0.005
# Distance between the postures of a path that are checked, by progress [s].
_CHECK_PERIOD_S = 0.02

# Takes joint positions [rad] (n, 7) that a chunk passes through, and returns why the arm may not
# be there, "" if it may.
PathCheck = Callable[[Array], str]


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
        unreachable_steps: Rows left out because the arm cannot reach them.
    """

    path: HermitePath
    widths_m: Array
    row_ends_s: Array
    skipped_steps: int
    unreachable_steps: int = 0

    def width_at(self, progress_s: float) -> float:
        """Return the gripper width that the row being carried out asks for [m]."""
        row = int(np.searchsorted(self.row_ends_s, progress_s, side="right"))
        return float(self.widths_m[min(row, len(self.widths_m) - 1)])


class ChunkPlanner:
    """Plans chunks of every schema.

    Args:
        admission: Limits of chunks.
        envelope: Limits in space.
        limits: Working limits of the joints.
        path_check: Says why the arm may not take some postures; None allows all.
    """

    def __init__(
        self,
        admission: AdmissionConfig,
        envelope: EnvelopeConfig,
        limits: JointLimits,
        path_check: PathCheck | None = None,
    ) -> None:
        self._admission = admission
        self._limiter = TargetLimiter(admission, envelope, limits)
        self._limits = limits
        self._path_check = path_check

    def plan(
        self,
        chunk: ActionChunk,
        anchor: Anchor,
        current: Anchor,
        lead_s: float,
        *,
        from_rest: bool = False,
    ) -> ChunkPlan | Rejection:
        """Plan the rows that lie ahead.

        Args:
            chunk: A chunk that passed `judge`.
            anchor: Where the trajectory was when the chunk's newest picture was taken.
            current: Where it is now.
            lead_s: Rows that end within this time are skipped [s].
            from_rest: The arm stands and follows nothing.
        """
        steps = np.arange(1, len(chunk.values) + 1)
        row_ends_s = np.asarray(anchor.progress_s + steps * chunk.step_period_s, np.float64)
        skipped = int(np.searchsorted(row_ends_s, current.progress_s + lead_s, side="right"))
        rejection = self._too_few(len(row_ends_s) - skipped)
        if rejection is not None:
            return rejection
        targets = self._limiter.targets(chunk, anchor.positions)
        if isinstance(targets, Rejection):
            return targets
        rejection = self._start_rejection(targets[0], current.positions) if from_rest else None
        if rejection is not None:
            return rejection
        waypoints, reached = self._waypoints(targets, skipped, anchor, current)
        times_s = np.concatenate([[anchor.progress_s], row_ends_s])[skipped:]
        rejection = self._reach_rejection(reached)
        if rejection is not None:
            return rejection
        path = HermitePath(times_s[reached], waypoints[reached])
        rejection = self._collision(path, current.progress_s)
        if rejection is not None:
            return rejection
        widths_m = np.clip(chunk.values[:, -1], 0.0, self._admission.max_gripper_width_m)
        return ChunkPlan(path, widths_m, row_ends_s, skipped, int(np.sum(~reached)))

    def _too_few(self, left: int) -> Rejection | None:
        wanted = self._admission.min_steps_left
        if left >= wanted:
            return None
        return Rejection("steps_left", f"{left} rows lie ahead, {wanted} are needed")

    def _start_rejection(self, first: Array, here: Array) -> Rejection | None:
        """Refuse a jump from rest (F21).

        The first row counts, although its time may have passed: it says where the arm should have
        been one step after a picture that shows it at rest. What a late chunk wants by now is
        further away, and is limited where trajectories join.
        """
        config, here_pose = self._admission, forward_kinematics(here)
        pose = first if first.ndim == 2 else forward_kinematics(first)
        away_m = float(np.linalg.norm(pose[:3, 3] - here_pose[:3, 3]))
        if first.ndim == 2:
            away_rad = float(turn_angles((first[:3, :3] @ here_pose[:3, :3].T)[None])[0])
            limit_rad = config.max_start_rad
        else:
            away_rad = float(np.abs(first - here).max())
            limit_rad = config.max_start_joint_rad
        if away_m <= config.max_start_m and away_rad <= limit_rad:
            return None
        detail = f"first row is {away_m:.3f} m and {away_rad:.3f} rad from the resting arm"
        limits = f"limits are {config.max_start_m} m and {limit_rad} rad"
        return Rejection("start", f"{detail}, {limits}")

    def _waypoints(
        self, targets: Array, skipped: int, anchor: Anchor, current: Anchor
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Find joint positions from the last row before now on, so that a path is under way.

        Returns:
            Joint positions [rad], shape (rows left + 1, 7), and which of them the arm can reach.
        """
        if targets.ndim == 2:
            waypoints = np.vstack([anchor.positions, targets])[skipped:]
            return waypoints, np.ones(len(waypoints), np.bool_)
        rows: list[Array] = []
        reached: list[bool] = []
        seed, is_far = current.positions, True
        if skipped == 0:
            rows, reached, seed = [anchor.positions], [True], anchor.positions
        for pose in targets[max(skipped - 1, 0) :]:
            iterations = _FAR_ITERATIONS if is_far else _NEAR_ITERATIONS
            found, error_m = follow_pose(pose, seed, self._limits, iterations)
            if error_m > _MAX_REACH_ERROR_M:
                found, error_m = follow_pose(pose, found, self._limits, _FAR_ITERATIONS)
            is_far = error_m > _MAX_REACH_ERROR_M
            seed = seed if is_far else found
            rows.append(found)
            reached.append(not is_far)
        return np.array(rows), np.array(reached)

    def _reach_rejection(self, reached: NDArray[np.bool_]) -> Rejection | None:
        """Refuse a chunk of which the arm cannot reach too much (F27)."""
        if not reached[0]:
            return Rejection("reach", "the arm cannot reach the row that it should be at now")
        # Runs of missed rows are the gaps between those that are reached.
        ends = np.append(np.flatnonzero(reached), len(reached))
        in_a_row = int(np.diff(ends).max()) - 1
        if in_a_row > self._admission.max_unreachable_rows:
            return Rejection("reach", f"the arm cannot reach {in_a_row} rows in a row")
        return self._too_few(int(np.sum(reached)) - 1)

    def _collision(self, path: HermitePath, progress_s: float) -> Rejection | None:
        if self._path_check is None:
            return None
        instants_s = np.append(np.arange(progress_s, path.end_s, _CHECK_PERIOD_S), path.end_s)
        reason = self._path_check(path.positions_at(instants_s))
        return Rejection("collision", reason) if reason else None


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
        pose, j = pose_and_jacobian(q)
        # Half the sum of the cross products of the axes: the rotation vector of small angles.
        turn = transform_tcp_to_base[:3, :3] @ pose[:3, :3].T
        error = np.empty(6)
        error[:3] = transform_tcp_to_base[:3, 3] - pose[:3, 3]
        error[3] = 0.5 * (turn[2, 1] - turn[1, 2])
        error[4] = 0.5 * (turn[0, 2] - turn[2, 0])
        error[5] = 0.5 * (turn[1, 0] - turn[0, 1])
        pull = _POSTURE_GAIN * (HOME_JOINT_POSITIONS - q)
        # J+ (e - J p) + p: the pull acts in the null space only.
        step = j.T @ np.linalg.solve(j @ j.T + _DAMPING, error - j @ pull) + pull
        q = np.minimum(np.maximum(q + step, limits.lower), limits.upper)
    missed = transform_tcp_to_base[:3, 3] - forward_kinematics(q)[:3, 3]
    return q, sqrt(float(missed @ missed))
