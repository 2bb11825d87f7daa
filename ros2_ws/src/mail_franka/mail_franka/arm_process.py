"""The arm's process: the nodes of arm and gripper share one connection to the robot."""

import threading

from rclpy.node import Node

from mail_franka.arm_node import ArmNode
from mail_franka.gripper_node import GripperNode
from mail_ros.running import ros_session, spin


def main() -> None:
    """Run both nodes until they are interrupted; then brake, release, leave."""
    with ros_session() as requested:
        arm = ArmNode()
        # Of its own, because a stop of the gripper waits for the hand, and chunks must not.
        gripper_thread = threading.Thread(
            target=_serve, args=(GripperNode(arm.gripper), requested), name="gripper", daemon=True
        )
        gripper_thread.start()
        try:
            _serve(arm, requested)
        finally:
            arm.close()
            gripper_thread.join(2.0)


def _serve(node: Node, requested: threading.Event) -> None:
    try:
        spin(node, requested.is_set)
    finally:
        # Neither node goes on without the other: half a process looks like a whole one.
        requested.set()


if __name__ == "__main__":
    main()
