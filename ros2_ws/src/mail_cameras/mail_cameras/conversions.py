"""Translates between pictures and ROS messages. Nothing else in this package builds messages."""

import array
from dataclasses import asdict

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from sensor_msgs.msg import CameraInfo as CameraInfoMsg
from sensor_msgs.msg import Image as ImageMsg

from mail_cameras.config import CameraConfig, CameraIntrinsics
from mail_cameras.health import CameraCounts
from mail_policy.core.types import CameraFrame


def seconds_to_stamp(seconds: float) -> Time:
    """Convert seconds to a ROS time stamp."""
    nanoseconds = round(seconds * 1e9)
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def image_to_msg(frame: CameraFrame, frame_id: str) -> ImageMsg:
    """Convert a picture; the stamp is that of its capture."""
    height, width, _ = frame.image.shape
    # An array('B') is taken as it is; anything else is checked byte by byte, 69 ms per picture.
    pixels = array.array("B")
    pixels.frombytes(frame.image.tobytes())
    msg = ImageMsg(height=height, width=width, encoding="rgb8", step=3 * width, data=pixels)
    msg.header.stamp = seconds_to_stamp(frame.captured_at_s)
    msg.header.frame_id = frame_id
    return msg


def camera_info_to_msg(config: CameraConfig, intrinsics: CameraIntrinsics) -> CameraInfoMsg:
    """Describe the optics; the stamp is that of the picture it goes with, set by the caller."""
    fx, fy = intrinsics.focal_x_px, intrinsics.focal_y_px
    cx, cy = intrinsics.centre_x_px, intrinsics.centre_y_px
    msg = CameraInfoMsg(
        height=config.image_height,
        width=config.image_width,
        distortion_model="plumb_bob",
        d=list(intrinsics.distortion),
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )
    msg.header.frame_id = config.frame_id
    return msg


def health_to_msg(
    name: str, counts: CameraCounts, silent_for_s: float, problem: str
) -> DiagnosticStatus:
    """Describe the health of a camera.

    Args:
        name: The camera.
        counts: What happened to its pictures.
        silent_for_s: Time since its last picture [s].
        problem: Why it delivers nothing, "" while it does.
    """
    level = DiagnosticStatus.ERROR if problem else DiagnosticStatus.OK
    values = [KeyValue(key=key, value=str(value)) for key, value in asdict(counts).items()]
    values.append(KeyValue(key="silent_for_s", value=f"{silent_for_s:.3f}"))
    return DiagnosticStatus(
        level=level,
        name=f"camera {name}",
        hardware_id=name,
        message=problem or "delivers pictures",
        values=values,
    )
