"""A person with a leader arm: what an expert did on the directly stepped twin, done again by hand.

The person speaks through `teleop/command` only, like every teleoperation device.
"""

import threading
from dataclasses import dataclass

import numpy as np
from mail_msgs.msg import TeleopCommand
from rclpy.qos import QoSProfile, ReliabilityPolicy

from mail_bringup.operator_node import Operator
from mail_sim.world.demonstration import TAIL_STEPS, demonstrate
from mail_sim.world.world import World

STEP_S = 0.05
SEND_PERIOD_S = 0.02
# Slower than the expert: a person's limits are tighter than those of the stepped twin.
SLOWDOWN = 2.0
OPEN_SWITCH_S = 0.3


@dataclass(frozen=True)
class LeaderPath:
    """Where a leader arm goes; one row per step of 50 ms.

    Attributes:
        joint_positions: [rad], shape (L, 7).
        gripper_widths_m: Wanted, shape (L,).
    """

    joint_positions: np.ndarray
    gripper_widths_m: np.ndarray

    @property
    def duration_s(self) -> float:
        return SLOWDOWN * STEP_S * (len(self.joint_positions) - 1)

    def at(self, time_s: float) -> tuple[np.ndarray, float]:
        steps = np.arange(len(self.joint_positions))
        place = min(time_s / (SLOWDOWN * STEP_S), steps[-1])
        joints = np.array([np.interp(place, steps, joint) for joint in self.joint_positions.T])
        return joints, float(self.gripper_widths_m[int(place)])


def leader_path(sentence: str, seed: int) -> LeaderPath:
    """Let the expert do a task on the directly stepped twin."""
    with World(sentence, image_size=64) as world:
        played = demonstrate(world, seed, noise=0.0)
    assert played.success
    # A person stops when it is done; the expert goes on pulling for a moment.
    steps = [(seen, action) for seen, action in played.steps[:-TAIL_STEPS] if action is not None]
    return LeaderPath(
        np.array([seen.joint_positions for seen, _ in steps]),
        np.array([action[-1] for _, action in steps]),
    )


class ScriptedPerson:
    """Publishes what a leader arm would; times are those of the twin."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self._publisher = operator.node.create_publisher(TeleopCommand, "teleop/command", qos)
        self._sequence = 0

    def demonstrate(self, path: LeaderPath) -> None:
        """Close the switch, follow the path to its end, open the switch."""
        pause = threading.Event()
        began_s = self._operator.time_s()
        while (elapsed_s := self._operator.time_s() - began_s) < self._ends_s(path):
            moving_s = elapsed_s - OPEN_SWITCH_S
            is_held = 0.0 <= moving_s <= path.duration_s
            self._send(path, min(max(moving_s, 0.0), path.duration_s), is_held)
            pause.wait(SEND_PERIOD_S)

    @staticmethod
    def _ends_s(path: LeaderPath) -> float:
        return path.duration_s + 2.0 * OPEN_SWITCH_S

    def _send(self, path: LeaderPath, time_s: float, dead_man: bool) -> None:
        joints, width_m = path.at(time_s)
        self._sequence += 1
        msg = TeleopCommand(
            source="scripted",
            sequence=self._sequence,
            dead_man=dead_man,
            kind=TeleopCommand.JOINTS,
            joint_positions=joints,
            gripper_width=width_m,
        )
        msg.header.stamp = self._operator.node.get_clock().now().to_msg()
        self._publisher.publish(msg)
