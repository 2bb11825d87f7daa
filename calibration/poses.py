"""Plans postures of the arm from which a camera sees the board in as many ways as possible.

Poses of the board in the camera are drawn at random, the arm's posture follows from where camera
and board are roughly known to be, and what is unsafe or out of sight is dropped. Of the rest those
are taken that differ most, in an order that keeps ways short. It plans no ways between them: the
motion core watches those as it watches every motion.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from calibration.board import BoardConfig, Lens
from calibration.refinement import HandEye, invert
from calibration.result_types import CalibrationError
from mail_policy.core.frames import (
    Array,
    make_transform,
    rotation_from_vector,
    vector_from_rotation,
)
from mail_policy.core.kinematics import (
    HOME_JOINT_POSITIONS,
    chain_frames,
    condition_numbers,
    forward_kinematics,
    inverse_kinematics,
)
from mail_policy.core.motion.config import EnvelopeConfig
from mail_policy.core.motion.self_collision import self_collision
from mail_policy.core.motion.workspace import workspace

_IK_ITERATIONS = 40
_REACHED_M, _REACHED_RAD = 0.001, 0.005
# So much turn [rad] or way [m] makes two views as different as one unit.
_TURN_UNIT_RAD, _WAY_UNIT_M = 0.4, 0.15
# Feasible postures to choose from, per posture wanted.
_CHOICE = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class PosePlanConfig:
    """Which poses are wanted.

    Attributes:
        count: How many.
        nearest_m: Least distance between camera and board [m].
        farthest_m: Largest distance [m].
        max_tilt_rad: Largest angle between the camera's axis and the board's [rad].
        max_roll_rad: Largest turn of the board in the picture, from how home shows it [rad].
        visible_share: Share of the board's corners that must be in the picture.
        joint_margin_rad: Distance kept from joint limits [rad].
        table_clearance_m: Height that TCP and a held board keep above the base's plane [m].
        candidates: Poses that are tried at most.
        seed: Of the draw.
    """

    count: int = 20
    nearest_m: float = 0.30
    farthest_m: float = 0.60
    max_tilt_rad: float = 0.6
    max_roll_rad: float = 0.7
    visible_share: float = 0.9
    joint_margin_rad: float = 0.15
    table_clearance_m: float = 0.05
    candidates: int = 6000
    seed: int = 0


class PosePlanner:
    """Finds safe postures with the board in sight.

    Attributes:
        refused: How many candidates were dropped, by reason.
    """

    def __init__(
        self,
        rough: HandEye,
        parent_frame: str,
        lens: Lens,
        board: BoardConfig,
        envelope: EnvelopeConfig,
        config: PosePlanConfig,
    ) -> None:
        """Prepare to plan.

        Args:
            rough: Where camera and board are, within a few centimetres.
            parent_frame: Of the camera, `base` or `tcp`.
            lens: Of the camera; the picture's size is twice its principal point.
            board: Which board.
            envelope: Where the arm may be.
            config: Which poses are wanted.
        """
        self._rough, self._lens, self._board = rough, lens, board
        self._envelope, self._config = envelope, config
        self._holds_board = parent_frame == "base"
        self._size_px = 2.0 * lens.matrix[:2, 2]
        self._points = np.asarray(board.opencv_board().getChessboardCorners(), float)
        self._random = np.random.default_rng(config.seed)
        self.refused: Counter[str] = Counter()

    def plan(self) -> Array:
        """Return postures in the order to visit them [rad], shape (count, 7).

        Raises:
            CalibrationError: Too few poses are safe; the text says what stood in the way.
        """
        postures: list[Array] = []
        features: list[Array] = []
        for _ in range(self._config.candidates):
            if len(postures) == _CHOICE * self._config.count:
                break
            board_to_camera = self._draw()
            posture, reason = self._posture(board_to_camera)
            if reason:
                self.refused[reason] += 1
                continue
            postures.append(posture)
            features.append(self._feature(board_to_camera, posture))
        if len(postures) < self._config.count:
            reasons = ", ".join(f"{n} x {text}" for text, n in self.refused.most_common(3))
            raise CalibrationError(
                f"only {len(postures)} of {self._config.count} wanted poses are possible "
                f"({reasons}); move the board towards the middle of the workspace, or widen "
                "the range of distances"
            )
        return _short_tour(np.array(postures)[_most_different(features, self._config.count)])

    def _draw(self) -> Array:
        """Return a random transform_board_to_camera."""
        config, random = self._config, self._random
        pixel = random.uniform(0.2, 0.8, 2) * self._size_px
        ray = np.linalg.solve(self._lens.matrix, np.array([*pixel, 1.0]))
        centre = ray * random.uniform(config.nearest_m, config.farthest_m)
        home = self._rough.predict_from(self._parent(forward_kinematics(HOME_JOINT_POSITIONS)))
        roll_rad = np.arctan2(home[1, 0], home[0, 0])
        roll_rad += random.uniform(-config.max_roll_rad, config.max_roll_rad)
        direction_rad = random.uniform(-np.pi, np.pi)
        axis = np.array([np.cos(direction_rad), np.sin(direction_rad), 0.0])
        tilt = rotation_from_vector(random.uniform(0.0, config.max_tilt_rad) * axis)
        rotation = tilt @ rotation_from_vector(np.array([0.0, 0.0, roll_rad]))
        return make_transform(rotation, centre - rotation @ self._board.centre_m)

    def _posture(self, board_to_camera: Array) -> tuple[Array, str]:
        """Return joint positions for a view, and why they cannot be used, "" if they can."""
        camera, board = self._rough.camera, self._rough.board
        tcp = self._parent(camera @ board_to_camera @ np.linalg.inv(board))
        if not self._is_in_sight(board_to_camera):
            return HOME_JOINT_POSITIONS, "the board is not in sight"
        if self._lowest_m(tcp) < self._config.table_clearance_m:
            return HOME_JOINT_POSITIONS, "the hand is too near to the table"
        solution = inverse_kinematics(
            tcp,
            HOME_JOINT_POSITIONS,
            iterations=_IK_ITERATIONS,
            limit_margin_rad=self._config.joint_margin_rad,
        )
        if solution.position_error_m > _REACHED_M or solution.rotation_error_rad > _REACHED_RAD:
            return solution.joint_positions, "the arm cannot reach it"
        return solution.joint_positions, self._danger(solution.joint_positions)

    def _danger(self, joint_positions: Array) -> str:
        frames = chain_frames(joint_positions[None])
        if workspace(self._envelope).complaint(frames):
            return "the arm leaves the workspace"
        if self_collision(self._envelope).clearance_m(joint_positions) < (
            self._envelope.slow_clearance_m
        ):
            return "the arm comes too near to itself"
        if condition_numbers(frames)[0] > self._envelope.slow_condition:
            return "the arm is near a singularity"
        return ""

    def _parent(self, transform: Array) -> Array:
        """Turn transform_tcp_to_base into that from board's to camera's parent, and back."""
        return transform if self._holds_board else invert(transform)

    def _is_in_sight(self, board_to_camera: Array) -> bool:
        points = self._points @ board_to_camera[:3, :3].T + board_to_camera[:3, 3]
        if points[:, 2].min() < 0.5 * self._config.nearest_m:
            return False
        pixels, _ = self._lens.project(points)
        inside = ((pixels > 0.0) & (pixels < self._size_px)).all(axis=1)
        return bool(inside.mean() >= self._config.visible_share)

    def _lowest_m(self, tcp: Array) -> float:
        if not self._holds_board:
            return float(tcp[2, 3])
        width_m, height_m = self._board.width_m, self._board.height_m
        corners = np.array([[x, y, 0.0, 1.0] for x in (0.0, width_m) for y in (0.0, height_m)])
        return float(min(tcp[2, 3], (tcp @ self._rough.board @ corners.T)[2].min()))

    def _feature(self, board_to_camera: Array, posture: Array) -> Array:
        turn = vector_from_rotation(
            forward_kinematics(HOME_JOINT_POSITIONS)[:3, :3].T @ forward_kinematics(posture)[:3, :3]
        )
        centre = board_to_camera[:3, :3] @ self._board.centre_m + board_to_camera[:3, 3]
        return np.concatenate([turn / _TURN_UNIT_RAD, centre / _WAY_UNIT_M])


def _most_different(features: list[Array], count: int) -> list[int]:
    """Choose greedily the one that is farthest from all chosen so far."""
    points = np.array(features)
    chosen = [int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    distances = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distances)))
        distances = np.minimum(distances, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return chosen


def _short_tour(postures: Array) -> Array:
    """Order postures so that each is followed by the nearest one left, starting at home."""
    left, here, tour = list(range(len(postures))), HOME_JOINT_POSITIONS, []
    while left:
        nearest = min(left, key=lambda i: float(np.abs(postures[i] - here).max()))
        left.remove(nearest)
        tour.append(nearest)
        here = postures[nearest]
    return postures[tour]
