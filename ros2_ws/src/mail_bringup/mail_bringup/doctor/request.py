"""What the doctor is asked about."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mail_bringup.processes import arm_file, calibration_dir, cameras_file
from mail_franka.arm_config import is_loopback

SIM = "sim"
REAL_ROBOTS = ("panda", "fr3")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A robot and what shall be used with it.

    Attributes:
        robot: `sim`, `panda` or `fr3`.
        robot_ip: Address of the arm, "" if unknown.
        cameras_file: YAML of the cameras.
        arm_file: YAML of the arm.
        calibration_dir: Where calibration results of this robot are.
        checkpoint: Name or folder.
        task: What the policy shall do, in words.
        episodes_dir: Where recordings go.
        connect: Talk to the robot; it does not move.
        pings: How many are sent to the robot.
    """

    robot: str
    robot_ip: str
    cameras_file: Path
    arm_file: Path
    calibration_dir: Path
    checkpoint: str
    task: str
    episodes_dir: Path
    connect: bool = False
    pings: int = 1000

    @property
    def link_is_known(self) -> bool:
        """Whether there is an address of a robot outside this machine."""
        return bool(self.robot_ip) and not is_loopback(self.robot_ip)


def request_from(arguments: Mapping[str, str], *, connect: bool, pings: int) -> Request:
    """Return the request that the arguments of a stack mean.

    Args:
        arguments: Of a stack, see `stack_arguments`; what a stack lacks stays empty.
        connect: Talk to the robot.
        pings: How many are sent to the robot.
    """
    return Request(
        robot=arguments["robot"],
        robot_ip=arguments["robot_ip"],
        cameras_file=cameras_file(arguments),
        arm_file=arm_file(arguments),
        calibration_dir=calibration_dir(arguments),
        checkpoint=arguments.get("checkpoint", ""),
        task=arguments.get("task", ""),
        episodes_dir=Path(arguments.get("episodes_dir", "runs/episodes")),
        connect=connect,
        pings=pings,
    )
