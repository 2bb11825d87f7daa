"""Values for the tests of the monitor."""

from typing import Any

import numpy as np

from mail_monitor.board import MonitorBoard
from mail_monitor.limits_hit import LimitsWatch
from mail_monitor.seen import ArmSeen, PolicySeen, Snapshot
from mail_policy.core.action_schema import EE_DELTA
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_policy.core.motion.config import MotionConfig
from mail_policy.core.robot_limits import RobotType
from mail_policy.core.types import ActionChunk

MOTION = MotionConfig()
HOME_M = forward_kinematics(HOME_JOINT_POSITIONS)[:3, 3]


def limits_watch() -> LimitsWatch:
    return LimitsWatch(MOTION, RobotType.FR3)


def board() -> MonitorBoard:
    return MonitorBoard(limits_watch(), ["agentview"])


def arm(stamp_s: float = 10.0, **given: Any) -> ArmSeen:
    values: dict[str, Any] = {
        "state": "policy",
        "cause": "",
        "task": "open the top drawer",
        "joint_positions": HOME_JOINT_POSITIONS,
        "set_point": HOME_JOINT_POSITIONS,
        "tcp_position_m": HOME_M,
    }
    return ArmSeen(stamp_s=stamp_s, **(values | given))


def chunk(observed_at_s: float = 10.0, steps: int = 4, **given: Any) -> ActionChunk:
    """Return a chunk that moves the TCP by 1 cm along x in every step."""
    rows = np.zeros((steps, EE_DELTA.size))
    rows[:, 0] = 0.01
    values: dict[str, Any] = {
        "values": rows,
        "schema": EE_DELTA.id_at(20.0),
        "step_period_s": 0.05,
        "lease_epoch": 1,
        "sequence": 1,
        "task": "",
        "inference_s": 0.01,
    }
    return ActionChunk(observed_at_s=observed_at_s, **(values | given))


def snapshot(*, task: str = "open the top drawer", may_move: str = "yes") -> Snapshot:
    """Return what a running policy looks like."""
    seen = board()
    seen.set_arm(arm(9.9, tcp_position_m=HOME_M - [0.02, 0.0, 0.0], task=task))
    seen.set_arm(arm(10.0, task=task))
    seen.set_policy(PolicySeen(task=task, checkpoint="light", waiting_for="", inference_p50_s=0.02))
    seen.set_chunk(chunk())
    seen.set_may_move(may_move)
    for name in ("arm", "policy", "chunk", "diagnostics"):
        seen.note(name, lag_s=0.01, steady_s=100.0)
    return seen.snapshot(now_s=10.02, steady_s=100.02)
