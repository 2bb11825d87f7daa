"""The process of the robot: `python -m tests.fci.server ADDRESS CONTROL_SOCKET`."""

import argparse
import logging
import signal
import time
from pathlib import Path

from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from mail_policy.core.robot_limits import RobotType
from tests.fci.control_box import ControlBox
from tests.fci.control_channel import ControlChannel, PeerGoneError
from tests.fci.faults import RobotFaults
from tests.fci.gripper import FaultyGripperServer
from tests.fci.kinematic_arm import KinematicArm
from tests.fci.motion_limits import STEP_S
from tests.fci.robot_server import FaultyRobotServer

# Lateness that is caught up by running faster than real time [s]; more is forgotten.
_CATCH_UP_S = 0.02
_FROZEN_POLL_S = 0.01


class FaultyFciServer:
    """Arm, hand and the test's channel in one loop at 1 kHz, or slower with a slow client.

    Args:
        robot: The arm.
        gripper: The hand.
        slowdown: How much longer than 1 ms of wall time a cycle takes.
    """

    def __init__(
        self, robot: FaultyRobotServer, gripper: FaultyGripperServer, slowdown: float = 1.0
    ) -> None:
        self.robot = robot
        self.gripper = gripper
        self._period_s = slowdown * STEP_S
        self._frozen_until_s = 0.0

    def freeze(self, duration_s: float) -> None:
        """Stand still for some wall time [s]."""
        self._frozen_until_s = time.perf_counter() + duration_s

    def serve(self, channel: ControlChannel) -> None:
        """Run until the test has gone."""
        next_cycle_s = time.perf_counter()
        while True:
            channel.serve(self)
            now_s = time.perf_counter()
            if now_s < self._frozen_until_s:
                channel.wait(min(self._frozen_until_s - now_s, _FROZEN_POLL_S))
                next_cycle_s = time.perf_counter()
                continue
            self.robot.run_cycle()
            self.gripper.run_cycle()
            next_cycle_s = max(next_cycle_s + self._period_s, time.perf_counter() - _CATCH_UP_S)
            left_s = next_cycle_s - time.perf_counter()
            if left_s > 0.0:
                time.sleep(left_s)


def main() -> None:
    """Serve until the control connection ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="loopback address to bind, ports 1337 and 1338")
    parser.add_argument("control_socket", type=Path, help="Unix socket to create")
    parser.add_argument("--robot-type", type=RobotType, default=RobotType.FR3)
    parser.add_argument("--patience-s", type=float, default=0.2)
    parser.add_argument("--slowdown", type=float, default=1.0)
    parser.add_argument(
        "--joint-positions", type=float, nargs=7, default=HOME_JOINT_POSITIONS.tolist()
    )
    options = parser.parse_args()
    # The parent coordinates the end; Ctrl-C in a terminal reaches all processes at once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("franky_sim").setLevel(logging.CRITICAL)
    faults = RobotFaults()
    box = ControlBox(KinematicArm(options.robot_type, options.joint_positions), faults)
    robot = FaultyRobotServer(options.address, box, faults, options.patience_s)
    gripper = FaultyGripperServer(options.address)
    robot.init()
    gripper.init()
    try:
        FaultyFciServer(robot, gripper, options.slowdown).serve(
            ControlChannel(options.control_socket)
        )
    except PeerGoneError:
        return
    finally:
        robot.cleanup()
        gripper.cleanup()


if __name__ == "__main__":
    main()
