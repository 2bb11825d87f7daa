"""Settings of the motion core. Every limit here can only tighten what the robot allows."""

import math
from dataclasses import dataclass, field, fields
from enum import StrEnum

from mail_policy.core.action_schema import (
    GRIPPER_OPEN_M,
    MAX_JOINT_STEP_RAD,
    MAX_ROTATION_STEP_RAD,
    MAX_TRANSLATION_STEP_M,
    SCHEMAS,
    schema_named,
)
from mail_policy.core.robot_limits import LimitShares

# Above this speed a policy never moves, whatever a file says [m/s].
HIGHEST_POLICY_SPEED_M_S = 0.6
Corner = tuple[float, float, float]


def _require_positive(config: object) -> None:
    for item in fields(config):  # type: ignore[arg-type]
        value = getattr(config, item.name)
        if isinstance(value, float) and not (math.isfinite(value) and value > 0.0):
            raise ValueError(f"{item.name} must be greater than 0, got {value}")


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvelopeConfig:
    """Where in space, and how fast, the arm may move.

    Boxes are given by their lower and upper corners in the base frame [m]; z = 0 is the table.

    Attributes:
        speed_m_s: Largest speed of elbow, wrist, TCP and fingertips [m/s]. 0.25 is the usual
            reduced speed where a person can reach the arm.
        tcp_lower_m: Box of the TCP.
        tcp_upper_m: Its upper corner.
        hand_lower_m: Box of the hand with open fingers, and of the camera mount. Fingers that
            shall touch the table need set-points a few millimetres below its surface.
        hand_upper_m: Its upper corner.
        elbow_lower_m: Box of the elbow, joint 4. The links around it are up to 0.14 m thick.
        elbow_upper_m: Its upper corner.
        wrist_lower_m: Box of the wrist, joints 6 and 7. Link 6 is up to 0.08 m thick.
        wrist_upper_m: Its upper corner.
        slow_clearance_m: The arm slows down when it comes nearer to itself than this [m].
        stop_clearance_m: It never comes nearer to itself than this [m].
        slow_condition: The arm slows down when the condition number of its Jacobian rises above
            this; the values are those of MoveIt Servo.
        stop_condition: It goes no further where that number is above this.
        camera_mount_m: Centre of what is mounted on the hand, in the TCP's frame [m].
        camera_mount_radius_m: Radius of a ball around all of it [m].
    """

    speed_m_s: float = 0.25
    tcp_lower_m: Corner = (0.20, -0.60, 0.01)
    tcp_upper_m: Corner = (0.90, 0.60, 0.90)
    hand_lower_m: Corner = (0.05, -0.75, -0.005)
    hand_upper_m: Corner = (1.05, 0.75, 1.05)
    elbow_lower_m: Corner = (-0.45, -0.45, 0.15)
    elbow_upper_m: Corner = (0.55, 0.45, 0.80)
    wrist_lower_m: Corner = (0.05, -0.70, 0.10)
    wrist_upper_m: Corner = (0.90, 0.70, 1.10)
    slow_clearance_m: float = 0.02
    stop_clearance_m: float = 0.01
    slow_condition: float = 17.0
    stop_condition: float = 30.0
    camera_mount_m: Corner | None = None
    camera_mount_radius_m: float = 0.05

    def __post_init__(self) -> None:
        """Refuse an empty box and a speed that no policy may have."""
        if not 0.0 < self.speed_m_s <= HIGHEST_POLICY_SPEED_M_S:
            raise ValueError(
                f"speed_m_s must be in (0, {HIGHEST_POLICY_SPEED_M_S}], got {self.speed_m_s}"
            )
        for part in ("tcp", "hand", "elbow", "wrist"):
            corners = getattr(self, f"{part}_lower_m"), getattr(self, f"{part}_upper_m")
            for axis, low, high in zip("xyz", *corners, strict=True):
                if not low < high:
                    raise ValueError(
                        f"{part}_lower_m must be below {part}_upper_m in {axis}: {low}, {high}"
                    )
        for slow, stop in (
            (self.slow_clearance_m, self.stop_clearance_m),
            (self.stop_condition, self.slow_condition),
        ):
            if not 0.0 < stop < slow:
                raise ValueError(
                    "slow_clearance_m must be above stop_clearance_m, stop_condition above "
                    f"slow_condition, and all above 0, got {slow} and {stop}"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmissionConfig:
    """Which action chunks may move the arm.

    Attributes:
        schemas: Names of the accepted action schemas.
        step_period_s: Expected time between rows [s]; 10 % off is accepted.
        max_age_s: Oldest observation that may still be acted on [s].
        max_future_s: How far an observation stamp may lie ahead of the clock [s].
        max_clock_offset_s: Largest offset between the clocks of policy and arm [s].
        max_steps: Most rows of a chunk.
        min_steps_left: Rows that must still lie ahead.
        max_translation_step_m: Largest translation of one row [m]; up to twice is scaled down.
        max_rotation_step_rad: Largest rotation of one row [rad]; up to twice is scaled down.
        max_joint_step_rad: Largest step of a joint in one row [rad]; up to twice is scaled down.
        max_start_m: Largest distance of the first row from a resting arm's TCP [m].
        max_start_rad: Largest angle by which that row turns the TCP [rad]. The twin's experts turn
            the hand by 0.1 rad at once; the limits filter makes that smooth.
        max_start_joint_rad: Largest angle by which that row turns a joint [rad].
        max_unreachable_rows: So many rows one after the other may be out of the arm's reach.
        max_clipped_share: Share of rows that may leave the workspace, or the range of a joint.
        max_join_rad: Largest joint distance between the running and the new trajectory [rad].
        max_join_m: Largest TCP distance between them [m].
        max_gripper_width_m: Largest gripper width [m].
        gripper_tolerance_m: A width may leave its range by this much and is clipped [m].
        max_gripper_changes_per_s: Most changes between open and closed within a second.
        max_rejected_share: Above this share of rejections within 2 s the arm stops; 1 never.
    """

    schemas: tuple[str, ...] = tuple(SCHEMAS)
    step_period_s: float = 0.05
    max_age_s: float = 0.25
    max_future_s: float = 0.02
    max_clock_offset_s: float = 0.05
    max_steps: int = 64
    min_steps_left: int = 2
    max_translation_step_m: float = MAX_TRANSLATION_STEP_M
    max_rotation_step_rad: float = MAX_ROTATION_STEP_RAD
    max_joint_step_rad: float = MAX_JOINT_STEP_RAD
    max_start_m: float = 0.02
    max_start_rad: float = 0.12
    max_start_joint_rad: float = 0.05
    max_unreachable_rows: int = 2
    max_clipped_share: float = 0.3
    max_join_rad: float = 0.15
    max_join_m: float = 0.05
    max_gripper_width_m: float = GRIPPER_OPEN_M
    gripper_tolerance_m: float = 0.01
    max_gripper_changes_per_s: int = 2
    max_rejected_share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse limits that are zero or not finite, and schemas that do not exist."""
        _require_positive(self)
        for name in self.schemas:
            schema_named(name)


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchdogConfig:
    """How long each source may be silent.

    Attributes:
        lease_ttl_s: Without heartbeat or chunk for this long the policy loses its lease [s].
        first_chunk_s: A lease without any chunk ends after this [s].
        hold_s: A hold that lasts longer ends: a policy's in a stop, a person's in READY [s].
        min_success_rate: Lowest share of control commands that arrive in time.
        success_rate_s: How long it must be too low [s].
        hand_torque_nm: External torque on two joints that counts as a hand on the arm [Nm].
        hand_s: How long it must last [s].
        late_s: A tick that comes later than this holds a moving arm [s].
        oscillation_rad_s: Joint speed above which a change of direction counts [rad/s].
        oscillation_per_s: More such changes of one joint within a second hold the arm.
        estop_s: Silence of the emergency stop's heartbeat that stops the arm [s].
        estop_required: Whether the arm may not be armed before that heartbeat was heard. A
            heartbeat that was heard once is watched in any case.
    """

    lease_ttl_s: float = 0.15
    first_chunk_s: float = 5.0
    hold_s: float = 2.0
    min_success_rate: float = 0.85
    success_rate_s: float = 0.1
    hand_torque_nm: float = 6.0
    hand_s: float = 0.05
    late_s: float = 0.03
    oscillation_rad_s: float = 0.1
    oscillation_per_s: int = 8
    estop_s: float = 0.15
    estop_required: bool = False

    def __post_init__(self) -> None:
        """Refuse limits that are negative; a success rate of 0 switches that watch off."""
        for item in fields(self):
            if not getattr(self, item.name) >= 0.0:
                raise ValueError(
                    f"{item.name} must not be negative, got {getattr(self, item.name)}"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class TeleopConfig:
    """Which commands of a person move the arm, and how.

    Attributes:
        lost_s: A held dead-man switch that is silent for this long counts as lost [s].
        max_age_s: Oldest command that may still be acted on [s].
        max_speed_m_s: A command for more is a glitch of the device [m/s].
        max_turn_rad_s: A command for more is a glitch too [rad/s].
        max_joint_step_rad: So is a leader arm that jumps by more between two commands [rad].
        max_glitches: So many glitches in a row end the person's control.
    """

    lost_s: float = 0.1
    max_age_s: float = 0.1
    max_speed_m_s: float = 0.5
    max_turn_rad_s: float = 2.5
    max_joint_step_rad: float = 0.15
    max_glitches: int = 3

    def __post_init__(self) -> None:
        """Refuse limits that are zero or not finite."""
        _require_positive(self)


class JoinMode(StrEnum):
    """How a new chunk takes over from the ones before it.

    LATEST follows it at once and leaves the rest to the limits filter, BLENDED fades over to it,
    ENSEMBLED fades to the weighted mean of all chunks that speak about an instant (temporal
    ensembling of ACT, Zhao et al. 2023).
    """

    LATEST = "latest"
    BLENDED = "blended"
    ENSEMBLED = "ensembled"


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinConfig:
    """How chunks are joined.

    Attributes:
        mode: How a new chunk takes over.
        blend_s: How long a change of nearly nothing takes [s].
        longest_blend_s: How long the largest change may take [s].
        blend_speed_share: Changes are stretched so that they use about this share of the speed
            limits; what a change needs beyond the limits would slow the arm down.
        ensemble_decay: The k-th oldest of the chunks in a mean weighs exp(-decay k); ACT uses
            0.01, greater values trust older chunks more, negative ones newer chunks.
        ensemble_size: Most chunks in a mean.
    """

    mode: JoinMode = JoinMode.BLENDED
    blend_s: float = 0.1
    longest_blend_s: float = 0.4
    blend_speed_share: float = 0.25
    ensemble_decay: float = 0.01
    ensemble_size: int = 4

    def __post_init__(self) -> None:
        """Refuse a blend that is no blend and an ensemble of nothing."""
        if not 0.0 < self.blend_s <= self.longest_blend_s <= 1.0:
            raise ValueError(
                f"blend_s must be in (0, longest_blend_s] and that at most 1 s, got {self.blend_s} "
                f"and {self.longest_blend_s}"
            )
        if not 0.0 < self.blend_speed_share <= 1.0:
            raise ValueError(f"blend_speed_share must be in (0, 1], got {self.blend_speed_share}")
        if not 1 <= self.ensemble_size <= 16:
            raise ValueError(f"ensemble_size must be in [1, 16], got {self.ensemble_size}")
        if not abs(self.ensemble_decay) <= 10.0:
            raise ValueError(f"ensemble_decay must be in [-10, 10], got {self.ensemble_decay}")


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
        join: How chunks are joined.
        joints: Share of the robot's joint limits that may be used.
        envelope: Limits in space.
        admission: Which chunks may move the arm.
        watchdogs: How long each source may be silent.
        teleop: Which commands of a person move the arm.
        homing: How the arm goes home.
    """

    tick_s: float = 0.01
    join: JoinConfig = field(default_factory=JoinConfig)
    joints: LimitShares = field(default_factory=LimitShares)
    envelope: EnvelopeConfig = field(default_factory=EnvelopeConfig)
    admission: AdmissionConfig = field(default_factory=AdmissionConfig)
    watchdogs: WatchdogConfig = field(default_factory=WatchdogConfig)
    teleop: TeleopConfig = field(default_factory=TeleopConfig)
    homing: HomingConfig = field(default_factory=HomingConfig)

    def __post_init__(self) -> None:
        """Refuse a tick that is no tick."""
        if not 0.001 <= self.tick_s <= 0.05:
            raise ValueError(f"tick_s must be in [0.001, 0.05] s, got {self.tick_s}")
