"""The arm's process against a robot that misbehaves on command, with the robot's own bounds.

All times are robot time: the robot runs `slowdown` times slower than real, and its clock is the
stack's, so that a busy machine has the same bounds as a robot and no test depends on its load.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
import rclpy
import yaml
from mail_msgs.msg import Admission, ArmState, TeleopCommand
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock

from mail_bringup.claims import claim_address, claim_domain
from mail_bringup.operator_node import Operator
from mail_bringup.places import state_folder
from mail_bringup.shared_memory import remove_leftovers
from mail_policy.core.frames import Array
from mail_policy.core.kinematics import TCP_FRAME, chain_frames
from mail_policy.core.robot_limits import RobotType
from mail_ros.conversions import seconds_to_stamp
from tests.fci.client import FaultyRobot, Trajectory

ROOT = Path(__file__).parents[2]
TASK = "sweep"
LIMIT_S = 60.0
SLOWDOWN = 4.0
CLOCK_PERIOD_S = 0.002
_MOST_STARTS, _HEARS_WITHIN_S = 3, 15.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# What a twin relaxes, set back to the robot's values. The link is watched on the wall clock.
ROBOT_BOUNDS: dict[str, float] = {
    "dead_man_s": 0.1,
    "max_follow_error_rad": 0.05,
    "stall_s": 0.4,
    "max_age_s": 0.25,
    "lease_ttl_s": 0.15,
    "min_success_rate": 0.85,
    "max_rejected_share": 0.5,
    "hand_torque_nm": 6.0,
    "max_clock_offset_s": 0.05,
    "late_s": 0.03,
    "estop_s": 0.15,
    "lost_s": 0.1,
}


class ArmRig:
    """A robot, the arm's process, an operator, and a clock.

    Args:
        folder: For logs and configuration.
        slowdown: How much slower than real the robot runs.
        robot_type: Which arm.
        settings: Replaces parts of launch/config/arm.yaml, section by section.
        bounds: Replaces some of ROBOT_BOUNDS.
        is_up: Whether the node shall be configured and activated.
    """

    def __init__(
        self,
        folder: Path,
        *,
        slowdown: float = SLOWDOWN,
        robot_type: RobotType = RobotType.FR3,
        settings: dict[str, Any] | None = None,
        bounds: dict[str, float] | None = None,
        is_up: bool = True,
    ) -> None:
        self.folder = folder
        self.slowdown = slowdown
        self.robot_type = robot_type
        self._settings = settings or {}
        self._bounds = ROBOT_BOUNDS | (bounds or {})
        self._is_up = is_up
        self._cleanup = ExitStack()
        self.states: list[ArmState] = []
        self.decisions: list[Admission] = []
        self._teleop_sequence = 0

    def __enter__(self) -> Self:
        with self._cleanup:
            # Last of all: what killed processes left in shared memory would disturb later ones.
            self._cleanup.callback(remove_leftovers)
            self.domain = self._cleanup.enter_context(claim_domain(state_folder())).value
            self.address = self._cleanup.enter_context(claim_address(state_folder())).value
            self.robot = self._cleanup.enter_context(
                FaultyRobot(self.address, robot_type=self.robot_type, slowdown=self.slowdown)
            )
            self._start_clock()
            self.config_file = self._write_config()
            self._connect_operator()
            self.arm_process = self.start_arm()
            if self._is_up:
                self.bring_up()
            self._cleanup = self._cleanup.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._cleanup.close()

    # Processes.

    def start_arm(self) -> subprocess.Popen[bytes]:
        """Start the arm's process."""
        return self.start(
            "arm",
            "mail_franka.arm_process",
            "-p",
            "use_sim_time:=true",
            "-p",
            f"robot_ip:={self.address}",
            "-p",
            f"robot_type:={self.robot_type.value}",
            "-p",
            f"config_file:={self.config_file}",
            "-p",
            f"black_box_folder:={self.folder / 'black_box'}",
        )

    def restart_arm(self) -> None:
        """Kill the arm's process, start another one and bring it up."""
        self.arm_process.kill()
        self.arm_process.wait()
        self.arm_process = self.start_arm()
        # A new participant: the old one may still talk to the dead process.
        self._connect_operator()
        self.bring_up()

    def start_policy(self, **parameters: float) -> subprocess.Popen[bytes]:
        """Start the scripted policy's process; once more if DDS does not bring it the arm's state.

        On a busy machine a new participant now and then never gets a latched topic that others get.
        """
        words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
        for _ in range(_MOST_STARTS):
            self.operator.policy_status = None
            process = self.start(
                "policy", "tests.ros.scripted_policy", "-p", "use_sim_time:=true", *words
            )
            if self.operator.wait_until(self._policy_hears_the_arm, _HEARS_WITHIN_S):
                return process
            end(process)
            self.wait_until(
                lambda: self.node.count_publishers("policy/action_chunk") == 0, "it is gone"
            )
        raise AssertionError(f"the policy never heard the arm: {self.said('policy')}")

    def _policy_hears_the_arm(self) -> bool:
        status = self.operator.policy_status
        return status is not None and not status.waiting_for

    def start(self, name: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a Python module as a ROS process; its output goes to a file."""
        environment = {**os.environ, "ROS_DOMAIN_ID": self.domain, "PYTHONFAULTHANDLER": "1"}
        log = (self.folder / f"{name}.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", module, "--ros-args", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        log.close()
        self._cleanup.callback(end, process)
        return process

    def said(self, name: str = "arm") -> str:
        """Return what a process printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    # Operator.

    def bring_up(self) -> None:
        """Configure and activate the arm node."""
        assert self.operator.wait_for_node("arm", LIMIT_S), self.said()
        assert self.operator.change_state("arm", "configure", LIMIT_S), self.said()
        assert self.operator.change_state("arm", "activate", LIMIT_S), self.said()
        # An error that the robot still reports may follow at once.
        self.wait_until(lambda: any(s.state == "idle" for s in self.states), "idle was seen")

    @property
    def state(self) -> str:
        """The newest state of the arm."""
        return self.states[-1].state if self.states else ""

    def wait_for(self, state: str) -> ArmState:
        """Wait until the arm is in a state."""
        self.wait_until(lambda: self.state == state, f"state {state}")
        return self.states[-1]

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait on the wall clock; fail with what the arm's process said."""
        deadline_s = time.monotonic() + LIMIT_S
        while not condition():
            cause = self.states[-1].cause if self.states else "no state received"
            assert time.monotonic() < deadline_s, (
                f"not within {LIMIT_S} s: {what}; the arm is {self.state!r}: {cause}; last "
                f"decision: {self.decisions[-1:]}\n"
                f"{''.join(self.said(log.stem)[-2000:] for log in self.folder.glob('*.log'))}"
            )
            time.sleep(0.001)

    def pass_time(self, duration_s: float) -> None:
        """Let robot time pass [s]."""
        until = self.robot.newest_cycle() + round(1000 * duration_s)
        self.wait_until(lambda: self.robot.newest_cycle() >= until, "the robot's clock")

    def arm(self) -> None:
        """Make the arm ready."""
        self.operator.arm()
        self.wait_for("ready")

    def run_policy(self, speed_m_s: float = 0.2) -> subprocess.Popen[bytes]:
        """Arm, start the scripted policy, and wait until it moves the arm fast."""
        policy = self.start_policy(speed_m_s=speed_m_s)
        self.arm()
        self.operator.start(TASK, 600.0)
        self.wait_until_fast(0.8 * speed_m_s)
        return policy

    def wait_until_fast(self, speed_m_s: float) -> None:
        """Wait until the hand moves at a speed and is not about to turn."""

        def is_fast() -> bool:
            speeds = self.speeds(self.robot.newest_cycle() - 60)
            inside = abs(self.states[-1].tcp_target.position.y) < 0.12
            return inside and len(speeds) > 20 and float(speeds[-20:].min()) > speed_m_s

        self.wait_until(is_fast, f"the hand at {speed_m_s} m/s")

    # Person.

    def person(self, dead_man: bool, velocity: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
        """Send one command of a person."""
        self._teleop_sequence += 1
        msg = TeleopCommand(source="test", sequence=self._teleop_sequence, dead_man=dead_man)
        msg.header.stamp = seconds_to_stamp(self.operator.time_s())
        msg.twist.linear.x, msg.twist.linear.y, msg.twist.linear.z = map(float, velocity)
        msg.gripper_width = float("nan")
        self._teleop.publish(msg)

    def person_holds(
        self, duration_s: float, velocity: Sequence[float] = (0.0, 0.0, 0.0), dead_man: bool = True
    ) -> None:
        """Send commands at 50 Hz of robot time."""
        until = self.robot.newest_cycle() + round(1000 * duration_s)
        while self.robot.newest_cycle() < until:
            self.person(dead_man, velocity)
            self.pass_time(0.02)

    # Oracle: what the robot was told, not what our node says.

    def trajectory(self, since_cycle: int) -> Trajectory:
        """Return the robot's set-points since a cycle."""
        return self.robot.trajectory(max(1, since_cycle))

    def hand_positions(self, since_cycle: int) -> Array:
        """Return the commanded TCP positions since a cycle [m], shape (n, 3)."""
        joints = self.trajectory(since_cycle).joint_positions
        return chain_frames(joints)[TCP_FRAME, :, :3, 3]

    def speeds(self, since_cycle: int) -> Array:
        """Return the commanded speed of the TCP in every cycle [m/s]."""
        return np.linalg.norm(np.diff(self.hand_positions(since_cycle), axis=0), axis=1) / 0.001

    # Inner workings.

    def _connect_operator(self) -> None:
        name = f"operator{time.time_ns()}"
        self.operator = self._cleanup.enter_context(
            Operator(domain_id=int(self.domain), use_sim_time=True, name=name)
        )
        self.node = self.operator.node
        self.states.clear()
        self.node.create_subscription(ArmState, "arm/state", self.states.append, LATCHED)
        self.node.create_subscription(Admission, "arm/admission", self.decisions.append, 50)
        self._teleop = self.node.create_publisher(
            TeleopCommand, "teleop/command", QoSProfile(depth=1)
        )

    def _write_config(self) -> Path:
        content = yaml.safe_load((ROOT / "launch" / "config" / "arm.yaml").read_text())
        content["twin"] = dict(self._bounds)
        merge(content, self._settings)
        file = self.folder / "arm.yaml"
        file.write_text(yaml.safe_dump(content))
        return file

    def _start_clock(self) -> None:
        context = Context()
        rclpy.init(context=context, domain_id=int(self.domain))
        self._cleanup.callback(context.try_shutdown)
        node = Node("clock", context=context)
        publisher = node.create_publisher(Clock, "/clock", QoSProfile(depth=1))
        stopping = threading.Event()

        def run() -> None:
            published = 0
            while not stopping.wait(CLOCK_PERIOD_S * self.slowdown / 2):
                cycle = self.robot.newest_cycle()
                if cycle >= published + round(1000 * CLOCK_PERIOD_S):
                    published = cycle
                    publisher.publish(Clock(clock=seconds_to_stamp(100.0 + 0.001 * cycle)))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._cleanup.callback(node.destroy_node)
        self._cleanup.callback(thread.join, 2.0)
        self._cleanup.callback(stopping.set)


def merge(content: dict[str, Any], changes: dict[str, Any]) -> None:
    """Write changes into nested dictionaries."""
    for key, value in changes.items():
        if isinstance(value, dict):
            merge(content.setdefault(key, {}), value)
        else:
            content[key] = value


def end(process: subprocess.Popen[Any]) -> None:
    """End a process, by force if it must be."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
