"""What the monitor knows at one instant. Times are seconds on the clock that a name says."""

from dataclasses import dataclass

import numpy as np

from mail_policy.core.frames import Array

# Names of the inputs, beside one for each camera.
ARM, JOINTS, POLICY, CHUNK, DIAGNOSTICS = "arm", "joints", "policy", "chunk", "diagnostics"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ArmSeen:
    """The newest state of the arm.

    Attributes:
        stamp_s: When it was measured [s, ROS time].
        state: Name of the state, for example "policy".
        cause: Why the arm is in it.
        task: Task of the running lease, "" if none.
        joint_positions: Measured [rad], shape (7,).
        set_point: Commanded joint positions [rad], shape (7,).
        tcp_position_m: Measured, in the base frame [m], shape (3,).
    """

    stamp_s: float
    state: str
    cause: str
    task: str
    joint_positions: Array
    set_point: Array
    tcp_position_m: Array


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicySeen:
    """The newest heartbeat of the policy.

    Attributes:
        task: Sentence that it follows, "" if none.
        checkpoint: Name of the checkpoint.
        waiting_for: What keeps it from planning, "" if nothing.
        inference_p50_s: Median time of an inference [s].
    """

    task: str
    checkpoint: str
    waiting_for: str
    inference_p50_s: float


@dataclass(frozen=True, slots=True, eq=False)
class PredictedPath:
    """Where a chunk leads the TCP.

    Attributes:
        points_m: In the base frame [m], shape (steps + 1, 3); the first is where it begins.
        times_s: When the arm shall be there [s, ROS time], shape (steps + 1,).
    """

    points_m: Array
    times_s: Array


NO_PATH = PredictedPath(np.empty((0, 3)), np.empty(0))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Snapshot:
    """Everything that a display shows.

    Attributes:
        now_s: ROS time [s].
        arm: None before the first message.
        gripper_width_m: Distance between the fingers [m].
        policy: None before the first heartbeat.
        predicted: What the newest chunk wants; empty when it is over.
        executed_m: Where the TCP has been lately [m], oldest first, shape (n, 3).
        may_move: "yes", or "no, because ...", as the supervisor says it.
        limits: Limits that the arm is at, in words.
        ages_s: Age of the newest message of every input [s]; None if nothing has come yet.
    """

    now_s: float
    arm: ArmSeen | None
    gripper_width_m: float
    policy: PolicySeen | None
    predicted: PredictedPath
    executed_m: Array
    may_move: str
    limits: tuple[str, ...]
    ages_s: dict[str, float | None]
