"""ROS 2 shell around the teleoperation devices."""
