"""Settings of the arm node: one YAML file, and what a twin may relax."""

import ipaddress
from dataclasses import dataclass, field, replace

from mail_policy.core.action_schema import GRIPPER_CLOSE_BELOW_M, GRIPPER_OPEN_ABOVE_M
from mail_policy.core.motion.config import MotionConfig

# A real arm that gets no set-point must not go on for longer [s].
LONGEST_DEAD_MAN_S = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class FrankyConfig:
    """How the driver talks to the robot.

    Attributes:
        connect_timeout_s: Longest wait for a connection [s]; a robot that another client holds
            does not answer at all.
        follow_gain_per_s: Velocity correction per position error of the set-point [1/s].
        max_follow_error_rad: Above this error the arm does not follow [rad].
        dead_man_s: Without a set-point for this long the robot's thread stops the arm [s].
        acceleration_share: Share of the robot's acceleration limits while streaming.
        jerk_share: Share of its jerk limits while streaming.
        collision_torque_nm: Joint torque at which the robot stops by reflex [Nm].
        collision_force_n: Cartesian force at which the robot stops by reflex [N].
    """

    connect_timeout_s: float = 5.0
    follow_gain_per_s: float = 10.0
    max_follow_error_rad: float = 0.05
    dead_man_s: float = 0.1
    acceleration_share: float = 0.8
    jerk_share: float = 0.5
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
        speed_m_s: Speed of the fingers [m/s].
        force_n: Grasping force [N].
        command_period_s: Shortest time between two commands [s].
        read_period_s: Time between two readings [s].
    """

    close_below_m: float = GRIPPER_CLOSE_BELOW_M
    open_above_m: float = GRIPPER_OPEN_ABOVE_M
    speed_m_s: float = 0.1
    force_n: float = 30.0
    command_period_s: float = 0.5
    read_period_s: float = 0.1

    def __post_init__(self) -> None:
        """Refuse thresholds without hysteresis and forces beyond the hand's."""
        if not 0.0 < self.close_below_m < self.open_above_m:
            raise ValueError(
                f"close_below_m must lie in (0, open_above_m), got {self.close_below_m} and "
                f"{self.open_above_m}"
            )
        if not 0.0 < self.force_n <= 70.0:
            raise ValueError(f"force_n must be in (0, 70] N, got {self.force_n}")


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
    commands without any harm to the simulated arm.

    Attributes:
        dead_man_s: Replaces `franky.dead_man_s` [s].
        max_follow_error_rad: Replaces `franky.max_follow_error_rad` [rad].
        stall_s: Replaces `loop.stall_s` [s].
        max_age_s: Replaces `motion.admission.max_age_s` [s].
        lease_ttl_s: Replaces `motion.watchdogs.lease_ttl_s` [s].
        min_success_rate: Replaces `motion.watchdogs.min_success_rate`.
        max_rejected_share: Replaces `motion.admission.max_rejected_share`.
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

        Raises ValueError if a real robot would be left alone for too long.
        """
        if not is_loopback(address):
            if self.franky.dead_man_s > LONGEST_DEAD_MAN_S:
                raise ValueError(
                    f"franky.dead_man_s must be at most {LONGEST_DEAD_MAN_S} s on a robot, got "
                    f"{self.franky.dead_man_s}"
                )
            return self
        twin, motion = self.twin, self.motion
        admission = replace(
            motion.admission,
            max_age_s=twin.max_age_s,
            max_rejected_share=twin.max_rejected_share,
        )
        watchdogs = replace(
            motion.watchdogs,
            lease_ttl_s=twin.lease_ttl_s,
            min_success_rate=twin.min_success_rate,
            hand_torque_nm=twin.hand_torque_nm,
        )
        return replace(
            self,
            franky=replace(
                self.franky,
                dead_man_s=twin.dead_man_s,
                max_follow_error_rad=twin.max_follow_error_rad,
            ),
            loop=replace(self.loop, stall_s=twin.stall_s),
            motion=replace(motion, admission=admission, watchdogs=watchdogs),
        )


def is_loopback(address: str) -> bool:
    """Whether an address can only be a program on this machine, never a robot."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
