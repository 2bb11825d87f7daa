"""Settings of the motion core. Every limit here can only tighten what the robot allows."""

import math
from dataclasses import dataclass, field, fields

from mail_policy.core.action_schema import (
    EE_DELTA,
    GRIPPER_OPEN_M,
    MAX_ROTATION_STEP_RAD,
    MAX_TRANSLATION_STEP_M,
)
from mail_policy.core.robot_limits import LimitShares

# Above this speed a policy never moves, whatever a file says [m/s].
HIGHEST_POLICY_SPEED_M_S = 0.6


def _require_positive(config: object) -> None:
    for item in fields(config):  # type: ignore[arg-type]
        value = getattr(config, item.name)
        if isinstance(value, float) and not (math.isfinite(value) and value > 0.0):
            raise ValueError(f"{item.name} must be greater than 0, got {value}")


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvelopeConfig:
    """Where in space, and how fast, the arm may move.

    Attributes:
        speed_m_s: Largest speed of TCP and elbow [m/s]. 0.25 is the usual reduced speed where a
            person can reach the arm.
        tcp_lower_m: Lower corner of the box for the TCP, base frame [m]; z is the table.
        tcp_upper_m: Upper corner of that box [m].
        elbow_lower_z_m: Lowest height of the elbow [m].
    """

    speed_m_s: float = 0.25
    tcp_lower_m: tuple[float, float, float] = (0.20, -0.60, 0.005)
    tcp_upper_m: tuple[float, float, float] = (0.90, 0.60, 0.90)
    elbow_lower_z_m: float = 0.15

    def __post_init__(self) -> None:
        """Refuse an empty box and a speed that no policy may have."""
        if not 0.0 < self.speed_m_s <= HIGHEST_POLICY_SPEED_M_S:
            raise ValueError(
                f"speed_m_s must be in (0, {HIGHEST_POLICY_SPEED_M_S}], got {self.speed_m_s}"
            )
        for axis, low, high in zip("xyz", self.tcp_lower_m, self.tcp_upper_m, strict=True):
            if not low < high:
                raise ValueError(f"tcp_lower_m must be below tcp_upper_m in {axis}: {low}, {high}")


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmissionConfig:
    """Which action chunks may move the arm.

    Attributes:
        schema: Id of the only accepted action schema.
        step_period_s: Expected time between rows [s]; 10 % off is accepted.
        max_age_s: Oldest observation that may still be acted on [s].
        max_future_s: How far an observation stamp may lie ahead of the clock [s].
        max_steps: Most rows of a chunk.
        min_steps_left: Rows that must still lie ahead.
        max_translation_step_m: Largest translation of one row [m]; up to twice is scaled down.
        max_rotation_step_rad: Largest rotation of one row [rad]; up to twice is scaled down.
        max_clipped_share: Share of rows that may need clipping to the workspace.
        max_join_rad: Largest joint distance between the running and the new trajectory [rad].
        max_join_m: Largest TCP distance between them [m].
        max_gripper_width_m: Largest gripper width [m].
        gripper_tolerance_m: A width may leave its range by this much and is clipped [m].
        max_rejected_share: Above this share of rejections within 2 s the arm stops; 1 never.
    """

    schema: str = EE_DELTA.name
    step_period_s: float = 0.05
    max_age_s: float = 0.25
    max_future_s: float = 0.02
    max_steps: int = 64
    min_steps_left: int = 2
    max_translation_step_m: float = MAX_TRANSLATION_STEP_M
    max_rotation_step_rad: float = MAX_ROTATION_STEP_RAD
    max_clipped_share: float = 0.3
    max_join_rad: float = 0.15
    max_join_m: float = 0.05
    max_gripper_width_m: float = GRIPPER_OPEN_M
    gripper_tolerance_m: float = 0.01
    max_rejected_share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse limits that are zero or not finite."""
        _require_positive(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchdogConfig:
    """How long each source may be silent.

    Attributes:
        lease_ttl_s: Without heartbeat or chunk for this long the policy loses its lease [s].
        first_chunk_s: A lease without any chunk ends after this [s].
        hold_s: A hold that lasts longer becomes a stop [s].
        min_success_rate: Lowest share of control commands that arrive in time.
        success_rate_s: How long it must be too low [s].
        hand_torque_nm: External torque on two joints that counts as a hand on the arm [Nm].
        hand_s: How long it must last [s].
    """

    lease_ttl_s: float = 0.2
    first_chunk_s: float = 5.0
    hold_s: float = 2.0
    min_success_rate: float = 0.85
    success_rate_s: float = 0.1
    hand_torque_nm: float = 6.0
    hand_s: float = 0.05

    def __post_init__(self) -> None:
        """Refuse limits that are negative; a success rate of 0 switches that watch off."""
        for item in fields(self):
            if not getattr(self, item.name) >= 0.0:
                raise ValueError(f"{item.name} must not be negative, got {item.name}")


@dataclass(frozen=True, kw_only=True, slots=True)
class HomingConfig:
    """How the arm goes to its home posture.

    Attributes:
        velocity_share: Share of the working joint velocity limits.
        open_gripper: Whether homing opens the gripper.
        tolerance_rad: A joint this close to home needs no motion [rad].
        release_s: How long the hand gets to open and let go before the arm moves [s].
        retreat_m: How far the hand first backs off along its own axis, so that fingers around a
            handle do not take it along [m].
        near_rad: A joint nearer to home than this needs no backing off [rad].
    """

    velocity_share: float = 0.4
    open_gripper: bool = True
    tolerance_rad: float = 0.002
    release_s: float = 1.0
    retreat_m: float = 0.1
    near_rad: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a share that is no share."""
        if not 0.0 < self.velocity_share <= 1.0:
            raise ValueError(f"velocity_share must be in (0, 1], got {self.velocity_share}")
        if not self.release_s > 0.0 or not 0.0 <= self.retreat_m <= 0.3:
            raise ValueError(
                f"release_s must be greater than 0 and retreat_m in [0, 0.3], got "
                f"{self.release_s} and {self.retreat_m}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class MotionConfig:
    """All settings of the motion core.

    Attributes:
        tick_s: Time between two set-points [s].
        blend_s: Time over which a new trajectory replaces the running one [s].
        joints: Share of the robot's joint limits that may be used.
        envelope: Limits in space.
        admission: Which chunks may move the arm.
        watchdogs: How long each source may be silent.
        homing: How the arm goes home.
    """

    tick_s: float = 0.01
    blend_s: float = 0.1
    joints: LimitShares = field(default_factory=LimitShares)
    envelope: EnvelopeConfig = field(default_factory=EnvelopeConfig)
    admission: AdmissionConfig = field(default_factory=AdmissionConfig)
    watchdogs: WatchdogConfig = field(default_factory=WatchdogConfig)
    homing: HomingConfig = field(default_factory=HomingConfig)

    def __post_init__(self) -> None:
        """Refuse a tick that is no tick."""
        if not 0.001 <= self.tick_s <= 0.05:
            raise ValueError(f"tick_s must be in [0.001, 0.05] s, got {self.tick_s}")
        if not self.tick_s <= self.blend_s <= 1.0:
            raise ValueError(f"blend_s must be in [tick_s, 1] s, got {self.blend_s}")
