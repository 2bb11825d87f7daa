#!/usr/bin/env bash
# Creates the virtual environment.
#
#   create_environment.sh <python> <venv>
#
# On a ROS machine it sees the system's packages, because apt's rclpy lives there.
set -euo pipefail

python=$1 venv=$2
if [[ -x "$venv/bin/python" ]]; then exit 0; fi
if ! command -v "$python" >/dev/null; then
  echo "setup: no '$python' found; install Python 3.11 or newer, or run make PYTHON=/path/to/python" >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "setup: Python 3.11 or newer is needed, got $("$python" --version); run make PYTHON=python3.11" >&2
  exit 1
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
  echo "setup: $python cannot make virtual environments; run: sudo apt-get install python3-venv" >&2
  exit 1
fi
options=()
if [[ -n "${ROS_DISTRO:-}" ]]; then options=(--system-site-packages); fi
"$python" -m venv "${options[@]}" "$venv"
