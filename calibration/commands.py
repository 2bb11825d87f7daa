"""`mailctl calibrate`: the board, cameras, and how late devices are.

The table below is static, and a module is imported only when its sub-command is used, so that
those which work on files need neither ROS nor a robot.
"""

import importlib
import sys
from collections.abc import Sequence

from calibration.results import CalibrationError

# Sub-command: (where its function is, what it does). Functions get the remaining words and return
# an exit code, or None for success.
COMMANDS: dict[str, tuple[str, str]] = {
    "board": ("calibration.view_commands:board", "write a board to print in true size"),
    "intrinsics": ("calibration.view_commands:intrinsics", "compute a lens from a folder of views"),
    "hand-eye": ("calibration.view_commands:hand_eye", "compute where a camera is from views"),
    "collect": ("mail_bringup.calibration_commands:collect", "take views on a running stack"),
    "latency": ("mail_bringup.calibration_commands:latency", "measure how late a device is"),
    "check": ("calibration.view_commands:check", "say whether a camera was moved since"),
}
_FAILED, _USAGE = 1, 2


def main(argv: Sequence[str]) -> int:
    """Run the sub-command that the first word names; return its exit code."""
    if not argv or argv[0] in ("-h", "--help") or argv[0] not in COMMANDS:
        width = max(map(len, COMMANDS))
        lines = [f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items()]
        said = "\n".join(["usage: mailctl calibrate COMMAND ...", "", *lines, ""])
        is_asked = bool(argv) and argv[0] in ("-h", "--help")
        (sys.stdout if is_asked else sys.stderr).write(said)
        return 0 if is_asked else _USAGE
    module_name, _, function_name = COMMANDS[argv[0]][0].partition(":")
    try:
        run = getattr(importlib.import_module(module_name), function_name)
    except ModuleNotFoundError as error:
        sys.stderr.write(f"mailctl calibrate {argv[0]}: {error}; run make setup and make build\n")
        return _USAGE
    try:
        return int(run(list(argv[1:])) or 0)
    except CalibrationError as error:
        sys.stderr.write(f"mailctl calibrate: {error}\n")
        return _FAILED
