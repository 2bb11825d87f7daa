"""A ChArUco board in the twin's scene, and pictures of it whose truth is known.

The board is drawn as one mesh of its black cells on a white plate, not as a texture: edges stay
exact at any distance, and the scene needs no file beside it.
"""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any, Self

import cv2
import mujoco
import numpy as np

from calibration.board import BoardConfig, Image, Lens
from mail_policy.core.frames import Array, make_transform, quaternion_from_rotation
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, TCP_TO_HAND_M
from mail_sim.world.camera_poses import camera_pose
from mail_sim.world.pictures import Pictures
from mail_sim.world.scene import ARM_JOINTS, PREFIX, direct_scene_xml

# The table stands clear in front of the robot when the cabinet and the objects are away.
BOARD_ON_TABLE = make_transform(
    np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]), np.array([0.635, 0.135, 0.02])
)
# In the TCP's frame: below the fingers, tilted towards a camera beside and above the robot.
_TILT = np.radians(35.0)
BOARD_ON_HAND = make_transform(
    np.array(
        [
            [1.0, 0.0, 0.0],
            [0.0, np.sin(_TILT), -np.cos(_TILT)],
            [0.0, np.cos(_TILT), np.sin(_TILT)],
        ]
    ),
    np.array([-0.135, -0.02, 0.02]),
)
_FURNITURE = ("cabinet", "top_drawer", "bottom_drawer", "red_block", "blue_block", "bowl")
_AWAY_M = np.array([0.0, 0.0, -5.0])
_PLATE_MARGIN_M, _PLATE_HALF_M = 0.01, 0.003
# White lies this far behind black, so that it cannot shine through.
_INK_M = 0.0002
_SMOOTHING_SAMPLES = 4


def black_cells(config: BoardConfig) -> Array:
    """Return the black rectangles of a board in its frame [m], shape (n, 4): x0, y0, x1, y1."""
    board, side = config.opencv_board(), config.square_m
    ids = np.ravel(board.getIds())
    places = [np.asarray(corners)[:, :2] for corners in board.getObjPoints()]
    with_marker = {tuple((place.mean(0) // side).astype(int)) for place in places}
    cells = [
        (x * side, y * side, (x + 1) * side, (y + 1) * side)
        for x in range(config.columns)
        for y in range(config.rows)
        if (x, y) not in with_marker
    ]
    for number, place in zip(ids, places, strict=True):
        # One pixel per cell, the border's included.
        count = board.getDictionary().markerSize + 2
        marker = cv2.aruco.generateImageMarker(board.getDictionary(), int(number), count)
        cell, (left, top) = config.marker_m / count, place.min(0)
        cells += [
            (left + x * cell, top + y * cell, left + (x + 1) * cell, top + (y + 1) * cell)
            for y, x in np.argwhere(marker == 0)
        ]
    return np.array(cells)


def add_board(
    scene: ET.Element, parent: ET.Element, config: BoardConfig, transform_board_to_body: Array
) -> None:
    """Add a board that touches nothing.

    Args:
        scene: The root of the element tree.
        parent: The body or worldbody that holds the board.
        config: Which board.
        transform_board_to_body: Where, shape (4, 4).
    """
    asset = scene.find("asset")
    assert asset is not None, "the scene has an asset element"
    cells = black_cells(config)
    corners = cells[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)
    first = 4 * np.arange(len(cells))[:, None]
    # Counter-clockwise as seen by who looks along the board's z.
    faces = (first[:, None] + np.array([[0, 2, 1], [0, 3, 2]])).reshape(-1, 3)
    vertices = np.column_stack([corners, np.zeros(len(corners))])
    ET.SubElement(
        asset,
        "mesh",
        name="board_ink",
        inertia="shell",
        vertex=" ".join(f"{value:.9g}" for value in vertices.ravel()),
        face=" ".join(map(str, faces.ravel())),
    )
    for name, grey in (("board_ink", "0.04 0.04 0.04 1"), ("board_paper", "0.92 0.92 0.92 1")):
        ET.SubElement(asset, "material", name=name, rgba=grey, specular="0.05")
    x, y, z, w = quaternion_from_rotation(transform_board_to_body[:3, :3])
    body = ET.SubElement(
        parent,
        "body",
        name="board",
        pos=" ".join(map(str, transform_board_to_body[:3, 3])),
        quat=f"{w} {x} {y} {z}",
    )
    painted: dict[str, Any] = {"contype": "0", "conaffinity": "0", "mass": "0"}
    half = np.array([0.5 * config.width_m, 0.5 * config.height_m])
    ET.SubElement(body, "geom", type="mesh", mesh="board_ink", material="board_ink", **painted)
    ET.SubElement(
        body,
        "geom",
        type="box",
        pos=f"{half[0]} {half[1]} {_INK_M + _PLATE_HALF_M}",
        size=f"{half[0] + _PLATE_MARGIN_M} {half[1] + _PLATE_MARGIN_M} {_PLATE_HALF_M}",
        material="board_paper",
        **painted,
    )


@dataclass(frozen=True, slots=True, eq=False)
class CameraTruth:
    """What calibration of a rendered camera should find.

    Attributes:
        parent_frame: `base` or `tcp`.
        camera: transform_camera_to_parent of the optical frame, shape (4, 4).
        board: transform_board_to_parent, the parent being the other one, shape (4, 4).
        lens: Pinhole without distortion.
    """

    parent_frame: str
    camera: Array
    board: Array
    lens: Lens


class BoardStudio:
    """Takes pictures of a board with one camera of the twin. Use it as a context manager.

    The board is on the table for a camera on the hand, and on the hand for one beside the robot.

    Attributes:
        truth: What calibration should find.
    """

    def __init__(self, camera: str, config: BoardConfig, width: int, height: int) -> None:
        """Build the scene.

        Args:
            camera: Name of a camera of the scene.
            config: Which board.
            width: Columns of a picture, at most 1280.
            height: Rows of a picture, at most 960.
        """
        bare = mujoco.MjModel.from_xml_string(direct_scene_xml())
        parent_frame, pose = camera_pose(bare, camera)
        board = BOARD_ON_TABLE if parent_frame == "tcp" else BOARD_ON_HAND
        model = mujoco.MjModel.from_xml_string(_scene_with_board(parent_frame, config, board))
        model.vis.quality.offsamples = _SMOOTHING_SAMPLES
        focal_px = 0.5 * height / np.tan(0.5 * np.radians(model.camera(camera).fovy[0]))
        # Pixels are counted from the middle of the first one.
        centre = 0.5 * (width - 1), 0.5 * (height - 1)
        matrix = np.array([[focal_px, 0, centre[0]], [0, focal_px, centre[1]], [0, 0, 1.0]])
        self.truth = CameraTruth(parent_frame, pose, board, Lens(matrix, np.zeros(5)))
        self._model, self._data, self._camera = model, mujoco.MjData(model), camera
        self._pictures = Pictures(model, height, width)

    def __enter__(self) -> Self:
        """Do nothing: the scene is ready."""
        return self

    def __exit__(self, *error: object) -> None:
        """Give the graphics context back."""
        self._pictures.close()

    def take(self, joint_positions: Array = HOME_JOINT_POSITIONS) -> Image:
        """Return a picture: RGB uint8, shape (height, width, 3).

        Args:
            joint_positions: Posture of the arm [rad], shape (7,).
        """
        for name, angle_rad in zip(ARM_JOINTS, joint_positions, strict=True):
            self._data.qpos[self._model.joint(name).qposadr[0]] = angle_rad
        mujoco.mj_forward(self._model, self._data)
        return self._pictures.take(self._data, self._camera)


def _scene_with_board(parent_frame: str, config: BoardConfig, board: Array) -> str:
    scene = ET.fromstring(direct_scene_xml())
    worldbody = scene.find("worldbody")
    assert worldbody is not None, "the scene has a worldbody"
    for body in worldbody.iter("body"):
        if body.get("name") in _FURNITURE:
            body.set("pos", " ".join(map(str, _AWAY_M)))
    if parent_frame == "tcp":
        add_board(scene, worldbody, config, board)
    else:
        hand = next(body for body in scene.iter("body") if body.get("name") == f"{PREFIX}hand")
        tcp_to_hand = make_transform(np.eye(3), np.array([0.0, 0.0, TCP_TO_HAND_M]))
        add_board(scene, hand, config, tcp_to_hand @ board)
    return ET.tostring(scene, encoding="unicode")
