"""Cameras of the robot and of the twin, as ROS 2 topics."""
