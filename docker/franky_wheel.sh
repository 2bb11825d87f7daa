#!/usr/bin/env bash
# Installs the franky wheel that speaks to a robot. Which server version a robot has is shown by
# `mailctl doctor` and by every refused connection.
#
#   franky_wheel.sh panda|fr3
set -euo pipefail

case ${1:-} in
  fr3) exit 0 ;; # server version 10: the wheel of PyPI, which is there already
  panda) server_version=5 wheel="franky-control==2.0.0+libfranka.0.9.2" ;;
  *)
    echo "franky_wheel.sh: ROBOT must be panda or fr3, got '${1:-}'" >&2
    exit 2
    ;;
esac
.venv/bin/python -m pip install --no-cache-dir --no-deps "$wheel" \
  --extra-index-url "https://timschneider42.github.io/franky/whl/by-robot-server-version/$server_version/"
