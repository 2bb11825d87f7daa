"""Starts the calibrate stack; `--show-args` lists its arguments."""

from launch import LaunchDescription
from mail_bringup.launch_adapter import launch_description


def generate_launch_description() -> LaunchDescription:
    return launch_description("calibrate")
