"""A folder of views: pictures of the board, and how the arm stood when each was taken.

    views/
      session.json    robot, camera, serial, parent frame, board
      views.json      one entry per picture
      0000.png ...

Whoever collects writes through `ViewFolder`; a collection that was interrupted goes on where it
stopped. The arm's posture is stored as joint positions, as the pose of the TCP, or both; the pose
wins, since the robot knows its own tool. Intrinsics need neither.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from calibration.board import BoardConfig, Image
from calibration.result_types import PARENT_FRAMES, CalibrationError
from mail_policy.core.config import ConfigError, build_config, to_plain
from mail_policy.core.frames import Array, make_transform, rotation_from_quaternion
from mail_policy.core.kinematics import forward_kinematics
from mail_policy.core.text_files import read_text

_SESSION, _VIEWS = "session.json", "views.json"
Joints = tuple[float, float, float, float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewSession:
    """What all views of a folder have in common.

    Attributes:
        robot: `sim`, `panda`, `fr3` or a lab's own name.
        camera: Name of the camera.
        serial: Of the camera.
        parent_frame: `tcp` for a camera on the hand, `base` for one on a stand.
        board: The board in the pictures.
    """

    robot: str
    camera: str
    serial: str
    parent_frame: str
    board: BoardConfig

    def __post_init__(self) -> None:
        """Refuse a frame that no camera is fixed to."""
        if self.parent_frame not in PARENT_FRAMES:
            raise ValueError(f"parent_frame must be base or tcp, got {self.parent_frame!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One picture and the posture of the arm.

    Attributes:
        picture: Name of the file.
        joint_positions: [rad]; None if unknown.
        tcp_position_m: TCP in the base frame [m]; None if unknown.
        tcp_quaternion_xyzw: Rotation from TCP to base; None if unknown.
    """

    picture: str
    joint_positions: Joints | None = None
    tcp_position_m: tuple[float, float, float] | None = None
    tcp_quaternion_xyzw: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        """Refuse half a pose, and a picture outside the folder."""
        if (self.tcp_position_m is None) != (self.tcp_quaternion_xyzw is None):
            raise ValueError("tcp_position_m and tcp_quaternion_xyzw go together, got only one")
        if Path(self.picture).name != self.picture:
            raise ValueError(f"picture must be a file's name without a folder: {self.picture!r}")

    def transform_tcp_to_base(self) -> Array:
        """Return where the TCP was, shape (4, 4).

        Raises:
            CalibrationError: The posture is unknown or not finite.
        """
        if self.tcp_position_m is not None and self.tcp_quaternion_xyzw is not None:
            rotation = rotation_from_quaternion(np.array(self.tcp_quaternion_xyzw))
            transform = make_transform(rotation, np.array(self.tcp_position_m))
        elif self.joint_positions is not None:
            transform = forward_kinematics(np.array(self.joint_positions))
        else:
            raise CalibrationError(
                f"view {self.picture} has neither joint_positions nor a TCP pose; hand-eye "
                "calibration needs one of them"
            )
        if not np.isfinite(transform).all():
            raise CalibrationError(f"view {self.picture} has a posture that is not finite")
        return transform


@dataclass(frozen=True, kw_only=True, slots=True)
class _ViewList:
    views: tuple[View, ...]


class ViewFolder:
    """Reads and extends a folder of views.

    Attributes:
        path: The folder.
        session: What all views have in common.
        views: All views so far.
    """

    def __init__(self, path: Path) -> None:
        """Open a folder that exists. Raises CalibrationError if it is incomplete or wrong."""
        self.path = path
        self.session = _read(path / _SESSION, ViewSession)
        self.views = _read(path / _VIEWS, _ViewList).views

    @classmethod
    def open_or_create(cls, path: Path, session: ViewSession) -> "ViewFolder":
        """Start a folder, or go on with one of the same camera, robot and board.

        Raises:
            CalibrationError: The folder belongs to something else.
        """
        if not (path / _SESSION).exists():
            path.mkdir(parents=True, exist_ok=True)
            _write(path / _VIEWS, _ViewList(views=()))
            _write(path / _SESSION, session)
        folder = cls(path)
        if folder.session != session:
            raise CalibrationError(
                f"{path} holds views of {folder.session}, not of {session}; use another folder"
            )
        return folder

    def add(
        self,
        image: Image,
        joint_positions: Array | None = None,
        tcp_position_m: Array | None = None,
        tcp_quaternion_xyzw: Array | None = None,
    ) -> View:
        """Store one view; the picture is on disk before the list names it.

        Args:
            image: RGB uint8, shape (height, width, 3).
            joint_positions: [rad], shape (7,).
            tcp_position_m: TCP in the base frame [m], shape (3,).
            tcp_quaternion_xyzw: Rotation from TCP to base, shape (4,).
        """
        name = f"{len(self.views):04d}.png"
        posture = {
            "joint_positions": joint_positions,
            "tcp_position_m": tcp_position_m,
            "tcp_quaternion_xyzw": tcp_quaternion_xyzw,
        }
        values = {key: _plain(value) for key, value in posture.items()}
        view = build_config(View, {"picture": name, **values}, where=str(self.path))
        if not cv2.imwrite(str(self.path / name), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
            raise CalibrationError(f"cannot write {self.path / name}; is the disk full?")
        self.views = (*self.views, view)
        _write(self.path / _VIEWS, _ViewList(views=self.views))
        return view

    def image(self, view: View) -> Image:
        """Return the picture of a view: RGB uint8, shape (height, width, 3)."""
        image = cv2.imread(str(self.path / view.picture), cv2.IMREAD_COLOR)
        if image is None:
            raise CalibrationError(f"cannot read the picture {self.path / view.picture}")
        rgb: Image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return rgb


def _plain(values: Array | None) -> list[float] | None:
    return None if values is None else np.asarray(values, float).tolist()


def _write(path: Path, content: Any) -> None:
    """Replace a file at once, so that a crash leaves the old or the new one."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(to_plain(content), indent=1) + "\n")
    new.replace(path)


def _read(path: Path, config_type: Any) -> Any:
    try:
        values = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise CalibrationError(f"cannot read {path}: {error}") from error
    try:
        return build_config(config_type, values, where=str(path))
    except ConfigError as error:
        raise CalibrationError(str(error)) from error
