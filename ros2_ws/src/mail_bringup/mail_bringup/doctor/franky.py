"""Does the installed franky speak the robot's protocol, and does the robot answer it?"""

from collections.abc import Callable
from dataclasses import dataclass

from mail_bringup.doctor.finding import Finding, failure, ok, warning
from mail_bringup.doctor.request import Request
from mail_franka.arm_config import ArmConfig
from mail_franka.franky_wheels import Version, describe_wheels, installed_libfranka, wheels_of
from mail_franka.robot_claim import RobotClaim
from mail_policy.core.config import ConfigError, load_config
from mail_policy.core.devices import Arm, ArmError
from mail_policy.core.robot_limits import RobotType
from mail_policy.core.types import ArmReading

OpenArm = Callable[[Request, RobotType, ArmConfig], Arm]


@dataclass(frozen=True, kw_only=True, slots=True)
class WheelFacts:
    """What is installed.

    Attributes:
        libfranka: Version inside the franky wheel; None if there is no wheel.
        problem: Why it could not be told, "" if it could.
    """

    libfranka: Version | None
    problem: str = ""


def gather_wheel() -> WheelFacts:
    """Look at the installed wheel."""
    try:
        return WheelFacts(libfranka=installed_libfranka())
    except ValueError as error:
        return WheelFacts(libfranka=None, problem=str(error))


def judge_wheel(facts: WheelFacts, robot_type: RobotType) -> Finding:
    """Judge the wheel by the table; the driver would be refused by the robot at the first word."""
    wheels = wheels_of(robot_type)
    wanted = f"a wheel for this robot ({describe_wheels(wheels)})"
    remedy = (
        "see the version of the system in Desk, then install the wheel of that row: "
        "https://github.com/TimSchneider42/franky#installation"
    )
    if facts.libfranka is None:
        return failure("franky", facts.problem or "franky is not installed", wanted, remedy)
    version = ".".join(map(str, facts.libfranka))
    fitting = [wheel for wheel in wheels if wheel.fits(facts.libfranka)]
    if not fitting:
        return failure("franky", f"a wheel with libfranka {version}", wanted, remedy)
    return ok(
        "franky",
        f"libfranka {version}, for {fitting[0].system} (server {fitting[0].server})",
    )


def open_arm(request: Request, robot_type: RobotType, config: ArmConfig) -> Arm:
    """Return the robot as the arm node would open it, not yet open."""
    # Imported here: franky may be missing, which is a finding of its own.
    from mail_franka.franky_driver import FrankyArm

    return FrankyArm(request.robot_ip, robot_type, config.franky)


def check_connection(
    request: Request, robot_type: RobotType, open_arm: OpenArm = open_arm
) -> list[Finding]:
    """Connect as the arm node does, without taking control: nothing moves.

    The driver sets every limit in the client, reads it back, and compares tool and load with the
    configuration. It also sets the robot's collision thresholds, as every start of a stack does.
    """
    if not request.connect:
        return []
    name, wanted = "connection", "a robot that takes our limits, with the configured tool and load"
    if not request.robot_ip:
        return [failure(name, "no robot was named", wanted, "add --robot-ip 172.16.0.2")]
    try:
        config = load_config(ArmConfig, request.arm_file).for_address(request.robot_ip)
        with RobotClaim(request.robot_ip), open_arm(request, robot_type, config) as arm:
            return judge_reading(arm.read())
    except (ArmError, ConfigError, ValueError, ImportError) as error:
        found, _, remedy = str(error).partition("; ")
        return [failure(name, found, wanted, remedy or "correct it, then run this again")]


def judge_reading(reading: ArmReading) -> list[Finding]:
    """Judge a robot that has taken its limits."""
    wanted = "an idle robot without errors"
    if reading.errors:
        found = f"the robot reports {', '.join(reading.errors)}"
        return [warning("connection", found, wanted, "clear the cause, then: mailctl recover")]
    if reading.mode != "idle":
        found, remedy = f"the robot is in mode {reading.mode}", "release the user stop"
        return [warning("connection", found, wanted, remedy)]
    return [ok("connection", "limits set and read back, tool and load as configured, idle")]
