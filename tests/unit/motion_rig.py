"""An arm that obeys at once, and the motion core that drives it. Shared by the motion tests."""

import numpy as np

from mail_policy.core.action_schema import EE_DELTA, POLICY_RATE_HZ
from mail_policy.core.frames import Array
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_policy.core.motion.config import MotionConfig
from mail_policy.core.motion.core import MotionCore
from mail_policy.core.motion.values import Command, CommandName, MotionInputs, MotionOutputs
from mail_policy.core.robot_limits import RobotType
from mail_policy.core.types import ActionChunk, ArmReading, TeleopCommand

TICK_S = 0.01
# Observation time differs from robot time, so that a mix-up of the two is seen.
CLOCK_OFFSET_S = 100.0
EPOCH = 1000
TASK = "open the top drawer"


class Rig:
    """Steps the core and applies its set-points."""

    def __init__(
        self,
        robot_type: RobotType = RobotType.FR3,
        config: MotionConfig | None = None,
        start: Array = HOME_JOINT_POSITIONS,
    ) -> None:
        self.config = config or MotionConfig()
        self.core = MotionCore(self.config, robot_type, EPOCH)
        self.robot_time_s = 0.0
        self.positions = start.copy()
        self.velocities = np.zeros(7)
        self.in_control = False
        self.mode = ""
        self.errors: tuple[str, ...] = ()
        self.torques = np.zeros(7)
        self.success_rate = 1.0
        self.set_points: list[Array] = [self.positions]
        self.outputs: list[MotionOutputs] = []
        self._sequence = 0

    @property
    def now_s(self) -> float:
        """Observation clock [s]."""
        return self.robot_time_s + CLOCK_OFFSET_S

    @property
    def last(self) -> MotionOutputs:
        return self.outputs[-1]

    def reading(self) -> ArmReading:
        return ArmReading(
            robot_time_s=self.robot_time_s,
            joint_positions=self.positions,
            joint_velocities=self.velocities,
            commanded_joint_positions=self.positions,
            commanded_joint_velocities=self.velocities,
            external_torques=self.torques,
            transform_tcp_to_base=np.eye(4),
            mode=self.mode or ("move" if self.in_control else "idle"),
            errors=self.errors,
            in_control=self.in_control,
            success_rate=self.success_rate,
        )

    def step(
        self,
        *commands: Command,
        chunk: ActionChunk | None = None,
        heartbeat: bool = True,
        linked: bool = True,
        arm_fault: str = "",
        recovered: bool | None = None,
        teleop: TeleopCommand | None = None,
        estop_beat: bool | None = None,
        chunk_publishers: int = 1,
    ) -> MotionOutputs:
        """Let one tick pass."""
        self.robot_time_s += TICK_S
        inputs = MotionInputs(
            reading=self.reading() if linked else None,
            arm_fault=arm_fault,
            commands=commands,
            chunk=chunk,
            heartbeat_epoch=self.last.lease_epoch if heartbeat and self.outputs else None,
            clock_offset_s=0.0,
            chunk_publishers=chunk_publishers,
            teleop=teleop,
            estop_beat=estop_beat,
            recovered=recovered,
        )
        outputs = self.core.step(inputs, self.now_s)
        self.in_control = outputs.wants_control
        if outputs.set_point is not None:
            self.positions = outputs.set_point.positions
            self.velocities = outputs.set_point.velocities
            self.set_points.append(self.positions)
        self.outputs.append(outputs)
        return outputs

    def ask(self, name: CommandName, **arguments: object) -> MotionOutputs:
        """Make one request of the operator and take a tick."""
        return self.step(Command(name, number=7, **arguments))  # type: ignore[arg-type]

    def wait(self, ticks: int, heartbeat: bool = True) -> MotionOutputs:
        for _ in range(ticks):
            self.step(heartbeat=heartbeat)
        return self.last

    def arm(self) -> MotionOutputs:
        self.step()
        self.ask(CommandName.ARM)
        return self.wait(3)

    def start_policy(self, max_duration_s: float = 60.0) -> MotionOutputs:
        self.arm()
        return self.ask(CommandName.START_POLICY, task=TASK, max_duration_s=max_duration_s)

    def chunk(
        self, values: Array | None = None, age_s: float = 0.05, **changes: object
    ) -> ActionChunk:
        """Make a sound chunk for the next tick; changes replace fields."""
        self._sequence += 1
        fields: dict[str, object] = {
            "values": straight() if values is None else values,
            "schema": EE_DELTA.id_at(POLICY_RATE_HZ),
            "observed_at_s": self.now_s + TICK_S - age_s,
            "step_period_s": 0.05,
            "lease_epoch": self.last.lease_epoch,
            "sequence": self._sequence,
            "task": TASK,
            "inference_s": 0.02,
        }
        return ActionChunk(**(fields | changes))  # type: ignore[arg-type]


def straight(
    step: tuple[float, float, float] = (0.0, 0.008, 0.0), steps: int = 16, width_m: float = 0.08
) -> Array:
    """Return EE_DELTA rows of equal translation [m]."""
    values = np.zeros((steps, 7))
    values[:, :3] = step
    values[:, 6] = width_m
    return values


def tcp_speeds(rig: Rig) -> Array:
    """Return the speed of the TCP in each tick [m/s]."""
    points = np.array([forward_kinematics(q)[:3, 3] for q in rig.set_points])
    return np.linalg.norm(np.diff(points, axis=0), axis=1) / TICK_S
