"""The three kinds of calibration results, and which values no measurement can have."""

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, TypedDict

import numpy as np

from mail_policy.core.config import to_plain
from mail_policy.core.frames import (
    Array,
    make_transform,
    quaternion_from_rotation,
    rotation_from_quaternion,
)

PARENT_FRAMES = ("base", "tcp")
# The arm reaches 0.9 m. More than this was measured in millimetres, or in milliseconds.
_FARTHEST_CAMERA_M, _LONGEST_LATENCY_S = 5.0, 5.0
_UNIT_TOLERANCE = 1e-3


class CalibrationError(ValueError):
    """A calibration cannot be computed, or must not be used. The text says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationResult:
    """What all results have in common.

    Attributes:
        robot: `sim`, `panda`, `fr3` or a lab's own name.
        subject: Name of the camera, or `arm` or `gripper`.
        serial: Of the camera; of the arm for a latency.
        created_at: ISO 8601, UTC.
        tool: Name and git hash of what computed it.
        residuals: Numbers that say how well the measurement fits, by name with unit.
    """

    kind: ClassVar[str]

    robot: str
    subject: str
    serial: str
    created_at: str
    tool: str
    residuals: dict[str, float]

    def __post_init__(self) -> None:
        """Refuse what cannot be a measurement."""
        for name in ("robot", "subject"):
            value = getattr(self, name)
            if not value or not value.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"{name} must be letters, digits, - and _, got {value!r}")
        _require_finite(to_plain(self))
        parse_time(self.created_at)

    @property
    def sha256(self) -> str:
        """Return the hash over all values."""
        return hashlib.sha256(json.dumps(self.to_plain(), sort_keys=True).encode()).hexdigest()

    def to_plain(self) -> dict[str, Any]:
        """Return kind and all values that are known."""
        values = {"kind": self.kind, **to_plain(self)}
        return {key: value for key, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class IntrinsicsResult(CalibrationResult):
    """How a camera maps directions to pixels: OpenCV's pinhole model.

    Attributes:
        width: Columns of a picture.
        height: Rows of a picture.
        fx: Focal length along a row [px].
        fy: Focal length along a column [px].
        cx: Column of the principal point [px].
        cy: Row of the principal point [px].
        distortion: k1, k2, p1, p2, k3.
        rms_px: Reprojection error of the views that it was computed from [px].
    """

    kind: ClassVar[str] = "intrinsics"

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, float, float, float, float]
    rms_px: float

    def __post_init__(self) -> None:
        """Refuse a camera that cannot exist."""
        CalibrationResult.__post_init__(self)
        if min(self.width, self.height) < 1 or min(self.fx, self.fy) <= 0.0:
            raise ValueError("width, height, fx and fy must be greater than 0")
        if not (0.0 < self.cx < self.width and 0.0 < self.cy < self.height):
            raise ValueError(
                f"cx and cy must lie in the picture of {self.width} x {self.height} pixels, "
                f"got {self.cx:.1f}, {self.cy:.1f}"
            )

    @property
    def matrix(self) -> Array:
        """Return the camera matrix, shape (3, 3)."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedBoard:
    """Where the board was while a camera was calibrated, for later checks of the camera.

    Attributes:
        position_m: Origin of the board in the frame that is not the camera's parent [m].
        quaternion_xyzw: Rotation from board to that frame.
    """

    position_m: tuple[float, float, float]
    quaternion_xyzw: tuple[float, float, float, float]

    @property
    def transform(self) -> Array:
        """Return the pose as a transform, shape (4, 4)."""
        return _transform(self.position_m, self.quaternion_xyzw)


@dataclass(frozen=True, kw_only=True, slots=True)
class HandEyeResult(CalibrationResult):
    """Where a camera is: its optical frame (z forward, x right, y down) in its parent.

    Attributes:
        parent_frame: `base` for a camera on a stand, `tcp` for one on the hand.
        position_m: Origin of the camera in the parent frame [m].
        quaternion_xyzw: Rotation from camera to parent.
        held_out_mm: Median distance of boards seen from boards predicted, in views that were not
            used for the prediction [mm].
        held_out_deg: Median angle between them [deg].
        views: How many views were used.
        board: Where the board was; None if that is unknown.
    """

    kind: ClassVar[str] = "hand_eye"

    parent_frame: str
    position_m: tuple[float, float, float]
    quaternion_xyzw: tuple[float, float, float, float]
    held_out_mm: float
    held_out_deg: float
    views: int
    board: FixedBoard | None = None

    def __post_init__(self) -> None:
        """Refuse millimetres and what is no rotation."""
        CalibrationResult.__post_init__(self)
        if self.parent_frame not in PARENT_FRAMES:
            raise ValueError(f"parent_frame must be base or tcp, got {self.parent_frame!r}")
        distance_m = math.hypot(*self.position_m)
        if distance_m > _FARTHEST_CAMERA_M:
            raise ValueError(
                f"position_m is {distance_m:.3g} m away from {self.parent_frame}, limit is "
                f"{_FARTHEST_CAMERA_M:.0f} m; is it in millimetres?"
            )
        if abs((norm := math.hypot(*self.quaternion_xyzw)) - 1.0) > _UNIT_TOLERANCE:
            raise ValueError(f"quaternion_xyzw must have length 1, got {norm:.6g}")

    @property
    def transform_camera_to_parent(self) -> Array:
        """Return the pose as a transform, shape (4, 4)."""
        return _transform(self.position_m, self.quaternion_xyzw)


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyResult(CalibrationResult):
    """How late a device is.

    Attributes:
        latency_s: Delay of the subject behind the reference [s].
        correlation: Of both signals once the delay is taken out, 1 is perfect.
        reference: What the delay is in relation to.
    """

    kind: ClassVar[str] = "latency"

    latency_s: float
    correlation: float
    reference: str

    def __post_init__(self) -> None:
        """Refuse milliseconds."""
        CalibrationResult.__post_init__(self)
        if abs(self.latency_s) > _LONGEST_LATENCY_S:
            raise ValueError(f"latency_s is {self.latency_s:.3g} s; is it in milliseconds?")
        if not -1.0 <= self.correlation <= 1.0:
            raise ValueError(f"correlation must be between -1 and 1, got {self.correlation}")


AnyResult = IntrinsicsResult | HandEyeResult | LatencyResult


class PoseFields(TypedDict):
    """Position [m] and rotation of a pose, as results store them."""

    position_m: tuple[float, float, float]
    quaternion_xyzw: tuple[float, float, float, float]


def pose_fields(transform_camera_to_parent: Array) -> PoseFields:
    """Return `position_m` and `quaternion_xyzw` of a transform, for a HandEyeResult.

    Raises:
        CalibrationError: The transform mirrors or stretches.
    """
    rotation = transform_camera_to_parent[:3, :3]
    is_rotation = np.allclose(rotation @ rotation.T, np.eye(3), atol=_UNIT_TOLERANCE)
    if not is_rotation or np.linalg.det(rotation) < 0.0:
        raise CalibrationError(
            "transform_camera_to_parent must be rigid, got a rotation with determinant "
            f"{np.linalg.det(rotation):.4g}; a mirrored board or swapped axes cause this"
        )
    position_m: Any = transform_camera_to_parent[:3, 3].tolist()
    quaternion_xyzw: Any = quaternion_from_rotation(rotation).tolist()
    return {"position_m": tuple(position_m), "quaternion_xyzw": tuple(quaternion_xyzw)}


def _transform(position_m: tuple[float, ...], quaternion_xyzw: tuple[float, ...]) -> Array:
    return make_transform(rotation_from_quaternion(np.array(quaternion_xyzw)), np.array(position_m))


def parse_time(text: str) -> datetime:
    """Read ISO 8601 with a time zone. Raises ValueError for anything else."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"created_at must have a time zone, got {text!r}")
    return time


def _require_finite(values: Any, name: str = "") -> None:
    if isinstance(values, dict | list):
        named = values.items() if isinstance(values, dict) else ((name, item) for item in values)
        for key, value in named:
            _require_finite(value, key)
    elif isinstance(values, float) and not math.isfinite(values):
        raise ValueError(f"{name} must be finite, got {values}")
