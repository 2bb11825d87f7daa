"""The arm and its hand as triangle meshes, fixed to the frames of the kinematics.

Where the franky-sim wheel is installed, its meshes are shown, in the coarse copies that the twin
renders; elsewhere the capsules by which the motion core keeps the arm from hitting itself.
"""

import importlib.util
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import TCP_FRAME, TCP_TO_HAND_M, chain_frames
from mail_policy.core.motion.self_collision import CAPSULES, Capsule
from mail_sim.world.meshes import Mesh, coarse_mesh

LEFT_FINGER, RIGHT_FINGER = TCP_FRAME + 1, TCP_FRAME + 2
# Where fingers begin on the hand, franka_description `hand.xacro` [m].
_FINGER_ON_HAND_M = 0.0584
_CAPSULE_COLOUR = (215, 218, 222)
_COLOURS = {
    "black": (45, 47, 50),
    "gray": (140, 145, 150),
    "red": (190, 40, 40),
    "button_green": (60, 160, 90),
    "button_red": (190, 40, 40),
    "button_blue": (60, 100, 190),
}
_WHITE = (232, 234, 236)


@dataclass(frozen=True, slots=True, eq=False)
class LinkMesh:
    """A part of the arm.

    Attributes:
        frame: Index in `robot_frames` of the frame that carries it.
        mesh: In that frame.
        colour: RGB, 0 to 255.
    """

    frame: int
    mesh: Mesh
    colour: tuple[int, int, int]


def robot_frames(joint_positions: Array, gripper_width_m: float) -> Array:
    """Return the frames that carry the parts of the arm.

    Args:
        joint_positions: [rad], shape (7,).
        gripper_width_m: Distance between the fingers [m].

    Returns:
        Shape (11, 4, 4): transforms to the base of base, joints 1 to 7, TCP, left finger, right
        finger. The right finger is the left one turned by half a turn about z.
    """
    frames = np.empty((RIGHT_FINGER + 1, 4, 4))
    frames[: TCP_FRAME + 1] = chain_frames(joint_positions[None])[:, 0]
    finger = np.eye(4)
    finger[1:3, 3] = 0.5 * gripper_width_m, _FINGER_ON_HAND_M - TCP_TO_HAND_M
    frames[LEFT_FINGER] = frames[TCP_FRAME] @ finger
    half_turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    frames[RIGHT_FINGER] = frames[TCP_FRAME] @ half_turn @ finger
    return frames


def robot_shape() -> tuple[LinkMesh, ...]:
    """Return the parts of the arm as this machine can show them."""
    wheel = importlib.util.find_spec("franky_sim")
    if wheel is None or wheel.origin is None:
        return capsule_shape()
    return wheel_shape(Path(wheel.origin).parent / "assets")


def wheel_shape(assets: Path) -> tuple[LinkMesh, ...]:
    """Return the visual meshes of the franky-sim wheel, from its folder of assets."""
    model = ET.parse(assets / "fr3.xml")
    files = {mesh.get("name"): mesh.get("file", "") for mesh in model.iter("mesh")}
    parts = []
    for body in model.iter("body"):
        for geom in body.findall("geom"):
            if geom.get("class") != "visual":
                continue
            mesh = coarse_mesh(assets / "meshes" / files[geom.get("mesh")])
            colour = _COLOURS.get(geom.get("material", ""), _WHITE)
            parts.append(_on_frame(body.get("name", ""), mesh, colour))
    return tuple(parts)


def _on_frame(body: str, mesh: Mesh, colour: tuple[int, int, int]) -> LinkMesh:
    if body == "left_finger":
        return LinkMesh(LEFT_FINGER, mesh, colour)
    if body == "right_finger":
        return LinkMesh(RIGHT_FINGER, mesh, colour)
    if body == "hand":
        # Its frame is that of the TCP, shifted along z.
        lowered = mesh.vertices - np.array([0.0, 0.0, TCP_TO_HAND_M])
        return LinkMesh(TCP_FRAME, Mesh(lowered, mesh.faces), colour)
    return LinkMesh(int(body.rpartition("link")[2]), mesh, colour)


def capsule_shape() -> tuple[LinkMesh, ...]:
    """Return the capsules of the motion core."""
    return tuple(
        LinkMesh(capsule.frame, capsule_mesh(capsule), _CAPSULE_COLOUR) for capsule in CAPSULES
    )


def capsule_mesh(capsule: Capsule, rings: int = 5, sides: int = 20) -> Mesh:
    """Return the surface of a capsule.

    Args:
        capsule: In its frame.
        rings: Circles of vertices on each of its half balls.
        sides: Vertices of each circle.
    """
    start, end = np.array(capsule.start_m), np.array(capsule.end_m)
    axis = (end - start) / np.linalg.norm(end - start)
    across = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    across /= np.linalg.norm(across)
    around = np.linspace(0.0, 2.0 * np.pi, sides, endpoint=False)
    circle = np.outer(np.cos(around), across) + np.outer(np.sin(around), np.cross(axis, across))
    latitudes = np.linspace(-0.5 * np.pi, 0.0, rings)
    vertices = [
        centre + capsule.radius_m * (np.cos(lat) * circle + np.sin(lat) * axis)
        for centre, lats in ((start, latitudes), (end, -latitudes[::-1]))
        for lat in lats
    ]
    return Mesh(np.vstack(vertices), _tube_faces(2 * rings, sides))


def _tube_faces(circles: int, sides: int) -> np.ndarray:
    side = np.arange(sides)
    beside = (side + 1) % sides
    rows = []
    for lower in range(0, (circles - 1) * sides, sides):
        upper = lower + sides
        rows.append(np.stack([lower + side, lower + beside, upper + beside], axis=1))
        rows.append(np.stack([lower + side, upper + beside, upper + side], axis=1))
    return np.vstack(rows)
