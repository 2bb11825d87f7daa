"""Watches the arm as a display does, until somebody kills it."""

import rclpy
from mail_msgs.msg import ArmState
from rclpy.node import Node
from sensor_msgs.msg import JointState


def main() -> None:
    rclpy.init()
    node = Node("viewer")
    node.create_subscription(ArmState, "arm/state", lambda msg: print("watching", flush=True), 10)
    node.create_subscription(JointState, "joint_states", lambda msg: None, 10)
    rclpy.spin(node)


if __name__ == "__main__":
    main()
