"""The arm's process: the nodes of arm and gripper share one connection to the robot."""

import signal
import threading

import rclpy
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from mail_franka.arm_node import ArmNode
from mail_franka.gripper_node import GripperNode
from mail_policy.core.interruption import heed_stop_signals


def main() -> None:
    """Run both nodes until they are interrupted; then brake, release, leave."""
    requested = heed_stop_signals(signal.SIGINT, signal.SIGTERM)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    arm = ArmNode()
    # Of its own, because a stop of the gripper waits for the hand, and chunks must not.
    gripper_thread = threading.Thread(
        target=_spin, args=(GripperNode(arm.gripper), requested), name="gripper node", daemon=True
    )
    gripper_thread.start()
    try:
        _spin(arm, requested)
    finally:
        arm.close()
        gripper_thread.join(2.0)
        rclpy.try_shutdown()


def _spin(node: Node, requested: threading.Event) -> None:
    executor = EventsExecutor()
    executor.add_node(node)
    # EventsExecutor.spin() does not return on shutdown; short turns do.
    try:
        while rclpy.ok() and not requested.is_set():
            executor.spin_once(timeout_sec=0.05)
    finally:
        # Neither node goes on without the other: half a process looks like a whole one.
        requested.set()


if __name__ == "__main__":
    main()
