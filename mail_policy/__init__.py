"""MaIL on Franka Panda: everything that runs without ROS and without hardware."""

__version__ = "0.1.0"
