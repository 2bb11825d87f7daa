#!/usr/bin/env bash
# Runs a command with ROS, our workspace and our Python packages in reach.
set -eo pipefail

for setup in /opt/ros/jazzy/setup.bash /opt/mail/ros2_ws/install/setup.bash; do
  # Not in the image for training.
  # shellcheck source=/dev/null
  if [[ -f $setup ]]; then source "$setup"; fi
done
export PATH="/opt/mail/.venv/bin:$PATH"
exec "$@"
