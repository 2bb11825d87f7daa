"""Translates between ROS messages and what the monitor shows."""

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, PoseStamped
from mail_msgs.msg import ArmState as ArmStateMsg
from mail_msgs.msg import PolicyStatus as PolicyStatusMsg
from nav_msgs.msg import Path as PathMsg
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image as ImageMsg
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from mail_monitor.scene import TEXT, Label, Scene, Segments
from mail_monitor.seen import ArmSeen, PolicySeen
from mail_policy.core.frames import Array
from mail_policy_ros.conversions import image_from_msg
from mail_ros.conversions import stamp_to_seconds

BASE_FRAME = "base"
# How the supervisor names its line, see mail_bringup.diagnostics.
MAY_MOVE = "mail: motion: may move"


def arm_from_msg(msg: ArmStateMsg) -> ArmSeen:
    """Convert the arm's state. Raises ValueError if it is not finite."""
    position = msg.tcp_pose.position
    arm = ArmSeen(
        stamp_s=stamp_to_seconds(msg.header.stamp),
        state=msg.state,
        cause=msg.cause,
        task=msg.task,
        joint_positions=np.array(msg.joint_positions, np.float64),
        set_point=np.array(msg.set_point, np.float64),
        tcp_position_m=np.array([position.x, position.y, position.z]),
    )
    for name in ("joint_positions", "set_point", "tcp_position_m"):
        if not np.isfinite(getattr(arm, name)).all():
            raise ValueError(f"{name} of arm/state must be finite, got {getattr(arm, name)}")
    return arm


def policy_from_msg(msg: PolicyStatusMsg) -> PolicySeen:
    """Convert the policy's heartbeat."""
    return PolicySeen(
        task=msg.task,
        checkpoint=msg.checkpoint,
        waiting_for=msg.waiting_for,
        inference_p50_s=msg.inference_p50,
    )


def may_move_from_msg(msg: DiagnosticArray) -> str | None:
    """Return the supervisor's line on motion, None if the message is somebody else's."""
    return next((status.message for status in msg.status if status.name == MAY_MOVE), None)


def small_picture_from_raw(raw: bytes, largest_px: int) -> NDArray[np.uint8]:
    """Return an RGB picture with every nth pixel, so that no side is longer than asked for.

    Args:
        raw: A serialised sensor_msgs/Image.
        largest_px: Longest side of the result.

    Raises:
        ValueError: It does not hold an RGB picture.
    """
    try:
        msg = deserialize_message(raw, ImageMsg)
    except (RuntimeError, MemoryError, AssertionError, SystemError) as error:
        raise ValueError(f"malformed picture of {len(raw)} bytes") from error
    pixels = image_from_msg(msg)
    every = -(-max(msg.height, msg.width) // largest_px)
    return np.ascontiguousarray(pixels[::every, ::every])


def scene_to_msg(scene: Scene, stamp: Time) -> MarkerArray:
    """Convert a scene to markers in the base frame; groups that became empty are removed."""
    header = Header(stamp=stamp, frame_id=BASE_FRAME)
    return MarkerArray(
        markers=[
            *(_lines(group, header) for group in scene.segments),
            _text(scene.state, header),
            _text(scene.inputs, header),
        ]
    )


def _lines(group: Segments, header: Header) -> Marker:
    if len(group.ends_m) == 0:
        return Marker(header=header, ns=group.name, action=Marker.DELETE)
    marker = Marker(header=header, ns=group.name, type=Marker.LINE_LIST, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale.x = group.width_m
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in group.ends_m.reshape(-1, 3).tolist()]
    marker.colors = [
        ColorRGBA(r=r, g=g, b=b, a=1.0) for r, g, b in group.colours.reshape(-1, 3).tolist()
    ]
    return marker


def _text(label: Label, header: Header) -> Marker:
    marker = Marker(
        header=header,
        ns=label.name,
        type=Marker.TEXT_VIEW_FACING,
        action=Marker.ADD,
        text=label.text,
    )
    marker.pose.orientation.w = 1.0
    marker.pose.position = Point(**dict(zip("xyz", label.place_m, strict=True)))
    marker.scale.z = label.height_m
    marker.color = ColorRGBA(**dict(zip("rgb", TEXT, strict=True)), a=1.0)
    return marker


def path_to_msg(points_m: Array, stamp: Time) -> PathMsg:
    """Convert a path in the base frame [m], shape (n, 3)."""
    header = Header(stamp=stamp, frame_id=BASE_FRAME)
    path = PathMsg(header=header)
    for x, y, z in points_m.tolist():
        pose = PoseStamped(header=header)
        pose.pose.position = Point(x=x, y=y, z=z)
        pose.pose.orientation.w = 1.0
        path.poses.append(pose)
    return path
