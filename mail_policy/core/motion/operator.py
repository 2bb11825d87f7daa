"""What each request of the operator needs, in words."""

from itertools import pairwise

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import (
    HOME_JOINT_POSITIONS,
    forward_kinematics,
    inverse_kinematics,
)
from mail_policy.core.motion.config import EnvelopeConfig, MotionConfig
from mail_policy.core.motion.posture_check import posture_refusal
from mail_policy.core.motion.trajectory import HermitePath, join_paths, minimum_jerk_path
from mail_policy.core.motion.values import Command, CommandName, MotionState
from mail_policy.core.robot_limits import JointLimits
from mail_policy.core.types import ArmReading

MAX_TASK_LENGTH = 256
MAX_DURATION_S = 3600.0
_RETREAT_ERROR_M = 0.02
# Postures along the way home are checked at this distance of any joint [rad].
_CHECK_STEP_RAD = 0.02

# Estimates of a free arm with the right load stay below this.
_RESTING_TORQUE_NM = 3.0

_S = MotionState
# States in which a request is possible; a request that is not listed is always possible.
_ALLOWED = {
    CommandName.ARM: {_S.IDLE},
    CommandName.DISARM: {_S.READY, _S.STOPPED},
    CommandName.HOME: {_S.READY},
    CommandName.START_POLICY: {_S.READY},
    CommandName.RESUME: {_S.STOPPED, _S.HOLD, _S.READY},
    CommandName.RECOVER: {_S.FAULT},
    CommandName.RESET_ESTOP: {_S.ESTOP},
}
_REMEDIES = {
    _S.OFFLINE: "the arm is not connected",
    _S.IDLE: "call arm/arm first",
    _S.READY: "the arm is ready already",
    _S.HOMING: "wait until homing is done, or call arm/stop",
    _S.POLICY: "call arm/stop first",
    _S.TELEOP: "let go of the dead-man switch first",
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
    refused = posture_refusal(q[None], envelope)
    return f"{refused}; guide the arm back by hand" if refused else ""


def arming_warning(reading: ArmReading) -> str:
    """Return what an operator should know about an arm that may be armed, "" if nothing."""
    torques_nm = np.abs(reading.external_torques)
    joint = int(np.argmax(torques_nm))
    if torques_nm[joint] <= _RESTING_TORQUE_NM:
        return ""
    return (
        f"; warning: joint {joint + 1} feels {torques_nm[joint]:.1f} Nm at rest, check the load "
        "that the robot is set to, and that nothing touches it"
    )


def home_path(
    positions: Array, progress_s: float, limits: JointLimits, config: MotionConfig
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
    refused = posture_refusal(_along(stops), config.envelope)
    if refused:
        return f"on the straight way home {refused}; guide the arm nearer to home"
    return join_paths(legs)


def _along(stops: list[Array]) -> Array:
    """Return postures on the straight ways between some, shape (n, 7), without the first one."""
    rows = []
    for start, end in pairwise(stops):
        steps = 1 + int(np.abs(end - start).max() / _CHECK_STEP_RAD)
        rows.append(start + np.linspace(0.0, 1.0, steps + 1)[1:, None] * (end - start))
    return np.concatenate(rows)


def _retreat(positions: Array, distance_m: float, config: MotionConfig) -> Array | None:
    """Return where the arm is after backing off along the hand's axis, None if it cannot."""
    back = np.eye(4)
    back[2, 3] = -distance_m
    solution = inverse_kinematics(forward_kinematics(positions) @ back, positions)
    q = solution.joint_positions
    reached = solution.position_error_m < _RETREAT_ERROR_M
    return q if reached and not posture_refusal(q[None], config.envelope) else None
