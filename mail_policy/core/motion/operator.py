"""What each request of the operator needs, in words."""

from itertools import pairwise

import numpy as np

from mail_policy.core.kinematics import (
    HOME_JOINT_POSITIONS,
    forward_kinematics,
    inverse_kinematics,
)
from mail_policy.core.motion.config import EnvelopeConfig, MotionConfig
from mail_policy.core.motion.geometry import arm_points
from mail_policy.core.motion.trajectory import HermitePath, join_paths, minimum_jerk_path
from mail_policy.core.motion.values import Command, CommandName, MotionState
from mail_policy.core.robot_limits import JointLimits
from mail_policy.core.types import ArmReading

MAX_TASK_LENGTH = 256
MAX_DURATION_S = 3600.0
_RETREAT_ERROR_M = 0.02

_S = MotionState
# States in which a request is possible; a request that is not listed is always possible.
_ALLOWED = {
    CommandName.ARM: {_S.IDLE},
    CommandName.DISARM: {_S.READY, _S.STOPPED},
    CommandName.HOME: {_S.READY},
    CommandName.START_POLICY: {_S.READY},
    CommandName.RESUME: {_S.STOPPED},
    CommandName.RECOVER: {_S.FAULT},
    CommandName.RESET_ESTOP: {_S.ESTOP},
}
_REMEDIES = {
    _S.OFFLINE: "the arm is not connected",
    _S.IDLE: "call arm/arm first",
    _S.READY: "the arm is ready already",
    _S.HOMING: "wait until homing is done, or call arm/stop",
    _S.POLICY: "call arm/stop first",
    _S.HOLD: "call arm/stop first",
    _S.STOPPED: "call arm/resume first",
    _S.FAULT: "call arm/recover first",
    _S.USER_STOP: "release the user stop, then call arm/arm",
    _S.GUIDING: "let go of the guiding button, then call arm/arm",
    _S.ESTOP: "call arm/reset_estop first",
    _S.SHUTDOWN: "the node is shutting down",
}


def refusal(command: Command, state: MotionState) -> str:
    """Return why a request is not possible in a state, "" if it is."""
    if state is MotionState.SHUTDOWN or state not in _ALLOWED.get(command.name, {state}):
        return f"cannot {command.name.value} while {state.value}: {_REMEDIES[state]}"
    return ""


def start_refusal(command: Command) -> str:
    """Return why a policy cannot be started with these arguments, "" if it can."""
    if not command.task or len(command.task) > MAX_TASK_LENGTH:
        return f"task must have 1 to {MAX_TASK_LENGTH} characters, got {len(command.task)}"
    if not 0.0 < command.max_duration_s <= MAX_DURATION_S:
        return f"max_duration must be in (0, {MAX_DURATION_S}] s, got {command.max_duration_s}"
    return ""


def arming_refusal(reading: ArmReading, limits: JointLimits, envelope: EnvelopeConfig) -> str:
    """Return why the arm must not be armed where it is, "" if it may."""
    if reading.errors or reading.mode not in ("idle", "move"):
        errors = ", ".join(reading.errors) or "none"
        return f"robot mode is {reading.mode}, errors: {errors}; unlock or recover the robot"
    q = reading.commanded_joint_positions
    outside = (q < limits.lower) | (q > limits.upper)
    if outside.any():
        joint = int(np.argmax(outside))
        return (
            f"joint {joint + 1} at {q[joint]:.3f} rad is outside {limits.lower[joint]:.3f} to "
            f"{limits.upper[joint]:.3f}; guide the arm back by hand"
        )
    if not is_inside(q, envelope):
        tcp = np.round(arm_points(q)[0], 3).tolist()
        return f"TCP at {tcp} m is outside the workspace; guide the arm back by hand"
    return ""


def is_inside(joint_positions: np.ndarray, envelope: EnvelopeConfig) -> bool:
    """Whether TCP and elbow lie inside the envelope."""
    tcp, elbow = arm_points(joint_positions)
    inside = (tcp >= envelope.tcp_lower_m).all() and (tcp <= envelope.tcp_upper_m).all()
    return bool(inside and elbow[2] >= envelope.elbow_lower_z_m)


def home_path(
    positions: np.ndarray, progress_s: float, limits: JointLimits, config: MotionConfig
) -> HermitePath | str:
    """Plan the way home; a string says why there is none.

    Far from home the hand may be around a handle or an object: it opens and backs off first.
    """
    homing = config.homing
    peak_velocity = homing.velocity_share * limits.velocity
    stops = [positions]
    if np.abs(positions - HOME_JOINT_POSITIONS).max() > homing.near_rad:
        progress_s += homing.release_s
        retreat = _retreat(positions, homing.retreat_m, config)
        if retreat is not None:
            stops.append(retreat)
    stops.append(HOME_JOINT_POSITIONS)
    legs: list[HermitePath] = []
    for start, end in pairwise(stops):
        start_s = legs[-1].end_s if legs else progress_s
        legs.append(
            minimum_jerk_path(start, end, peak_velocity=peak_velocity, start_progress_s=start_s)
        )
    path = join_paths(legs)
    if not all(is_inside(q, config.envelope) for q in path.positions):
        return "the straight way home leaves the workspace; guide the arm nearer to home"
    return path


def _retreat(positions: np.ndarray, distance_m: float, config: MotionConfig) -> np.ndarray | None:
    """Return where the arm is after backing off along the hand's axis, None if it cannot."""
    back = np.eye(4)
    back[2, 3] = -distance_m
    solution = inverse_kinematics(forward_kinematics(positions) @ back, positions)
    reached = solution.position_error_m < _RETREAT_ERROR_M
    return (
        solution.joint_positions
        if reached and is_inside(solution.joint_positions, config.envelope)
        else None
    )
