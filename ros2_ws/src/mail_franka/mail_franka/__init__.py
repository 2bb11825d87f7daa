"""Moves the Franka arm and its gripper: drivers, control loop, ROS 2 node."""
