"""Translates between pictures and ROS messages. Nothing else in this package builds messages."""

import array

import numpy as np
import simplejpeg
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo as CameraInfoMsg
from sensor_msgs.msg import CompressedImage as CompressedImageMsg
from sensor_msgs.msg import Image as ImageMsg
from std_msgs.msg import Header

from mail_cameras.config import CameraConfig, CameraIntrinsics
from mail_cameras.report import CameraReport
from mail_policy.core.types import CameraFrame
from mail_ros.conversions import seconds_to_stamp

_JPEG_QUALITY = 90


def header(frame: CameraFrame, frame_id: str) -> Header:
    """Return the header of everything that belongs to a picture; the stamp is its capture."""
    return Header(stamp=seconds_to_stamp(frame.captured_at_s), frame_id=frame_id)


def image_to_msg(image: NDArray[np.uint8], header: Header) -> ImageMsg:
    """Convert an RGB picture."""
    return _image_msg(image, "rgb8", header)


def depth_to_msg(depth_mm: NDArray[np.uint16], header: Header) -> ImageMsg:
    """Convert depth [mm], as realsense-ros publishes it."""
    return _image_msg(depth_mm, "16UC1", header)


def _image_msg(pixels: NDArray[np.generic], encoding: str, header: Header) -> ImageMsg:
    height, width = pixels.shape[:2]
    # An array('B') is taken as it is; anything else is checked byte by byte, 69 ms per picture.
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))
    step = pixels.nbytes // height
    return ImageMsg(
        header=header, height=height, width=width, encoding=encoding, step=step, data=data
    )


def image_to_compressed_msg(image: NDArray[np.uint8], header: Header) -> CompressedImageMsg:
    """Compress an RGB picture, in the form that image_transport's "compressed" reads."""
    jpeg = simplejpeg.encode_jpeg(image, quality=_JPEG_QUALITY, colorspace="RGB")
    # The last word is what a decoder that thinks in BGR, like OpenCV's, finds in the JPEG.
    return CompressedImageMsg(
        header=header, format="rgb8; jpeg compressed bgr8", data=array.array("B", jpeg)
    )


def camera_info_to_msg(
    config: CameraConfig, intrinsics: CameraIntrinsics, header: Header
) -> CameraInfoMsg:
    """Describe the optics of the picture with the same header."""
    fx, fy = intrinsics.focal_x_px, intrinsics.focal_y_px
    cx, cy = intrinsics.centre_x_px, intrinsics.centre_y_px
    return CameraInfoMsg(
        header=header,
        height=config.image_height,
        width=config.image_width,
        distortion_model="plumb_bob",
        d=list(intrinsics.distortion),
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def report_to_msg(config: CameraConfig, report: CameraReport) -> DiagnosticStatus:
    """Convert the report on a camera."""
    return DiagnosticStatus(
        level=bytes([report.level]),
        name=f"camera {config.name}",
        hardware_id=config.serial or config.name,
        message=report.message,
        values=[KeyValue(key=key, value=value) for key, value in report.values.items()],
    )
