"""Starts the monitor stack. Arguments: ros2 launch mail_bringup monitor.launch.py --show-args."""

from launch import LaunchDescription
from mail_bringup.launch_adapter import launch_description


def generate_launch_description() -> LaunchDescription:
    return launch_description("monitor")
