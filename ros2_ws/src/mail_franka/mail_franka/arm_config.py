"""Settings of the arm node: one YAML file, and what a twin may relax."""

import ipaddress
import math
from dataclasses import dataclass, field, replace

from mail_franka.ceilings import require_tight
from mail_policy.core.action_schema import GRIPPER_CLOSE_BELOW_M, GRIPPER_OPEN_ABOVE_M
from mail_policy.core.devices import HAND_FORCE_N, HAND_SPEED_M_S, HAND_WIDTH_M
from mail_policy.core.motion.config import MotionConfig

# A real arm that gets no set-point must not go on for longer [s].
LONGEST_DEAD_MAN_S = 0.2
_GRIPPER_TIMES = (
    "command_period_s",
    "command_timeout_s",
    "homing_timeout_s",
    "read_period_s",
    "reopen_s",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FrankyConfig:
    """How the driver talks to the robot.

    Attributes:
        connect_timeout_s: Longest wait for a connection [s]; a robot that another client holds
            does not answer at all.
        follow_gain_per_s: Velocity correction per position error of the set-point [1/s].
        follow_lead_s: How far ahead of a set-point its velocity is taken [s]: half the time between
            two of them, and what the robot needs to take it up.
        max_follow_error_rad: Above this error the arm does not follow [rad].
        dead_man_s: Without a set-point for this long the robot's thread stops the arm [s].
        acceleration_share: Share of the robot's acceleration limits while streaming.
        jerk_share: Share of its jerk limits while streaming.
        load_kg: Mass that the robot is told to carry beside its hand [kg].
        collision_torque_nm: Joint torque at which the robot stops by reflex [Nm].
        collision_force_n: Cartesian force at which the robot stops by reflex [N].
    """

    connect_timeout_s: float = 5.0
    follow_gain_per_s: float = 20.0
    follow_lead_s: float = 0.012
    max_follow_error_rad: float = 0.05
    dead_man_s: float = 0.1
    acceleration_share: float = 1.0
    jerk_share: float = 1.0
    load_kg: float = 0.0
    collision_torque_nm: float = 35.0
    collision_force_n: float = 60.0

    def __post_init__(self) -> None:
        """Refuse numbers that would switch a protection off."""
        for name in ("acceleration_share", "jerk_share"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in (0, 1], got {getattr(self, name)}")
        if not 0.02 <= self.dead_man_s <= 1.0:
            raise ValueError(f"dead_man_s must be in [0.02, 1] s, got {self.dead_man_s}")
        if not (0.0 < self.collision_torque_nm <= 87.0 and 0.0 < self.collision_force_n <= 100.0):
            raise ValueError(
                f"collision limits must be in (0, 87] Nm and (0, 100] N, got "
                f"{self.collision_torque_nm} and {self.collision_force_n}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class GripperConfig:
    """How wanted widths become commands to a hand.

    Attributes:
        close_below_m: A wanted width below this closes the hand [m].
        open_above_m: A wanted width above this opens it [m]; between the two nothing changes.
        speed_m_s: Speed of the fingers when nobody says another [m/s].
        force_n: Grasping force when nobody says another [N].
        max_width_m: Largest width that anybody may ask for [m].
        max_speed_m_s: Highest speed [m/s].
        max_force_n: Highest force [N].
        command_period_s: Shortest time between two commands [s].
        command_timeout_s: A command that takes longer is given up and stopped [s]; a slow move
            gets twice the time that it needs.
        homing_timeout_s: The same for homing [s].
        read_period_s: Time between two readings [s].
        reopen_s: Time between two attempts to connect [s].
    """

    close_below_m: float = GRIPPER_CLOSE_BELOW_M
    open_above_m: float = GRIPPER_OPEN_ABOVE_M
    speed_m_s: float = 0.1
    force_n: float = 30.0
    max_width_m: float = HAND_WIDTH_M
    max_speed_m_s: float = HAND_SPEED_M_S
    max_force_n: float = HAND_FORCE_N
    command_period_s: float = 0.5
    command_timeout_s: float = 5.0
    homing_timeout_s: float = 20.0
    read_period_s: float = 0.1
    reopen_s: float = 2.0

    def __post_init__(self) -> None:
        """Refuse thresholds without hysteresis and limits beyond the hand's."""
        if not 0.0 < self.close_below_m < self.open_above_m:
            raise ValueError(
                f"close_below_m must lie in (0, open_above_m), got {self.close_below_m} and "
                f"{self.open_above_m}"
            )
        for name, limit in (
            ("max_width_m", HAND_WIDTH_M),
            ("max_speed_m_s", HAND_SPEED_M_S),
            ("max_force_n", HAND_FORCE_N),
            ("speed_m_s", self.max_speed_m_s),
            ("force_n", self.max_force_n),
        ):
            if not 0.0 < getattr(self, name) <= limit:
                raise ValueError(f"{name} must be in (0, {limit}], got {getattr(self, name)}")
        for name in _GRIPPER_TIMES:
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be greater than 0 s, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopConfig:
    """How the control loop watches the robot's clock.

    Attributes:
        stall_s: Without progress of the robot's clock for this long, the link is lost [s].
        reconnect_s: Time between two attempts to connect [s].
        reply_s: Longest time for the answer to an operator's request [s].
    """

    stall_s: float = 0.05
    reconnect_s: float = 2.0
    reply_s: float = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TwinConfig:
    """What is relaxed on a twin, whose world may run slower than the wall clock.

    A twin estimates external torques from its contacts, and a busy machine loses control
    commands without any harm to the simulated arm. The heartbeat of the emergency stop need not
    be there; once heard, its silence counts here too.

    Attributes:
        dead_man_s: Replaces `franky.dead_man_s` [s].
        max_follow_error_rad: Replaces `franky.max_follow_error_rad` [rad].
        stall_s: Replaces `loop.stall_s` [s].
        max_age_s: Replaces `motion.admission.max_age_s` [s].
        lease_ttl_s: Replaces `motion.watchdogs.lease_ttl_s` [s].
        min_success_rate: Replaces `motion.watchdogs.min_success_rate`.
        max_rejected_share: Replaces `motion.admission.max_rejected_share`.
        max_clock_offset_s: Replaces `motion.admission.max_clock_offset_s` [s].
        late_s: Replaces `motion.watchdogs.late_s` [s].
        estop_s: Replaces `motion.watchdogs.estop_s` [s].
        lost_s: Replaces `motion.teleop.lost_s` [s].
        gripper_timeout_s: Replaces `gripper.command_timeout_s` and `gripper.homing_timeout_s` [s].
        hand_torque_nm: Replaces `motion.watchdogs.hand_torque_nm` [Nm].
    """

    dead_man_s: float = 0.4
    max_follow_error_rad: float = 0.15
    stall_s: float = 1.5
    max_age_s: float = 0.6
    lease_ttl_s: float = 1.0
    min_success_rate: float = 0.0
    max_rejected_share: float = 1.0
    hand_torque_nm: float = 1000.0
    max_clock_offset_s: float = 0.5
    late_s: float = 1.0
    estop_s: float = 2.0
    lost_s: float = 0.5
    gripper_timeout_s: float = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmConfig:
    """All settings of the arm node.

    Attributes:
        franky: How the driver talks to the robot.
        gripper: How the gripper is used.
        loop: How the control loop watches the robot's clock.
        motion: Limits, admission and watchdogs of the motion core.
        twin: What is relaxed on a twin, and only there.
    """

    franky: FrankyConfig = field(default_factory=FrankyConfig)
    gripper: GripperConfig = field(default_factory=GripperConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    twin: TwinConfig = field(default_factory=TwinConfig)

    def for_address(self, address: str) -> "ArmConfig":
        """Return the settings for a robot; those of a twin are used on loopback only.

        Raises ValueError if a real robot would be left alone for too long, or if a setting is
        looser than the code allows there.
        """
        if not is_loopback(address):
            if self.franky.dead_man_s > LONGEST_DEAD_MAN_S:
                raise ValueError(
                    f"franky.dead_man_s must be at most {LONGEST_DEAD_MAN_S} s on a robot, got "
                    f"{self.franky.dead_man_s}"
                )
            require_tight(self, ArmConfig())
            return self
        twin, motion = self.twin, self.motion
        admission = replace(
            motion.admission,
            max_age_s=twin.max_age_s,
            max_rejected_share=twin.max_rejected_share,
            max_clock_offset_s=twin.max_clock_offset_s,
        )
        watchdogs = replace(
            motion.watchdogs,
            lease_ttl_s=twin.lease_ttl_s,
            min_success_rate=twin.min_success_rate,
            hand_torque_nm=twin.hand_torque_nm,
            late_s=twin.late_s,
            estop_s=twin.estop_s,
            estop_required=False,
        )
        teleop = replace(motion.teleop, lost_s=twin.lost_s, max_age_s=twin.lost_s)
        return replace(
            self,
            franky=replace(
                self.franky,
                dead_man_s=twin.dead_man_s,
                max_follow_error_rad=twin.max_follow_error_rad,
            ),
            gripper=replace(
                self.gripper,
                command_timeout_s=twin.gripper_timeout_s,
                homing_timeout_s=twin.gripper_timeout_s,
            ),
            loop=replace(self.loop, stall_s=twin.stall_s),
            motion=replace(motion, admission=admission, watchdogs=watchdogs, teleop=teleop),
        )


def is_loopback(address: str) -> bool:
    """Whether an address can only be a program on this machine, never a robot."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
