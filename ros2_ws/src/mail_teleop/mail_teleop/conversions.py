"""Translates between a person's commands and ROS messages. Nothing else here builds messages."""

import math

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from geometry_msgs.msg import Twist, Vector3
from mail_msgs.msg import ArmState
from mail_msgs.msg import TeleopCommand as TeleopCommandMsg
from mail_msgs.srv import EndEpisode, SetTask
from std_srvs.srv import Trigger

from mail_policy.core.frames import Array, rotation_from_quaternion
from mail_policy.core.types import NUM_JOINTS, TeleopCommand
from mail_ros.conversions import seconds_to_stamp
from mail_teleop.operator_requests import OperatorRequest
from mail_teleop.readings import OperatorKey
from mail_teleop.station import StationStatus

_OUTCOMES = {
    OperatorKey.SUCCESS: EndEpisode.Request.SUCCESS,
    OperatorKey.FAILURE: EndEpisode.Request.FAILURE,
}


def command_to_msg(command: TeleopCommand) -> TeleopCommandMsg:
    """Convert a command; the stamp is when the person moved the device."""
    width_m = command.gripper_width_m
    msg = TeleopCommandMsg(
        source=command.source,
        sequence=command.sequence,
        dead_man=command.dead_man,
        kind=TeleopCommandMsg.JOINTS if command.twist is None else TeleopCommandMsg.TWIST,
        joint_positions=[0.0] * NUM_JOINTS,
        gripper_width=math.nan if width_m is None else width_m,
    )
    msg.header.stamp = seconds_to_stamp(command.sent_at_s)
    if command.joint_positions is not None:
        msg.joint_positions = command.joint_positions
    if command.twist is not None:
        vx, vy, vz, wx, wy, wz = command.twist.tolist()
        msg.twist = Twist(linear=Vector3(x=vx, y=vy, z=vz), angular=Vector3(x=wx, y=wy, z=wz))
    return msg


def tool_rotation_from_msg(msg: ArmState) -> Array | None:
    """Return how the tool is turned in the base frame, shape (3, 3); None while it is not known."""
    if not msg.robot_mode:
        return None
    q = msg.tcp_pose.orientation
    return rotation_from_quaternion(np.array([q.x, q.y, q.z, q.w]))


def requests_of(key: OperatorKey, task: str) -> list[OperatorRequest]:
    """Return what a key asks of others, in order.

    Args:
        key: What was pressed.
        task: Sentence under which an episode is recorded.
    """
    match key:
        case OperatorKey.START:
            return [OperatorRequest("recorder/start", SetTask, SetTask.Request(task=task))]
        case OperatorKey.SAVE | OperatorKey.SUCCESS | OperatorKey.FAILURE:
            return [_end_episode(key)]
        case OperatorKey.DISCARD:
            return [_trigger("recorder/discard")]
        case OperatorKey.RERECORD:
            return [_trigger("recorder/rerecord")]
        case OperatorKey.RESUME:
            return [_trigger("arm/resume")]
        case OperatorKey.STOP:
            return [_trigger("arm/stop"), _end_episode(key)]
        case OperatorKey.ESTOP:
            return [_trigger("estop/trigger")]
        case _:
            return []


def _trigger(service: str) -> OperatorRequest:
    return OperatorRequest(service, Trigger, Trigger.Request())


def _end_episode(key: OperatorKey) -> OperatorRequest:
    outcome = _OUTCOMES.get(key, EndEpisode.Request.UNKNOWN)
    return OperatorRequest("recorder/end", EndEpisode, EndEpisode.Request(outcome=outcome))


def status_to_msg(device: str, status: StationStatus) -> DiagnosticStatus:
    """Describe how a device does."""
    switch = "held" if status.is_held else "open"
    level = DiagnosticStatus.WARN if status.problem else DiagnosticStatus.OK
    values = {
        "switch": switch,
        "speed_share": f"{status.speed_share:.2f}",
        "glitches": str(status.glitches),
        "silent_for_s": f"{status.silent_for_s:.3f}",
    }
    return DiagnosticStatus(
        level=DiagnosticStatus.ERROR if status.is_lost else level,
        name=f"teleop {device}",
        hardware_id=device,
        message=status.problem or f"the dead-man switch is {switch}",
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
