"""Positions and Jacobians of the points of the arm that are watched at every tick.

The same geometry as `mail_policy.core.kinematics`, in scalar arithmetic: about five times
faster, because a control tick needs it several times. A test holds the two together.
"""

from dataclasses import dataclass
from math import cos, sin, sqrt

import numpy as np

from mail_policy.core.frames import Array

# Craig's DH parameters: a [m], d [m], and alpha as a sign of a quarter turn.
_LINKS = (
    (0.0, 0.333, 0),
    (0.0, 0.0, -1),
    (0.0, 0.316, 1),
    (0.0825, 0.0, 1),
    (-0.0825, 0.384, -1),
    (0.0, 0.0, 1),
    (0.088, 0.0, 1),
)
_TCP_M = 0.107 + 0.1034
_HALF_ROOT = sqrt(0.5)
_ELBOW_JOINT = 3

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class ArmGeometry:
    """The arm in one posture, in the base frame.

    Attributes:
        tcp_position: Tool centre point [m], shape (3,).
        tcp_rotation: rotation_tcp_to_base, shape (3, 3).
        elbow_position: Elbow (joint 4) [m], shape (3,).
        tcp_jacobian: Linear, then angular velocity of the TCP per joint velocity, shape (6, 7).
        elbow_jacobian: Linear velocity of the elbow per joint velocity, shape (3, 7).
    """

    tcp_position: Array
    tcp_rotation: Array
    elbow_position: Array
    tcp_jacobian: Array
    elbow_jacobian: Array


def _scaled_sum(p: Vector, scale: float, v: Vector) -> Vector:
    return (p[0] + scale * v[0], p[1] + scale * v[1], p[2] + scale * v[2])


def _mix(c: float, u: Vector, s: float, v: Vector) -> Vector:
    return (c * u[0] + s * v[0], c * u[1] + s * v[1], c * u[2] + s * v[2])


def _cross(u: Vector, v: Vector) -> Vector:
    return (
        u[1] * v[2] - u[2] * v[1],
        u[2] * v[0] - u[0] * v[2],
        u[0] * v[1] - u[1] * v[0],
    )


def _minus(u: Vector, v: Vector) -> Vector:
    return (u[0] - v[0], u[1] - v[1], u[2] - v[2])


def _chain(q: Array) -> tuple[list[Vector], list[Vector], Vector, Vector]:
    """Return joint axes and origins, then the x and y axes of the last frame."""
    x: Vector = (1.0, 0.0, 0.0)
    y: Vector = (0.0, 1.0, 0.0)
    z: Vector = (0.0, 0.0, 1.0)
    p: Vector = (0.0, 0.0, 0.0)
    axes: list[Vector] = []
    origins: list[Vector] = []
    for (a, d, quarter_turn), angle in zip(_LINKS, q.tolist(), strict=True):
        if a:
            p = _scaled_sum(p, a, x)
        if quarter_turn == 1:
            y, z = z, (-y[0], -y[1], -y[2])
        elif quarter_turn == -1:
            y, z = (-z[0], -z[1], -z[2]), y
        c, s = cos(angle), sin(angle)
        x, y = _mix(c, x, s, y), _mix(-s, x, c, y)
        if d:
            p = _scaled_sum(p, d, z)
        axes.append(z)
        origins.append(p)
    return axes, origins, x, y


def _tcp(axes: list[Vector], origins: list[Vector]) -> Vector:
    return _scaled_sum(origins[-1], _TCP_M, axes[-1])


def arm_points(joint_positions: Array) -> tuple[Array, Array]:
    """Return the positions of TCP and elbow [m] in the base frame, each of shape (3,)."""
    axes, origins, _, _ = _chain(joint_positions)
    return np.array(_tcp(axes, origins)), np.array(origins[_ELBOW_JOINT])


def arm_geometry(joint_positions: Array) -> ArmGeometry:
    """Return positions and Jacobians for joint positions [rad] of shape (7,)."""
    axes, origins, x, y = _chain(joint_positions)
    tcp = _tcp(axes, origins)
    linear = [_cross(axis, _minus(tcp, origin)) for axis, origin in zip(axes, origins, strict=True)]
    elbow = origins[_ELBOW_JOINT]
    elbow_columns = [_cross(axes[i], _minus(elbow, origins[i])) for i in range(_ELBOW_JOINT)]
    elbow_columns += [(0.0, 0.0, 0.0)] * (len(axes) - _ELBOW_JOINT)
    # The hand is turned by -45 degrees about the flange's z axis.
    hand_x = _mix(_HALF_ROOT, x, -_HALF_ROOT, y)
    hand_y = _mix(_HALF_ROOT, x, _HALF_ROOT, y)
    return ArmGeometry(
        tcp_position=np.array(tcp),
        tcp_rotation=np.array((hand_x, hand_y, axes[-1])).T,
        elbow_position=np.array(elbow),
        tcp_jacobian=np.array([a + b for a, b in zip(linear, axes, strict=True)]).T,
        elbow_jacobian=np.array(elbow_columns).T,
    )
