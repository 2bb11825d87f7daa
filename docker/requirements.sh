#!/usr/bin/env bash
# Installs the packages that some extras of pyproject.toml name, without the project itself, so
# that a change of our code does not download them again.
#
#   requirements.sh <extra>[,<extra>...] [arguments for pip...]
set -euo pipefail

extras=$1
shift
.venv/bin/python - "$extras" >/tmp/requirements.txt <<'PYTHON'
import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
print(*project["dependencies"], sep="\n")
for name in sys.argv[1].split(","):
    print(*extras[name], sep="\n")
PYTHON
.venv/bin/python -m pip install -c requirements.lock -r /tmp/requirements.txt "$@"
rm /tmp/requirements.txt
