"""Publishes as fast as it can to topics that the arm listens to.

Not to that of heartbeats: they would hide the policy's own, and the arm would stop, as it should.
"""

import time

import rclpy
from mail_msgs.msg import TeleopCommand
from rclpy.node import Node
from rclpy.qos import QoSProfile


def main() -> None:
    rclpy.init()
    node = Node("flood")
    publisher = node.create_publisher(TeleopCommand, "teleop/command", QoSProfile(depth=1))
    message = TeleopCommand(dead_man=True)
    print("flooding", flush=True)
    while rclpy.ok():
        started_s, sent = time.monotonic(), 0
        while time.monotonic() - started_s < 0.5:
            publisher.publish(message)
            sent += 1
        print(round(sent / (time.monotonic() - started_s)), flush=True)


if __name__ == "__main__":
    main()
