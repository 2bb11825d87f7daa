"""A real franky client of the robot that misbehaves, and how tests wait for the two."""

import time
from collections.abc import Callable
from typing import Any

import franky
import numpy as np

from mail_policy.core.robot_limits import RobotType, joint_limits
from tests.fci.client import FaultyRobot
from tests.fci.errors import ERROR_NAMES

LIMIT_S = 20.0


def connect(address: str, robot_type: RobotType = RobotType.FR3) -> Any:
    """Connect with the arm's own limits; franky 2.0.0 has the tables swapped."""
    client = franky.Robot(address, realtime_config=franky.RealtimeConfig.Ignore)
    limits = joint_limits(robot_type)
    for name in ("velocity", "acceleration", "jerk"):
        limit = getattr(client, f"joint_{name}_limit")
        limit.set(np.minimum(getattr(limits, name), limit.max).tolist())
    return client


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {LIMIT_S} s: {what}"
        time.sleep(0.001)


def turn(client: Any, robot: FaultyRobot, speed_rad_s: float = 0.1) -> None:
    """Turn all joints at a constant speed, for longer than a test takes."""
    velocity = [speed_rad_s, -speed_rad_s] * 3 + [speed_rad_s]
    client.move(franky.JointVelocityMotion(velocity, franky.Duration(20_000)), asynchronous=True)
    wait_until(lambda: is_turning(robot, velocity), "the arm turns at its speed")


def is_turning(robot: FaultyRobot, velocity: list[float]) -> bool:
    newest = robot.trajectory(max(robot.cycle() - 1, 1)).joint_velocities[-1]
    return bool(np.allclose(newest, velocity, atol=1e-6))


def run_on(robot: FaultyRobot, cycles: int) -> None:
    """Wait for some robot time."""
    goal = robot.cycle() + cycles
    wait_until(lambda: robot.cycle() >= goal, "robot time runs")


def active_errors(client: Any) -> list[str]:
    errors = client.state.current_errors
    return [name for name in ERROR_NAMES if getattr(errors, name)]


def await_mode(client: Any, mode: Any) -> None:
    wait_until(lambda: client.state.robot_mode == mode, f"the robot is in mode {mode}")
