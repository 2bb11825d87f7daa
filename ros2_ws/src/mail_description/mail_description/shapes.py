"""What links look like: Franka's meshes where they are installed, plain shapes otherwise.

The shapes of arm and hand are the capsules with which the motion core keeps the arm from itself.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_collection.topics import JOINT_PREFIXES
from mail_policy.core.frames import Array, make_transform
from mail_policy.core.kinematics import TCP_FRAME, TCP_TO_HAND_M
from mail_policy.core.motion.self_collision import CAPSULES, Capsule
from mail_policy.core.robot_limits import RobotType
from mail_policy.core.types import NUM_JOINTS

_MESH_PACKAGE = "franka_description"
_SIDES = ("left", "right")
_HAND_MESHES = "robot_ee/franka_hand_white"
# One finger from its rail to its tip, seen from its own frame [m].
_FINGER_SIZE_M, _FINGER_CENTRE_M = (0.021, 0.015, 0.054), (0.0, 0.0075, 0.027)
# A RealSense D435 [m].
CAMERA_SIZE_M = (0.025, 0.090, 0.025)


@dataclass(frozen=True, slots=True)
class Box:
    """Edges [m]."""

    size_m: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Cylinder:
    """About z."""

    radius_m: float
    length_m: float


@dataclass(frozen=True, slots=True)
class Sphere:
    """A ball."""

    radius_m: float


@dataclass(frozen=True, slots=True)
class Mesh:
    """A file of another package, package://..."""

    filename: str


Geometry = Box | Cylinder | Sphere | Mesh


# eq=False: comparing arrays yields arrays.
@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A part of a link.

    Attributes:
        link: Frame that carries it.
        geometry: What it is.
        transform_to_link: Where it is, shape (4, 4).
    """

    link: str
    geometry: Geometry
    transform_to_link: Array


def plain_shapes(robot_type: RobotType) -> list[Shape]:
    """Return shapes of arm and hand that need no files."""
    prefix = JOINT_PREFIXES[robot_type.value]
    # The fingers' capsule contains them at every opening, so it would hide whether they are open.
    capsules = [capsule for capsule in CAPSULES if capsule.name != "fingers"]
    fingers = make_transform(np.eye(3), np.array(_FINGER_CENTRE_M))
    return [
        *(shape for capsule in capsules for shape in _capsule(capsule, prefix)),
        *(Shape(f"{prefix}_{side}finger", Box(_FINGER_SIZE_M), fingers) for side in _SIDES),
    ]


def mesh_shapes(robot_type: RobotType) -> list[Shape]:
    """Return the meshes of arm and hand."""
    prefix = JOINT_PREFIXES[robot_type.value]
    arm = f"robots/{robot_type.value}"
    links = [f"link{i}" for i in range(NUM_JOINTS + 1)]
    files = {f"{prefix}_{link}": f"{arm}/visual/{link}.dae" for link in links}
    files[f"{prefix}_hand"] = f"{_HAND_MESHES}/visual/hand.dae"
    files |= {f"{prefix}_{side}finger": f"{_HAND_MESHES}/visual/finger.dae" for side in _SIDES}
    return [
        Shape(link, Mesh(f"package://{_MESH_PACKAGE}/meshes/{file}"), np.eye(4))
        for link, file in files.items()
    ]


def has_meshes(robot_type: RobotType) -> bool:
    """Whether all meshes of an arm are installed on this machine."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    files = [
        shape.geometry.filename.removeprefix("package://")
        for shape in mesh_shapes(robot_type)
        if isinstance(shape.geometry, Mesh)
    ]
    shares = [Path(prefix) / "share" for prefix in prefixes if prefix]
    return any(all((share / file).is_file() for file in files) for share in shares)


def _capsule(capsule: Capsule, prefix: str) -> Iterator[Shape]:
    """Yield a capsule as URDF can say it: a cylinder between two balls."""
    link, lift_m = f"{prefix}_link{capsule.frame}", 0.0
    if capsule.frame == TCP_FRAME:
        link, lift_m = f"{prefix}_hand", TCP_TO_HAND_M
    start, end = np.array([capsule.start_m, capsule.end_m]) + np.array([0.0, 0.0, lift_m])
    along = end - start
    length_m = float(np.linalg.norm(along))
    middle = make_transform(_rotation_of_z_to(along / length_m), 0.5 * (start + end))
    yield Shape(link, Cylinder(capsule.radius_m, length_m), middle)
    for point in (start, end):
        yield Shape(link, Sphere(capsule.radius_m), make_transform(np.eye(3), point))


def _rotation_of_z_to(direction: Array) -> Array:
    """Return some rotation that turns z to a direction of length 1."""
    aside = np.eye(3)[int(np.argmin(np.abs(direction)))]
    x = np.cross(aside, direction)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(direction, x), direction], axis=1)
