"""The one model of the robot, from which both its URDF and its transforms are made.

Frames are those of franka_description: `base` is the root and lies in `<prefix>_link0`, links 1
to 7 turn with their joints, link 8 is the flange. `tcp` is another name of `<prefix>_hand_tcp`.
Geometry comes from `mail_policy.core.kinematics` and limits from `mail_policy.core.robot_limits`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from data_collection.topics import JOINT_PREFIXES, joint_names
from mail_description.camera_mounts import CameraMount
from mail_policy.core.frames import Array, make_transform, quaternion_from_rotation
from mail_policy.core.kinematics import (
    TCP_TO_HAND_M,
    joint_transforms,
    transform_tcp_to_flange,
)
from mail_policy.core.robot_limits import RobotType, joint_limits
from mail_policy.core.types import NUM_JOINTS

BASE, TCP = "base", "tcp"
# Largest torques of the joints [Nm], Franka documentation "Robot and interface specifications".
_TORQUES_NM = (87.0,) * 4 + (12.0,) * 3
# Franka Hand: where the fingers slide, how far, how fast, with what force.
_FINGERS_ON_HAND_M = 0.0584
_FINGER_STROKE_M, _FINGER_SPEED_M_S, _FINGER_FORCE_N = 0.04, 0.2, 100.0
# REP 103: a camera's link looks along x with z up, its optical frame along z with y down.
_OPTICAL_IN_LINK = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])

Pose = tuple[float, float, float, float, float, float, float]


class JointKind(StrEnum):
    """How a child can move, as URDF calls it."""

    FIXED = "fixed"
    REVOLUTE = "revolute"  # about z
    PRISMATIC = "prismatic"  # along y


@dataclass(frozen=True, slots=True)
class Range:
    """What a joint can do, in rad, rad/s and Nm, or m, m/s and N."""

    lower: float
    upper: float
    velocity: float
    effort: float


# eq=False: comparing arrays yields arrays.
@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """Where a child frame is in its parent.

    Attributes:
        name: As in `joint_states`, if it moves.
        kind: How it moves.
        parent: Frame of the parent.
        child: Frame of the child.
        transform_child_to_parent: At position 0, shape (4, 4).
        range: What it can do; None if it is fixed.
        mimics: Joint whose position it shares, "" if it has its own.
    """

    name: str
    kind: JointKind
    parent: str
    child: str
    transform_child_to_parent: Array
    range: Range | None = None
    mimics: str = ""


def robot_model(robot_type: RobotType, cameras: Iterable[CameraMount] = ()) -> tuple[Joint, ...]:
    """Return the joints of arm, hand and cameras, parents before their children."""
    prefix = JOINT_PREFIXES[robot_type.value]
    return (
        *_arm(robot_type, prefix),
        *_hand(robot_type, prefix),
        *(joint for mount in cameras for joint in _camera(mount)),
    )


def child_pose(joint: Joint, position: float = 0.0) -> Pose:
    """Return where a joint puts its child in its parent.

    Args:
        joint: Any joint.
        position: [rad] or [m]; a fixed joint has none.

    Returns:
        Position [m], then quaternion xyzw.
    """
    transform = joint.transform_child_to_parent
    x, y, z = (transform[:3, 3] + _slide(joint, position) * transform[:3, 1]).tolist()
    a, b, c, d = quaternion_from_rotation(transform[:3, :3]).tolist()
    half_rad = 0.5 * position if joint.kind is JointKind.REVOLUTE else 0.0
    sine, cosine = math.sin(half_rad), math.cos(half_rad)
    return (
        *(x, y, z),
        *(a * cosine + b * sine, b * cosine - a * sine),
        *(c * cosine + d * sine, d * cosine - c * sine),
    )


def moving_poses(joints: Iterable[Joint], positions: Mapping[str, float]) -> list[Pose]:
    """Return `child_pose` of every joint that moves, in order, for positions by joint name."""
    return [child_pose(j, positions[j.name]) for j in joints if j.kind is not JointKind.FIXED]


def _slide(joint: Joint, position: float) -> float:
    return position if joint.kind is JointKind.PRISMATIC else 0.0


def _arm(robot_type: RobotType, prefix: str) -> list[Joint]:
    limits = joint_limits(robot_type)
    frames = [np.eye(4), *joint_transforms(np.zeros(NUM_JOINTS))]
    joints = [_fixed(f"{prefix}_base_joint", BASE, f"{prefix}_link0", np.eye(4))]
    for i, name in enumerate(joint_names(robot_type.value)[:NUM_JOINTS]):
        reach = Range(
            float(limits.lower[i]),
            float(limits.upper[i]),
            float(limits.velocity[i]),
            _TORQUES_NM[i],
        )
        transform = _relative(frames[i], frames[i + 1])
        parent, child = f"{prefix}_link{i}", f"{prefix}_link{i + 1}"
        joints.append(Joint(name, JointKind.REVOLUTE, parent, child, transform, reach))
    tcp_to_link_7 = _relative(frames[NUM_JOINTS], frames[NUM_JOINTS + 1])
    flange = tcp_to_link_7 @ np.linalg.inv(transform_tcp_to_flange())
    joints.append(_fixed(f"{prefix}_joint8", f"{prefix}_link7", f"{prefix}_link8", flange))
    return joints


def _hand(robot_type: RobotType, prefix: str) -> list[Joint]:
    hand, hand_tcp = f"{prefix}_hand", f"{prefix}_hand_tcp"
    tcp_on_hand = make_transform(np.eye(3), np.array([0.0, 0.0, TCP_TO_HAND_M]))
    hand_on_flange = transform_tcp_to_flange() @ np.linalg.inv(tcp_on_hand)
    left = make_transform(np.eye(3), np.array([0.0, 0.0, _FINGERS_ON_HAND_M]))
    right = make_transform(np.diag([-1.0, -1.0, 1.0]), left[:3, 3])
    reach = Range(0.0, _FINGER_STROKE_M, _FINGER_SPEED_M_S, _FINGER_FORCE_N)
    first, second = joint_names(robot_type.value)[NUM_JOINTS:]
    slides = JointKind.PRISMATIC
    return [
        _fixed(f"{prefix}_hand_joint", f"{prefix}_link8", hand, hand_on_flange),
        _fixed(f"{prefix}_hand_tcp_joint", hand, hand_tcp, tcp_on_hand),
        _fixed(f"{prefix}_tcp_joint", hand_tcp, TCP, np.eye(4)),
        Joint(first, slides, hand, f"{prefix}_leftfinger", left, reach),
        Joint(second, slides, hand, f"{prefix}_rightfinger", right, reach, mimics=first),
    ]


def _camera(mount: CameraMount) -> list[Joint]:
    link, optical = mount.link_frame, mount.optical_frame
    optical_in_link = make_transform(_OPTICAL_IN_LINK, np.zeros(3))
    link_in_parent = mount.transform_camera_to_parent @ np.linalg.inv(optical_in_link)
    joints = [
        _fixed(f"{link}_joint", mount.parent_frame, link, link_in_parent),
        _fixed(f"{optical}_joint", link, optical, optical_in_link),
    ]
    # Pictures may carry another name of the same frame.
    if mount.image_frame not in ("", optical):
        joints.append(_fixed(f"{mount.image_frame}_joint", optical, mount.image_frame, np.eye(4)))
    return joints


def _relative(transform_parent_to_base: Array, transform_child_to_base: Array) -> Array:
    relative: Array = np.linalg.inv(transform_parent_to_base) @ transform_child_to_base
    return relative


def _fixed(name: str, parent: str, child: str, transform: Array) -> Joint:
    return Joint(name, JointKind.FIXED, parent, child, transform)
