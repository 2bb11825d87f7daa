"""Writes the model of the robot as URDF, which RViz, MoveIt and xacro read."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence

import numpy as np

from data_collection.topics import JOINT_PREFIXES
from mail_description.camera_mounts import CameraMount
from mail_description.inertias import FINGER, HAND, Inertia, arm_inertias
from mail_description.robot_model import Joint, JointKind, Range, robot_model
from mail_description.shapes import (
    CAMERA_SIZE_M,
    Box,
    Cylinder,
    Geometry,
    Mesh,
    Shape,
    Sphere,
    mesh_shapes,
    plain_shapes,
)
from mail_policy.core.frames import Array
from mail_policy.core.robot_limits import RobotType

_AXES = {JointKind.REVOLUTE: "0 0 1", JointKind.PRISMATIC: "0 1 0"}
_COLOURS = {"body": "0.93 0.93 0.93 1", "camera": "0.25 0.27 0.30 1"}
# Nearer to a pitch of 90 degrees than this, roll and yaw turn about the same axis.
_GIMBAL_LOCK = 1e-9


def urdf_text(
    robot_type: RobotType, cameras: Sequence[CameraMount] = (), *, meshes: bool = False
) -> str:
    """Return the URDF of an arm with hand and calibrated cameras.

    Args:
        robot_type: Which arm.
        cameras: Cameras whose pose is known.
        meshes: Show the meshes of the package franka_description, which must be installed where
            the URDF is read. Collisions are plain shapes either way.
    """
    prefix = JOINT_PREFIXES[robot_type.value]
    joints = robot_model(robot_type, cameras)
    collisions = plain_shapes(robot_type)
    bodies = mesh_shapes(robot_type) if meshes else collisions
    mounted = [Shape(mount.link_frame, Box(CAMERA_SIZE_M), np.eye(4)) for mount in cameras]
    inertias = _inertias(robot_type, prefix)
    robot = ET.Element("robot", name=prefix)
    for name, rgba in _COLOURS.items():
        ET.SubElement(ET.SubElement(robot, "material", name=name), "color", rgba=rgba)
    for link in dict.fromkeys([joints[0].parent, *(joint.child for joint in joints)]):
        element = ET.SubElement(robot, "link", name=link)
        if link in inertias:
            _add_inertia(element, inertias[link])
        _add_shapes(element, "visual", _of(link, bodies), "body")
        _add_shapes(element, "visual", _of(link, mounted), "camera")
        _add_shapes(element, "collision", _of(link, [*collisions, *mounted]))
    for joint in joints:
        _add_joint(robot, joint)
    ET.indent(robot)
    # No declaration of an encoding: readers of text, such as lxml, refuse one.
    return ET.tostring(robot, encoding="unicode") + "\n"


def _inertias(robot_type: RobotType, prefix: str) -> dict[str, Inertia]:
    arm = {f"{prefix}_link{i}": inertia for i, inertia in enumerate(arm_inertias(robot_type))}
    fingers = {f"{prefix}_leftfinger": FINGER, f"{prefix}_rightfinger": FINGER}
    return {**arm, f"{prefix}_hand": HAND, **fingers}


def _of(link: str, shapes: Iterable[Shape]) -> list[Shape]:
    return [shape for shape in shapes if shape.link == link]


def _add_shapes(link: ET.Element, tag: str, shapes: Iterable[Shape], colour: str = "") -> None:
    for shape in shapes:
        element = ET.SubElement(link, tag)
        _add_origin(element, shape.transform_to_link)
        _add_geometry(ET.SubElement(element, "geometry"), shape.geometry)
        # Meshes bring their own colours.
        if colour and not isinstance(shape.geometry, Mesh):
            ET.SubElement(element, "material", name=colour)


def _add_geometry(element: ET.Element, geometry: Geometry) -> None:
    match geometry:
        case Box(size_m):
            ET.SubElement(element, "box", size=_numbers(size_m))
        case Cylinder(radius_m, length_m):
            ET.SubElement(element, "cylinder", radius=_number(radius_m), length=_number(length_m))
        case Sphere(radius_m):
            ET.SubElement(element, "sphere", radius=_number(radius_m))
        case Mesh(filename):
            ET.SubElement(element, "mesh", filename=filename)


def _add_inertia(link: ET.Element, inertia: Inertia) -> None:
    element = ET.SubElement(link, "inertial")
    ET.SubElement(element, "origin", xyz=_numbers(inertia.centre_m), rpy="0.0 0.0 0.0")
    ET.SubElement(element, "mass", value=_number(inertia.mass_kg))
    names = ("ixx", "iyy", "izz", "ixy", "ixz", "iyz")
    values = map(_number, (*inertia.moments, *inertia.products))
    ET.SubElement(element, "inertia", dict(zip(names, values, strict=True)))


def _add_joint(robot: ET.Element, joint: Joint) -> None:
    element = ET.SubElement(robot, "joint", name=joint.name, type=joint.kind.value)
    _add_origin(element, joint.transform_child_to_parent)
    ET.SubElement(element, "parent", link=joint.parent)
    ET.SubElement(element, "child", link=joint.child)
    if joint.range is not None:
        ET.SubElement(element, "axis", xyz=_AXES[joint.kind])
        _add_range(element, joint.range)
    if joint.mimics:
        ET.SubElement(element, "mimic", joint=joint.mimics)


def _add_range(element: ET.Element, reach: Range) -> None:
    limits = {name: _number(getattr(reach, name)) for name in Range.__slots__}
    ET.SubElement(element, "limit", limits)


def _add_origin(element: ET.Element, transform: Array) -> None:
    angles_rad = _roll_pitch_yaw(transform[:3, :3])
    ET.SubElement(element, "origin", xyz=_numbers(transform[:3, 3]), rpy=_numbers(angles_rad))


def _roll_pitch_yaw(rotation: Array) -> tuple[float, float, float]:
    """Return the angles [rad] about the fixed axes x, y, z, in this order, of a rotation."""
    across = math.hypot(rotation[0, 0], rotation[1, 0])
    pitch = math.atan2(-rotation[2, 0], across)
    if across < _GIMBAL_LOCK:
        return math.atan2(-rotation[1, 2], rotation[1, 1]), pitch, 0.0
    return (
        math.atan2(rotation[2, 1], rotation[2, 2]),
        pitch,
        math.atan2(rotation[1, 0], rotation[0, 0]),
    )


def _numbers(values: Iterable[float]) -> str:
    return " ".join(map(_number, values))


def _number(value: float) -> str:
    # Adding zero turns -0.0 into 0.0.
    return repr(float(value) + 0.0)
