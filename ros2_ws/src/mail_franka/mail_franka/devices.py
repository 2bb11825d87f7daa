"""Which devices the arm node uses."""

from collections.abc import Callable

from mail_franka.arm_config import ArmConfig
from mail_franka.franky_driver import FrankyArm
from mail_franka.franky_gripper_driver import FrankyGripper
from mail_policy.core.devices import Arm, Gripper
from mail_policy.core.robot_limits import RobotType

DeviceFactory = Callable[[str, RobotType, ArmConfig, Callable[[], float]], tuple[Arm, Gripper]]


def franky_devices(
    address: str, robot_type: RobotType, config: ArmConfig, clock_s: Callable[[], float]
) -> tuple[Arm, Gripper]:
    """Return the arm and the hand at an address, not yet open.

    Args:
        address: IP address of the robot or of a twin.
        robot_type: Which arm it is.
        config: All settings of the arm node.
        clock_s: Stamps gripper readings [s].
    """
    arm = FrankyArm(address, robot_type, config.franky)
    return arm, FrankyGripper(address, config.franky.connect_timeout_s, clock_s)
