"""A person moves the arm: judges commands, watches the dead-man switch, makes the reference."""

from enum import Enum

import numpy as np

from mail_policy.core.frames import Array, move_pose
from mail_policy.core.kinematics import forward_kinematics
from mail_policy.core.motion.chunk_planner import follow_pose
from mail_policy.core.motion.config import EnvelopeConfig, TeleopConfig
from mail_policy.core.robot_limits import JointLimits
from mail_policy.core.types import NUM_JOINTS, TeleopCommand

_MAX_FUTURE_S = 0.02
_MAX_REACH_ERROR_M = 0.002
_POSTURE_ITERATIONS = 1
# How far the reference may run ahead of the arm.
_LONGEST_LEAD_RAD = 0.04
# Keeps some of each limit for the corrections of the limits filter.
_USED_SHARE = 0.9


class Switch(Enum):
    """What the dead-man switch says."""

    UP = "up"
    PRESSED = "pressed"
    HELD = "held"
    RELEASED = "the dead-man switch was released"
    LOST = "the teleoperation device went silent"
    GLITCHED = "the teleoperation device sends nonsense"


class DeadMan:
    """Judges a person's commands, and says whether that person holds the switch.

    A switch counts as pressed only after it was seen up in a sound command, so that a stuck or
    taped one never starts a motion.

    Args:
        config: What counts as a glitch, and as silence.
    """

    def __init__(self, config: TeleopConfig) -> None:
        self._config = config
        self._last: TeleopCommand | None = None
        self._heard_at_s = float("-inf")
        self._was_up = self._is_held = False
        self._glitches = 0
        self.reason = ""

    @property
    def command(self) -> TeleopCommand | None:
        """The newest sound command while the switch is held."""
        return self._last if self._is_held else None

    def update(self, command: TeleopCommand | None, now_s: float) -> Switch:
        """Take what was heard since the last tick."""
        if command is not None:
            self.reason = self._judge(command, now_s)
            if not command.dead_man:
                # Letting go counts whatever else is wrong with the command, ...
                return self._let_go()
            if self.reason:
                return self._reject()
            return self._accept(command, now_s)
        if self._is_held and now_s - self._heard_at_s > self._config.lost_s:
            self._is_held = self._was_up = False
            return Switch.LOST
        return Switch.HELD if self._is_held else Switch.UP

    def _let_go(self) -> Switch:
        was_held, self._is_held = self._is_held, False
        # ... but only a sound command proves that the switch can open.
        self._was_up |= not self.reason
        self._last, self._glitches = None, 0
        return Switch.RELEASED if was_held else Switch.UP

    def _reject(self) -> Switch:
        self._glitches += 1
        if self._is_held and self._glitches >= self._config.max_glitches:
            self._is_held = self._was_up = False
            return Switch.GLITCHED
        return Switch.HELD if self._is_held else Switch.UP

    def _accept(self, command: TeleopCommand, now_s: float) -> Switch:
        self._last, self._heard_at_s, self._glitches = command, now_s, 0
        if self._is_held:
            return Switch.HELD
        if not self._was_up:
            return Switch.UP
        self._is_held = True
        return Switch.PRESSED

    def _judge(self, command: TeleopCommand, now_s: float) -> str:
        """Return what is wrong with a command, "" if nothing."""
        age_s = now_s - command.sent_at_s
        if not -_MAX_FUTURE_S <= age_s <= self._config.max_age_s:
            return f"sent {age_s:.3f} s ago, limit is {self._config.max_age_s} s"
        last = self._last
        if last is not None and last.source == command.source:
            if command.sequence <= last.sequence:
                return f"sequence {command.sequence} is not after {last.sequence}"
        elif self._is_held:
            return f"{command.source!r} interferes with the device that holds the switch"
        width_m = command.gripper_width_m
        if width_m is not None and not np.isfinite(width_m):
            return f"gripper width {width_m}"
        if (command.twist is None) == (command.joint_positions is None):
            return "expected either a twist or joint positions"
        if command.twist is not None:
            return self._judge_twist(command.twist)
        return self._judge_joints(command.joint_positions, last)

    def _judge_twist(self, twist: Array) -> str:
        if twist.shape != (6,) or not np.isfinite(twist).all():
            return "twist is not six finite numbers"
        speed_m_s = float(np.linalg.norm(twist[:3]))
        turn_rad_s = float(np.linalg.norm(twist[3:]))
        if speed_m_s > self._config.max_speed_m_s:
            return f"{speed_m_s:.2f} m/s, limit is {self._config.max_speed_m_s} m/s"
        if turn_rad_s > self._config.max_turn_rad_s:
            return f"{turn_rad_s:.2f} rad/s, limit is {self._config.max_turn_rad_s} rad/s"
        return ""

    def _judge_joints(self, positions: Array | None, last: TeleopCommand | None) -> str:
        if positions is None or positions.shape != (NUM_JOINTS,):
            return f"expected {NUM_JOINTS} joint positions"
        if not np.isfinite(positions).all():
            return "joint positions are not finite"
        if last is None or last.joint_positions is None:
            return ""
        step_rad = float(np.abs(positions - last.joint_positions).max())
        if step_rad <= self._config.max_joint_step_rad:
            return ""
        return f"jump of {step_rad:.2f} rad, limit is {self._config.max_joint_step_rad} rad"


class TeleopFollower:
    """Turns a person's commands into joint positions, from where the arm was taken over.

    Args:
        limits: Working limits of the joints.
        envelope: Limits in space; the TCP is led to the faces of its box and no further.
        tick_s: Time between set-points [s].
    """

    def __init__(self, limits: JointLimits, envelope: EnvelopeConfig, tick_s: float) -> None:
        self._limits = limits
        self._lower_m = np.array(envelope.tcp_lower_m)
        self._upper_m = np.array(envelope.tcp_upper_m)
        self._speed_m_s = _USED_SHARE * envelope.speed_m_s
        self._largest_step = _USED_SHARE * tick_s * limits.velocity
        self._tick_s = tick_s
        self.begin(0.5 * (limits.lower + limits.upper))

    def begin(self, positions: Array) -> None:
        """Go on from joint positions [rad]: the clutch closes here."""
        self._positions = positions
        self._pose = forward_kinematics(positions)
        self._leader_offset: Array | None = None

    def advance(self, command: TeleopCommand | None, arm_positions: Array) -> Array:
        """Return the joint positions to aim at one tick later [rad], shape (7,).

        Args:
            command: What the person wants; None to stay.
            arm_positions: Where the arm is commanded to be now [rad], shape (7,).
        """
        lead = self._positions - arm_positions
        if np.abs(lead).max() > _LONGEST_LEAD_RAD:
            # A limit is in the way. Staying near lets the person turn back at once.
            lead = np.clip(lead, -_LONGEST_LEAD_RAD, _LONGEST_LEAD_RAD)
            self._positions = arm_positions + lead
            self._pose = forward_kinematics(self._positions)
        if command is not None and command.twist is not None and command.twist.any():
            speed_m_s = max(float(np.linalg.norm(command.twist[:3])), 1e-9)
            share = min(1.0, self._speed_m_s / speed_m_s)
            self._advance_by_twist(share * self._tick_s * command.twist)
        elif command is not None and command.joint_positions is not None:
            self._advance_to_leader(command.joint_positions)
        return self._positions

    def _advance_by_twist(self, step: Array) -> None:
        moved = self._moved(step)
        excess = float((np.abs(moved[1] - self._positions) / self._largest_step).max())
        if excess > 1.0:
            moved = self._moved(step / excess)
        pose, positions, error_m = moved
        # Out of reach the pose stays, so that moving back has an effect at once.
        if error_m < _MAX_REACH_ERROR_M:
            self._positions, self._pose = positions, pose

    def _moved(self, step: Array) -> tuple[Array, Array, float]:
        """Return pose and joint positions [rad] after a step, and by how much they differ [m]."""
        pose = move_pose(self._pose, step)
        pose[:3, 3] = np.clip(pose[:3, 3], self._lower_m, self._upper_m)
        found = follow_pose(pose, self._positions, self._limits, _POSTURE_ITERATIONS)
        return pose, *found

    def _advance_to_leader(self, leader: Array) -> None:
        if self._leader_offset is None:
            self._leader_offset = self._positions - leader
        step = leader + self._leader_offset - self._positions
        moved = self._positions + np.clip(step, -self._largest_step, self._largest_step)
        self._positions = np.clip(moved, self._limits.lower, self._limits.upper)
        self._pose = forward_kinematics(self._positions)
