"""Checks before any process starts: what is missing is said at once, with the remedy.

Each check returns problems as sentences; none means that all is well.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from mail_bringup.claims import FCI_PORT, address_is_free
from mail_bringup.places import find_executable
from mail_bringup.processes import Process, arm_file, camera_names, cameras_file, teleop_file
from mail_bringup.stack_arguments import joins
from mail_cameras.config import CamerasConfig
from mail_franka.arm_config import is_loopback
from mail_policy.core.config import ConfigError, load_config
from mail_teleop.config import TeleopConfig

CONNECT_LIMIT_S = 1.0
EXIT_CODE = 2


class PreflightError(RuntimeError):
    """Something is missing or contradicts; nothing was started.

    Attributes:
        problems: One sentence each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def check_all(arguments: Mapping[str, str], processes: Sequence[Process]) -> None:
    """Check everything that a stack needs. Raises PreflightError."""
    problems = check_built(processes)
    if "cameras_file" in arguments:
        problems += check_files(arguments)
    if "checkpoint" in arguments:
        # Imported here: the other stacks need nothing of the policy.
        from mail_bringup.checkpoint_check import check_checkpoint

        problems += check_checkpoint(
            arguments["checkpoint"], arguments["task"], camera_names(cameras_file(arguments))
        )
    names = {process.name for process in processes}
    if "teleop" in names:
        problems += check_teleop(arguments)
    if "recorder" in names:
        problems += check_writable(Path(arguments["episodes_dir"]))
    if joins(arguments):
        pass  # The stack that it looks at has been checked.
    elif arguments["robot"] == "sim":
        problems += check_rendering() + check_address_free(arguments["robot_ip"])
    elif is_loopback(arguments["robot_ip"]):
        problems += check_robot_reachable(arguments["robot_ip"])
    else:
        # Imported here: it uses checks of this file, and a twin does not need it.
        from mail_bringup.doctor.gate import doctor_refusals

        problems += doctor_refusals(arguments)
    if problems:
        raise PreflightError(problems)


def check_built(processes: Sequence[Process]) -> list[str]:
    """All executables are there."""
    for process in processes:
        try:
            find_executable(process.package, process.executable)
        except FileNotFoundError as error:
            return [str(error)]
    return []


def check_files(arguments: Mapping[str, str]) -> list[str]:
    """The configuration files can be read."""
    problems = []
    try:
        load_config(CamerasConfig, cameras_file(arguments))
    except ConfigError as error:
        problems.append(f"{error}; correct it, or give another file: cameras_file:=PATH")
    if not arm_file(arguments).is_file():
        problems.append(f"{arm_file(arguments)} does not exist; give another: arm_file:=PATH")
    return problems


def check_teleop(arguments: Mapping[str, str]) -> list[str]:
    """The settings of the person's device can be read, and its terminal is there."""
    try:
        config = load_config(TeleopConfig, teleop_file(arguments))
    except ConfigError as error:
        return [f"{error}; correct it, or give another file: teleop_file:=PATH"]
    if (config.has_own_terminal or config.needs_terminal) and arguments["terminal"] == "auto":
        return [
            f"device:={arguments['device']} reads keys, and this is no terminal; start from one, "
            "name one (terminal:=PATH, as `tty` prints it), or leave it out: device:=none"
        ]
    return []


def check_writable(folder: Path) -> list[str]:
    """A folder can be made and written."""
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
    )
    if existing.is_dir() and os.access(existing, os.W_OK):
        return []
    return [f"cannot write below {existing}; give another folder: episodes_dir:=PATH"]


def check_rendering() -> list[str]:
    """Pictures can be rendered without a screen."""
    # Imported here: a real robot needs nothing of the twin.
    from mail_sim.world.graphics import GraphicsError, require_graphics

    try:
        require_graphics()
    except GraphicsError as error:
        return [f"the twin {error}"]
    return []


def check_address_free(address: str) -> list[str]:
    """The twin can serve the robot's ports."""
    if address_is_free(address):
        return []
    return [
        f"port {FCI_PORT} at {address} is in use, probably by another twin; leave robot_ip out to "
        f"get a free address, or stop the other one"
    ]


def check_robot_reachable(address: str) -> list[str]:
    """The arm's control unit accepts connections."""
    try:
        with socket.create_connection((address, FCI_PORT), timeout=CONNECT_LIMIT_S):
            return []
    except OSError as error:
        reason = str(error) or type(error).__name__
    return [
        f"no robot answers at {address}:{FCI_PORT} ({reason}); check cable and address, unlock the "
        f"joints and activate FCI in Desk"
    ]
