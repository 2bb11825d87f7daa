"""Forward and inverse kinematics of Panda and FR3, which share their geometry.

The tool centre point (TCP) is the point between the fingertips of the Franka Hand, mounted on
the flange as Franka does: turned by -45 degrees about z, 0.1034 m away.

Sources: DH parameters in Craig's convention, Franka documentation "Denavit-Hartenberg
parameters"; damped least squares, Wampler 1986; null-space posture, Liegeois 1977.
"""

import math
from dataclasses import dataclass

import numpy as np

from mail_policy.core.frames import Array, vector_from_rotation
from mail_policy.core.robot_limits import SHARED_JOINT_LIMITS
from mail_policy.core.types import NUM_JOINTS

# Posture from which every task starts, legal on both arms [rad].
HOME_JOINT_POSITIONS = np.array([0.0, -0.20, 0.0, -2.25, 0.0, 2.05, 0.785])

# a [m], d [m], cos alpha, sin alpha of joints 1 to 7, Craig's convention. All twists are multiples
# of 90 degrees.
_DH = (
    (0.0, 0.333, 1.0, 0.0),
    (0.0, 0.0, 0.0, -1.0),
    (0.0, 0.316, 0.0, 1.0),
    (0.0825, 0.0, 0.0, 1.0),
    (-0.0825, 0.384, 0.0, -1.0),
    (0.0, 0.0, 0.0, 1.0),
    (0.088, 0.0, 0.0, 1.0),
)
_FLANGE_M = 0.107
TCP_TO_HAND_M = 0.1034
_HAND_ANGLE_RAD = -math.pi / 4
_HAND_COS, _HAND_SIN = math.cos(_HAND_ANGLE_RAD), math.sin(_HAND_ANGLE_RAD)

# Frames of `chain_frames`: the base, joints 1 to 7, the TCP.
BASE_FRAME, TCP_FRAME = 0, NUM_JOINTS + 1

# The posture is pulled at in this many iterations of each call, whether or not the pose has been
# reached before: a number that varied from call to call would make the elbow jitter.
_POSTURE_ITERATIONS = 3
# A pose counts as reached below this error [m and rad].
_CONVERGED = 1e-6
_EYE_4, _EYE_6 = np.eye(4), np.eye(6)


def _frame_rows(joint_positions: Array) -> list[list[float]]:
    """Return the frames of joints 1 to 7 and of the TCP as plain numbers.

    Plain numbers are about ten times as fast as small arrays, and this runs up to a thousand
    times per second.

    Returns:
        Eight rows of twelve numbers: the axes x, y, z of the frame, then its origin [m].
    """
    rows = []
    x0, x1, x2, y0, y1, y2 = 1.0, 0.0, 0.0, 0.0, 1.0, 0.0
    z0, z1, z2, p0, p1, p2 = 0.0, 0.0, 1.0, 0.0, 0.0, 0.0
    for angle_rad, (a, d, ca, sa) in zip(joint_positions.tolist(), _DH, strict=True):
        c, s = math.cos(angle_rad), math.sin(angle_rad)
        # Turn about x by the twist, shift along x and the new z, then turn about z.
        t0, t1, t2 = ca * y0 + sa * z0, ca * y1 + sa * z1, ca * y2 + sa * z2
        z0, z1, z2 = ca * z0 - sa * y0, ca * z1 - sa * y1, ca * z2 - sa * y2
        p0, p1, p2 = p0 + a * x0 + d * z0, p1 + a * x1 + d * z1, p2 + a * x2 + d * z2
        y0, y1, y2 = c * t0 - s * x0, c * t1 - s * x1, c * t2 - s * x2
        x0, x1, x2 = c * x0 + s * t0, c * x1 + s * t1, c * x2 + s * t2
        rows.append([x0, x1, x2, y0, y1, y2, z0, z1, z2, p0, p1, p2])
    c, s, d = _HAND_COS, _HAND_SIN, _FLANGE_M + TCP_TO_HAND_M
    rows.append(
        [
            *(c * x0 + s * y0, c * x1 + s * y1, c * x2 + s * y2),
            *(c * y0 - s * x0, c * y1 - s * x1, c * y2 - s * x2),
            *(z0, z1, z2, p0 + d * z0, p1 + d * z1, p2 + d * z2),
        ]
    )
    return rows


def transform_tcp_to_flange() -> Array:
    """Return where the TCP of the Franka Hand is on the flange, shape (4, 4)."""
    transform = np.eye(4)
    transform[:2, :2] = [[_HAND_COS, -_HAND_SIN], [_HAND_SIN, _HAND_COS]]
    transform[2, 3] = TCP_TO_HAND_M
    return transform


def joint_transforms(joint_positions: Array) -> Array:
    """Return the pose of every joint frame and of the TCP in the base frame.

    Args:
        joint_positions: [rad], shape (7,).

    Returns:
        Shape (8, 4, 4): transform_joint_i_to_base for joints 1 to 7, then transform_tcp_to_base.
    """
    transforms = np.zeros((NUM_JOINTS + 1, 4, 4))
    rows = np.array(_frame_rows(joint_positions))
    transforms[:, :3, :] = rows.reshape(-1, 4, 3).transpose(0, 2, 1)
    transforms[:, 3, 3] = 1.0
    return transforms


def forward_kinematics(joint_positions: Array) -> Array:
    """Return transform_tcp_to_base, shape (4, 4), for joint positions [rad] of shape (7,)."""
    return _transform(_frame_rows(joint_positions)[NUM_JOINTS])


def _transform(row: list[float]) -> Array:
    transform = np.zeros((4, 4))
    transform[:3, :] = np.array(row).reshape(4, 3).T
    transform[3, 3] = 1.0
    return transform


def pose_and_jacobian(joint_positions: Array) -> tuple[Array, Array]:
    """Return transform_tcp_to_base, shape (4, 4), and `jacobian`, shape (6, 7), in one go."""
    rows = _frame_rows(joint_positions)
    return _transform(rows[NUM_JOINTS]), _jacobian_from(rows)


def _link_terms() -> tuple[Array, Array, Array]:
    """Return what a link's transform is made of, each of shape (7, 4, 4).

    The transform of joint i to joint i - 1 is constant + cos(q) cosine + sin(q) sine.
    """
    constant, cosine, sine = (np.zeros((NUM_JOINTS, 4, 4)) for _ in range(3))
    for i, (a, d, ca, sa) in enumerate(_DH):
        constant[i, :3, 2] = 0.0, -sa, ca
        constant[i, :3, 3] = a, -sa * d, ca * d
        constant[i, 3, 3] = 1.0
        cosine[i, 0, 0], cosine[i, 1, 1], cosine[i, 2, 1] = 1.0, ca, sa
        sine[i, 0, 1], sine[i, 1, 0], sine[i, 2, 0] = -1.0, ca, sa
    return constant, cosine, sine


_CONSTANT, _COSINE, _SINE = _link_terms()
_TCP_TO_JOINT_7 = transform_tcp_to_flange()
_TCP_TO_JOINT_7[2, 3] += _FLANGE_M

# Distance from the origin of each frame of `chain_frames` to that of the next [m], shape (8,).
FRAME_DISTANCES_M = np.linalg.norm([*_CONSTANT[:, :3, 3], _TCP_TO_JOINT_7[:3, 3]], axis=1)


def chain_frames(joint_positions: Array) -> Array:
    """Return all frames of many postures at once; from about four on faster than one by one.

    Args:
        joint_positions: [rad], shape (n, 7).

    Returns:
        Shape (9, n, 4, 4): transforms to the base of the base itself, joints 1 to 7, the TCP.
    """
    links = _COSINE * np.cos(joint_positions)[..., None, None]
    links += _SINE * np.sin(joint_positions)[..., None, None]
    links += _CONSTANT
    frames = np.empty((NUM_JOINTS + 2, len(joint_positions), 4, 4))
    frames[BASE_FRAME] = _EYE_4
    frames[1] = links[:, 0]
    for i in range(1, NUM_JOINTS):
        np.matmul(frames[i], links[:, i], out=frames[i + 1])
    np.matmul(frames[NUM_JOINTS], _TCP_TO_JOINT_7, out=frames[TCP_FRAME])
    return frames


def jacobians(frames: Array) -> Array:
    """Return the Jacobian of the TCP for frames of `chain_frames`, shape (n, 6, 7).

    Rows as in `jacobian`.
    """
    axes = frames[1:TCP_FRAME, :, :3, 2].transpose(1, 2, 0)  # (n, 3, 7)
    ways = frames[TCP_FRAME, :, :3, 3, None] - frames[1:TCP_FRAME, :, :3, 3].transpose(1, 2, 0)
    result = np.empty((frames.shape[1], 6, NUM_JOINTS))
    for row, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
        result[:, row] = axes[:, i] * ways[:, j] - axes[:, j] * ways[:, i]
    result[:, 3:] = axes
    return result


def condition_numbers(frames: Array) -> Array:
    """Return how near postures are to a singularity, shape (n,): 1 is far, much is near.

    That is the ratio of the largest to the smallest singular value of the Jacobian of the TCP,
    in metres and radians, for frames of `chain_frames`.
    """
    j = jacobians(frames)
    # The eigenvalues of J J^T are the squares of J's singular values, and cheaper.
    squares = np.linalg.eigvalsh(j @ j.transpose(0, 2, 1))
    # Without any motion left in some direction rounding may even make them negative.
    numbers: Array = np.sqrt(squares[:, -1] / np.maximum(squares[:, 0], 1e-12))
    return numbers


def _jacobian_from(rows: list[list[float]]) -> Array:
    e0, e1, e2 = rows[NUM_JOINTS][9:]
    columns = []
    for row in rows[:NUM_JOINTS]:
        z0, z1, z2, p0, p1, p2 = row[6:]
        r0, r1, r2 = e0 - p0, e1 - p1, e2 - p2
        columns.append([z1 * r2 - z2 * r1, z2 * r0 - z0 * r2, z0 * r1 - z1 * r0, z0, z1, z2])
    return np.array(columns).T


def jacobian(joint_positions: Array) -> Array:
    """Return the geometric Jacobian of the TCP in the base frame, shape (6, 7).

    Rows are linear velocity [m/rad], then angular velocity [rad/rad].
    """
    return _jacobian_from(_frame_rows(joint_positions))


def _pose_error(tcp_row: list[float], target_columns: list[float]) -> list[float]:
    """Return `frames.pose_error` from a frame of `_frame_rows` to a target, as plain numbers."""
    a0, a1, a2, b0, b1, b2, c0, c1, c2, p0, p1, p2 = tcp_row
    u0, u1, u2, v0, v1, v2, w0, w1, w2, t0, t1, t2 = target_columns
    # The cross products of the axes add up to the rotation's axis times 2 sin(angle).
    s0 = a1 * u2 - a2 * u1 + b1 * v2 - b2 * v1 + c1 * w2 - c2 * w1
    s1 = a2 * u0 - a0 * u2 + b2 * v0 - b0 * v2 + c2 * w0 - c0 * w2
    s2 = a0 * u1 - a1 * u0 + b0 * v1 - b1 * v0 + c0 * w1 - c1 * w0
    sine = math.sqrt(s0 * s0 + s1 * s1 + s2 * s2)  # 2 sin(angle)
    cosine = a0 * u0 + a1 * u1 + a2 * u2 + b0 * v0 + b1 * v1 + b2 * v2  # 2 cos(angle)
    cosine += c0 * w0 + c1 * w1 + c2 * w2 - 1.0
    if sine < 1e-3 and cosine < 0.0:
        # About half a turn the axis must come from elsewhere.
        now, wanted = np.reshape(tcp_row, (4, 3)), np.reshape(target_columns, (4, 3))
        return [*(wanted[3] - now[3]), *vector_from_rotation(wanted[:3].T @ now[:3])]
    scale = 0.5 if sine < 1e-9 else math.atan2(sine, cosine) / sine
    return [t0 - p0, t1 - p1, t2 - p2, scale * s0, scale * s1, scale * s2]


@dataclass(frozen=True, slots=True, eq=False)
class IkSolution:
    """Result of the inverse kinematics.

    Attributes:
        joint_positions: [rad], shape (7,), inside the shared joint limits.
        position_error_m: Distance between wanted and reached TCP [m].
        rotation_error_rad: Angle between wanted and reached TCP [rad].
    """

    joint_positions: Array
    position_error_m: float
    rotation_error_rad: float


def inverse_kinematics(
    transform_tcp_to_base: Array,
    seed: Array,
    *,
    posture: Array = HOME_JOINT_POSITIONS,
    iterations: int = 6,
    damping: float = 1e-4,
    posture_gain: float = 0.15,
    limit_margin_rad: float = 0.05,
) -> IkSolution:
    """Find joint positions near a seed that bring the TCP to a pose.

    Damped least squares with a pull towards a posture in the null space, so that the elbow does
    not wander over a long motion. The result is always inside the shared joint limits; whether
    it reached the pose is said by the errors, and the caller decides.

    Args:
        transform_tcp_to_base: Wanted pose, shape (4, 4).
        seed: Joint positions to start from [rad], shape (7,).
        posture: Preferred joint positions [rad], shape (7,).
        iterations: Most Newton steps; fewer are made once the pose is reached.
        damping: Added to the diagonal of J J^T.
        posture_gain: Share of the way to the posture taken in a null-space step; each of the
            first three Newton steps makes one.
        limit_margin_rad: Distance kept from the joint limits [rad].
    """
    lower = SHARED_JOINT_LIMITS.lower + limit_margin_rad
    upper = SHARED_JOINT_LIMITS.upper - limit_margin_rad
    target: list[float] = transform_tcp_to_base[:3, :].T.ravel().tolist()
    q = np.minimum(np.maximum(seed, lower), upper)
    for iteration in range(iterations):
        rows = _frame_rows(q)
        error = _pose_error(rows[NUM_JOINTS], target)
        pulls = iteration < _POSTURE_ITERATIONS
        if not pulls and max(map(abs, error)) < _CONVERGED:
            break
        j = _jacobian_from(rows)
        pull = posture_gain * (posture - q) if pulls else np.zeros(NUM_JOINTS)
        # One solve for both: the step towards the pose, and the pull projected to the null space.
        weights = np.linalg.solve(j @ j.T + damping * _EYE_6, error - j @ pull)
        q = np.minimum(np.maximum(q + pull + j.T @ weights, lower), upper)
    residual = _pose_error(_frame_rows(q)[NUM_JOINTS], target)
    return IkSolution(q, math.hypot(*residual[:3]), math.hypot(*residual[3:]))
