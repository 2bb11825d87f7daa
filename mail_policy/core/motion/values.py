"""What goes into the motion core in one tick, and what comes out."""

from dataclasses import dataclass
from enum import StrEnum

from mail_policy.core.types import ActionChunk, ArmReading, JointSetPoint, TeleopCommand


class MotionState(StrEnum):
    """What the arm is doing; the names are those of mail_msgs/ArmState."""

    OFFLINE = "offline"
    IDLE = "idle"
    READY = "ready"
    HOMING = "homing"
    TELEOP = "teleop"
    POLICY = "policy"
    HOLD = "hold"
    STOPPED = "stopped"
    FAULT = "fault"
    USER_STOP = "user_stop"
    GUIDING = "guiding"
    ESTOP = "estop"
    SHUTDOWN = "shutdown"


# A set-point may differ from the last one only in these; HOLD and STOPPED brake, then hold.
MOVING_STATES = frozenset({MotionState.HOMING, MotionState.TELEOP, MotionState.POLICY})
CONTROLLED_STATES = MOVING_STATES | {MotionState.READY, MotionState.HOLD, MotionState.STOPPED}
# Left by an operator's action only.
LATCHED_STATES = frozenset({MotionState.STOPPED, MotionState.FAULT, MotionState.ESTOP})


class CommandName(StrEnum):
    """What an operator can ask for."""

    ARM = "arm"
    DISARM = "disarm"
    HOME = "home"
    START_POLICY = "start_policy"
    STOP = "stop"
    RESUME = "resume"
    RECOVER = "recover"
    ESTOP = "estop"
    RESET_ESTOP = "reset_estop"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class Command:
    """An operator's request.

    Attributes:
        name: What is asked for.
        number: Tells requests apart; the reply carries it.
        task: The sentence, for START_POLICY.
        max_duration_s: The policy stops after this time [s], for START_POLICY.
    """

    name: CommandName
    number: int = 0
    task: str = ""
    max_duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request.

    Attributes:
        number: That of the request.
        success: Whether it was done.
        message: For the operator; a refusal says what to do.
        lease_epoch: The lease granted, 0 if none.
    """

    number: int
    success: bool
    message: str
    lease_epoch: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class MotionInputs:
    """What the core learns in one tick.

    Attributes:
        reading: The newest state of the arm; None while there is no link.
        arm_fault: Why the driver failed since the last tick, "" if it did not.
        commands: Operator's requests in order of arrival.
        chunk: The newest action chunk since the last tick, if any.
        heartbeat_epoch: The lease that a policy named in its heartbeat since the last tick, None
            if none was heard.
        clock_offset_s: How far the policy's clock is ahead of ours [s], None if unknown.
        chunk_publishers: How many programs offer action chunks.
        teleop: The newest command of a person since the last tick, if any.
        estop_beat: The heartbeat of the emergency stop since the last tick: True while nobody
            pressed it, False once somebody did, None if none was heard.
        recovered: Result of a recovery that the core asked for, None while there is none.
    """

    reading: ArmReading | None
    arm_fault: str = ""
    commands: tuple[Command, ...] = ()
    chunk: ActionChunk | None = None
    heartbeat_epoch: int | None = None
    clock_offset_s: float | None = None
    chunk_publishers: int = 1
    teleop: TeleopCommand | None = None
    estop_beat: bool | None = None
    recovered: bool | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the core decided about a chunk.

    Attributes:
        lease_epoch: Copied from the chunk.
        sequence: Copied from the chunk.
        accepted: Whether it moves the arm from now on.
        rule: Name of the first rule that failed, "" if accepted.
        detail: Expected and got, for the operator.
        observation_age_s: From capture to this decision [s].
        camera_to_command_s: From capture to the chunk's first set-point [s]; 0 if rejected.
        skipped_steps: Rows whose time had passed.
        disagreement_rad: Largest joint distance between the old and the new trajectory at the
            join [rad]: how much the policy has changed its mind.
        join_jump_rad: Largest joint distance between the first set-point after the join and where
            the motion before it, continued smoothly, would have been [rad].
    """

    lease_epoch: int
    sequence: int
    accepted: bool
    rule: str
    detail: str
    observation_age_s: float
    camera_to_command_s: float = 0.0
    skipped_steps: int = 0
    disagreement_rad: float = 0.0
    join_jump_rad: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class MotionOutputs:
    """What the core wants done, and what it tells.

    Attributes:
        state: What the arm is doing.
        cause: Why, for the operator.
        lease_holder: "policy", "teleop", "homing" or "".
        lease_epoch: Increments with every lease and every stop.
        task: Task of the running policy lease.
        wants_control: Whether one of our motions shall run.
        set_point: Where to be now; None while not in control.
        hard_stop: Brake as hard as the robot can, now.
        wants_recovery: Ask the robot once to leave its error state.
        gripper_width_m: Wanted width [m]; None keeps the last one.
        decision: About the chunk of this tick, if there was one.
        replies: Answers to requests.
        accepted_chunks: Since start.
        rejected_chunks: Since start.
    """

    state: MotionState
    cause: str
    lease_holder: str
    lease_epoch: int
    task: str
    wants_control: bool
    set_point: JointSetPoint | None
    hard_stop: bool
    wants_recovery: bool
    gripper_width_m: float | None
    decision: Decision | None
    replies: tuple[Reply, ...]
    accepted_chunks: int
    rejected_chunks: int

    @property
    def may_move(self) -> bool:
        """True in a moving state only."""
        return self.state in MOVING_STATES
