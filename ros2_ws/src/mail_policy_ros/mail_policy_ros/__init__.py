"""ROS 2 shell around the policy of `mail_policy.inference`."""
