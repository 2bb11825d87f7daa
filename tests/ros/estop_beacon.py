"""An emergency stop's heartbeat, as a process that tests can kill."""

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Bool


def main() -> None:
    rclpy.init()
    node = Node("estop_beacon")
    publisher = node.create_publisher(Bool, "estop/heartbeat", QoSProfile(depth=1))
    node.create_timer(0.03, lambda: publisher.publish(Bool(data=True)))
    rclpy.spin(node)


if __name__ == "__main__":
    main()
