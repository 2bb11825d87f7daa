"""Translates between ROS messages and the arm's values. Nothing else may build messages."""

import math
from functools import cache
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from control_msgs.action import GripperCommand as GripperCommandAction
from geometry_msgs.msg import Point, Pose, Quaternion
from mail_msgs.action import Grasp as GraspAction
from mail_msgs.action import Homing as HomingAction
from mail_msgs.action import Move as MoveAction
from mail_msgs.msg import ActionChunk as ActionChunkMsg
from mail_msgs.msg import Admission as AdmissionMsg
from mail_msgs.msg import ArmState as ArmStateMsg
from mail_msgs.msg import GripperState as GripperStateMsg
from mail_msgs.msg import PolicyStatus as PolicyStatusMsg
from mail_msgs.msg import TeleopCommand as TeleopCommandMsg
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState as JointStateMsg

from mail_franka.control_loop import LoopTick
from mail_franka.gripper_values import (
    REACHED_M,
    ApproachGoal,
    GripperResult,
    GripperView,
    HandGoal,
    HomingGoal,
)
from mail_policy.core.devices import GraspGoal, MoveGoal
from mail_policy.core.frames import Array, quaternion_from_rotation
from mail_policy.core.kinematics import forward_kinematics
from mail_policy.core.motion.values import Decision
from mail_policy.core.robot_limits import RobotType
from mail_policy.core.types import NUM_JOINTS, ActionChunk, GripperReading, TeleopCommand
from mail_ros.conversions import seconds_to_stamp, stamp_to_seconds

# A chunk of 1024 numbers and its texts needs about 9 kB.
_LARGEST_MESSAGE = 16 * 1024
_PREFIXES = {RobotType.FER: "panda", RobotType.FR3: "fr3"}


@cache
def joint_names(robot_type: RobotType) -> list[str]:
    """Return the names of the seven joints and the two fingers."""
    prefix = _PREFIXES[robot_type]
    joints = [f"{prefix}_joint{i + 1}" for i in range(NUM_JOINTS)]
    return [*joints, f"{prefix}_finger_joint1", f"{prefix}_finger_joint2"]


def chunk_from_msg(msg: ActionChunkMsg) -> ActionChunk:
    """Convert a chunk. Raises ValueError if its numbers do not fill whole rows."""
    values = np.asarray(msg.values, dtype=np.float64)
    if msg.action_size == 0 or len(values) == 0 or len(values) % msg.action_size:
        raise ValueError(
            f"values must fill whole rows of action_size {msg.action_size}, got {len(values)}"
        )
    return ActionChunk(
        values=values.reshape(-1, msg.action_size),
        schema=msg.schema,
        observed_at_s=stamp_to_seconds(msg.observed_at),
        step_period_s=msg.step_period,
        lease_epoch=msg.lease_epoch,
        sequence=msg.sequence,
        task=msg.task,
        inference_s=msg.inference_duration,
    )


def decoded(raw: bytes, kind: Any) -> Any:
    """Decode a serialised message. Raises ValueError if it is malformed or far too large.

    rclpy would decode before it calls back, and a malformed message would end the executor.
    """
    if len(raw) > _LARGEST_MESSAGE:
        raise ValueError(f"{kind.__name__} of {len(raw)} bytes, limit is {_LARGEST_MESSAGE}")
    try:
        return deserialize_message(raw, kind)
    except (RuntimeError, ValueError, MemoryError, AssertionError, SystemError) as error:
        raise ValueError(f"malformed {kind.__name__} of {len(raw)} bytes") from error


def heartbeat_from_msg(msg: PolicyStatusMsg) -> tuple[int, float]:
    """Return the lease that a policy works under, and when it said so [s]."""
    return msg.lease_epoch, stamp_to_seconds(msg.header.stamp)


def teleop_from_msg(msg: TeleopCommandMsg) -> TeleopCommand:
    """Convert a person's command. Raises ValueError for an unknown kind."""
    if msg.kind not in (TeleopCommandMsg.TWIST, TeleopCommandMsg.JOINTS):
        raise ValueError(f"kind must be TWIST or JOINTS, got {msg.kind}")
    linear, angular = msg.twist.linear, msg.twist.angular
    twist = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
    is_twist = msg.kind == TeleopCommandMsg.TWIST
    return TeleopCommand(
        source=msg.source,
        sequence=msg.sequence,
        sent_at_s=stamp_to_seconds(msg.header.stamp),
        dead_man=msg.dead_man,
        twist=twist if is_twist else None,
        joint_positions=None if is_twist else np.asarray(msg.joint_positions, np.float64),
        gripper_width_m=None if np.isnan(msg.gripper_width) else msg.gripper_width,
    )


def joints_to_msg(
    tick: LoopTick, gripper: GripperView, robot_type: RobotType
) -> JointStateMsg | None:
    """Convert measured joints and fingers; None until both were read."""
    reading = tick.reading
    if reading is None or gripper.reading is None:
        return None
    finger_m = 0.5 * gripper.reading.width_m
    msg = JointStateMsg(
        name=joint_names(robot_type),
        position=[*reading.joint_positions.tolist(), finger_m, finger_m],
        velocity=[*reading.joint_velocities.tolist(), 0.0, 0.0],
    )
    msg.header.stamp = seconds_to_stamp(tick.observation_time_s)
    return msg


def state_to_msg(tick: LoopTick, robot_type: RobotType) -> ArmStateMsg:
    """Convert the state of arm and motion core."""
    outputs, reading = tick.outputs, tick.reading
    msg = ArmStateMsg(
        state=outputs.state.value,
        cause=outputs.cause[:256],
        may_move=outputs.may_move,
        lease_holder=outputs.lease_holder,
        lease_epoch=outputs.lease_epoch,
        task=outputs.task,
        robot_type=robot_type.value,
        accepted_chunks=outputs.accepted_chunks,
        rejected_chunks=outputs.rejected_chunks,
    )
    msg.header.stamp = seconds_to_stamp(tick.observation_time_s)
    msg.header.frame_id = f"{_PREFIXES[robot_type]}_link0"
    if reading is None:
        return msg
    target = outputs.set_point.positions if outputs.set_point else reading.joint_positions
    msg.robot_mode = reading.mode
    msg.errors = ",".join(reading.errors)[:512]
    msg.robot_time = reading.robot_time_s
    msg.joint_positions = reading.joint_positions
    msg.joint_velocities = reading.joint_velocities
    msg.set_point = target
    msg.external_torques = reading.external_torques
    msg.tcp_pose = pose_to_msg(reading.transform_tcp_to_base)
    msg.tcp_target = pose_to_msg(forward_kinematics(target))
    msg.control_success_rate = reading.success_rate
    return msg


def pose_to_msg(transform: Array) -> Pose:
    """Convert a (4, 4) transform to a pose."""
    x, y, z = transform[:3, 3].tolist()
    qx, qy, qz, qw = quaternion_from_rotation(transform[:3, :3]).tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def decision_to_msg(decision: Decision, stamp: Time) -> AdmissionMsg:
    """Convert what was decided about a chunk."""
    msg = AdmissionMsg(
        lease_epoch=decision.lease_epoch,
        sequence=decision.sequence,
        accepted=decision.accepted,
        rule=decision.rule[:64],
        detail=decision.detail[:256],
        observation_age=decision.observation_age_s,
        camera_to_command=decision.camera_to_command_s,
        skipped_steps=decision.skipped_steps,
        disagreement=decision.disagreement_rad,
        join_jump=decision.join_jump_rad,
    )
    msg.header.stamp = stamp
    return msg


def gripper_to_msg(view: GripperView, reading: GripperReading) -> GripperStateMsg:
    """Convert what is known of the gripper and its newest reading."""
    msg = GripperStateMsg(
        width=reading.width_m,
        max_width=reading.max_width_m,
        target_width=view.target_width_m,
        is_grasped=reading.is_grasped,
        grasp_lost=view.grasp_lost,
        is_moving=view.is_moving,
        fault=view.fault[:256],
    )
    msg.header.stamp = seconds_to_stamp(reading.read_at_s)
    return msg


def hand_goal_from_msg(goal: object) -> HandGoal:
    """Convert the goal of an action. Raises ValueError if no hand can do that.

    The position of a GripperCommand is that of one finger, as in franka_ros2 and MoveIt: half of
    the width.
    """
    match goal:
        case MoveAction.Goal():
            return MoveGoal(width_m=goal.width, speed_m_s=goal.speed)
        case GraspAction.Goal():
            return GraspGoal(
                width_m=goal.width,
                speed_m_s=goal.speed,
                force_n=goal.force,
                epsilon_inner_m=goal.epsilon.inner,
                epsilon_outer_m=goal.epsilon.outer,
            )
        case GripperCommandAction.Goal():
            command = goal.command
            return ApproachGoal(width_m=2.0 * command.position, force_n=command.max_effort)
        case HomingAction.Goal():
            return HomingGoal()
    raise ValueError(f"not a goal of the gripper: {goal}")


def hand_feedback_to_msg(action: Any, width_m: float) -> Any:
    """Convert the current width [m] to the feedback of an action."""
    if action is GripperCommandAction:
        return action.Feedback(position=0.5 * width_m)
    return action.Feedback(current_width=width_m)


def hand_result_to_msg(action: Any, goal: HandGoal, result: GripperResult) -> Any:
    """Convert how a command ended to the result of an action."""
    if not isinstance(goal, ApproachGoal):
        return action.Result(success=result.success, error=result.message)
    if result.reading is None:
        return action.Result(position=math.nan)
    has_reached = abs(result.reading.width_m - goal.width_m) <= REACHED_M
    return action.Result(
        position=0.5 * result.reading.width_m,
        stalled=result.reading.is_grasped and not has_reached,
        reached_goal=has_reached,
    )
