"""The values that travel between cameras, policy and arm. NumPy only: no torch, no ROS.

All times are seconds on the clock that stamps observations (ROS time; simulated time on the
twin) unless a name says otherwise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_JOINTS = 7


# eq=False on values that hold arrays: comparing two arrays yields an array, so a generated
# == would raise.
@dataclass(frozen=True, slots=True, eq=False)
class CameraFrame:
    """One picture of one camera.

    Attributes:
        image: RGB uint8, shape (height, width, 3).
        captured_at_s: When the light was collected [s].
        received_at_s: When this process got the picture [s].
        sequence: Frame counter of the device; a jump by more than one is a lost frame.
        depth_mm: Depth seen from the colour sensor [mm], shape (height, width), 0 where it is
            unknown; None for a camera without depth.
    """

    image: NDArray[np.uint8]
    captured_at_s: float
    received_at_s: float
    sequence: int
    depth_mm: NDArray[np.uint16] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What the robot sees and feels at one instant of the policy's time grid.

    Attributes:
        captured_at_s: Capture stamp of the pictures [s].
        images: RGB uint8 of shape (height, width, 3), by camera name.
        joint_positions: Measured [rad], shape (7,).
        gripper_width_m: Distance between the fingers [m].
    """

    captured_at_s: float
    images: dict[str, NDArray[np.uint8]]
    joint_positions: NDArray[np.float64]
    gripper_width_m: float


@dataclass(frozen=True, slots=True, eq=False)
class ArmReading:
    """What the arm reports about itself at one instant.

    Attributes:
        robot_time_s: The robot's own clock [s]; steady, counts control cycles.
        joint_positions: Measured [rad], shape (7,).
        joint_velocities: Measured [rad/s], shape (7,).
        commanded_joint_positions: The robot's current set-point q_d [rad], shape (7,).
        commanded_joint_velocities: The derivative of q_d [rad/s], shape (7,).
        external_torques: Estimated external joint torques [Nm], shape (7,).
        transform_tcp_to_base: Measured pose of the tool centre point, shape (4, 4).
        mode: Robot mode as the robot names it, for example "idle", "move", "reflex".
        errors: Names of the robot's active errors.
        in_control: True while one of our motions runs.
        success_rate: Share of control commands that arrived in time, 0 to 1.
    """

    robot_time_s: float
    joint_positions: NDArray[np.float64]
    joint_velocities: NDArray[np.float64]
    commanded_joint_positions: NDArray[np.float64]
    commanded_joint_velocities: NDArray[np.float64]
    external_torques: NDArray[np.float64]
    transform_tcp_to_base: NDArray[np.float64]
    mode: str
    errors: tuple[str, ...]
    in_control: bool
    success_rate: float


@dataclass(frozen=True, slots=True)
class GripperReading:
    """What the gripper reported last.

    Attributes:
        read_at_s: When the reading was taken [s], on the clock of the reader.
        width_m: Distance between the fingers [m].
        max_width_m: Largest possible distance between the fingers [m].
        is_grasped: The gripper believes that it holds something.
    """

    read_at_s: float
    width_m: float
    max_width_m: float
    is_grasped: bool


@dataclass(frozen=True, slots=True, eq=False)
class JointSetPoint:
    """Where the arm should be in this control tick, after the limits filter.

    Attributes:
        positions: [rad], shape (7,).
        velocities: [rad/s], shape (7,).
        accelerations: [rad/s2], shape (7,).
    """

    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]
    accelerations: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ActionChunk:
    """A short future predicted from a single observation window.

    Row k (counted from 0) describes where to be at ``observed_at_s + (k + 1) * step_period_s``;
    what the numbers mean is said by the schema, see `mail_policy.core.action_schema`.

    Attributes:
        values: SI units, shape (steps, action size).
        schema: Id of the action schema.
        observed_at_s: Capture stamp of the newest picture in the window [s].
        step_period_s: Time between two rows [s].
        lease_epoch: The lease under which the chunk was made.
        sequence: Counts up within a lease.
        task: The resolved sentence that the policy follows.
        inference_s: How long the policy took, from window to values [s].
    """

    values: NDArray[np.float64]
    schema: str
    observed_at_s: float
    step_period_s: float
    lease_epoch: int
    sequence: int
    task: str
    inference_s: float


@dataclass(frozen=True, slots=True, eq=False)
class TeleopCommand:
    """What a person wants the arm to do now.

    Exactly one of `twist` and `joint_positions` is given.

    Attributes:
        source: Name of the device, for example "spacemouse".
        sequence: Counts up per source.
        sent_at_s: When the person moved the device [s].
        dead_man: The person holds the dead-man switch.
        twist: Wanted TCP velocity in the base frame, linear [m/s] then angular [rad/s], (6,).
        joint_positions: Joint positions of a leader arm [rad], shape (7,). Only their changes
            since the dead-man switch was pressed count.
        gripper_width_m: Wanted distance between the fingers [m]; None leaves them alone.
    """

    source: str
    sequence: int
    sent_at_s: float
    dead_man: bool
    twist: NDArray[np.float64] | None
    joint_positions: NDArray[np.float64] | None
    gripper_width_m: float | None


@dataclass(frozen=True, slots=True)
class Hold:
    """Stay where you are. The reason is shown to the operator."""

    reason: str
