"""What calibration says to a running stack and hears from it, beside the operator's services."""

from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from mail_msgs.action import Move
from mail_msgs.msg import ActionChunk as ActionChunkMsg
from mail_msgs.msg import GripperState, PolicyStatus
from rclpy.action import ActionClient
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, JointState

from mail_bringup.calibration_motion import TASK, ChunkWriter
from mail_bringup.calibration_records import Album, Picture, Track
from mail_policy.core.frames import Array
from mail_policy.core.types import NUM_JOINTS
from mail_policy_ros.conversions import (
    chunk_to_msg,
    image_from_msg,
    joints_from_msg,
    status_to_msg,
)
from mail_ros.conversions import seconds_to_stamp, stamp_to_seconds

_BEAT_PERIOD_S = 0.05
_BEATS_PER_CHUNK = 2
_BEATS_BEFORE_CHUNKS = 20
# The arm node must know where the arm was commanded to be at the stamp of a chunk.
_SEEN_BEFORE_S = 0.05
_COMMAND = QoSProfile(depth=1)


class CalibrationLink:
    """Adds calibration's topics to an operator's node. It moves the arm as a policy does.

    Topics in: `joint_states`, `gripper/state`, `/diagnostics`, `camera/<name>/color/image_raw` and
    `.../camera_info`. Topics out: `policy/action_chunk`, `policy/status`. Action: `gripper/move`.

    Attributes:
        joints: Measured positions [rad].
        width: Measured width of the hand [m].
        album: Pictures of the camera.
        camera_matrix: Of the camera [px], shape (3, 3); None until it was heard.
        distortion: Of the camera, shape (5,).
        serial: Of the camera; None until it was heard, "" if it has none.
        writer: Cuts the ways of the arm; None while calibration holds no lease.

    Args:
        node: The operator's node.
        now: Its clock [s].
        camera: Which camera, None for none.
    """

    def __init__(self, node: Any, now: Callable[[], float], camera: str | None) -> None:
        self._node, self._now, self._camera = node, now, camera
        self.joints, self.width, self.album = Track(NUM_JOINTS), Track(1), Album()
        self.camera_matrix: Array | None = None
        self.distortion: Array = np.zeros(5)
        self.serial: str | None = None
        self.writer: ChunkWriter | None = None
        self._beats = 0
        self._chunks: Any = None
        self._hand = ActionClient(node, Move, "gripper/move")
        listen = node.create_subscription
        listen(JointState, "joint_states", self._on_joints, 100)
        listen(GripperState, "gripper/state", self._on_width, 100)
        if camera is not None:
            color = f"camera/{camera}/color"
            listen(Image, f"{color}/image_raw", self._on_image, qos_profile_sensor_data)
            listen(CameraInfo, f"{color}/camera_info", self._on_info, qos_profile_sensor_data)
            listen(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def offer_chunks(self) -> bool:
        """Begin to beat as a policy does; False if another policy is there."""
        others = self._node.count_publishers("policy/action_chunk") - (self._chunks is not None)
        if others > 0 or self._chunks is not None:
            return bool(others == 0)
        self._chunks = self._node.create_publisher(ActionChunkMsg, "policy/action_chunk", _COMMAND)
        self._status = self._node.create_publisher(PolicyStatus, "policy/status", _COMMAND)
        self._node.create_timer(_BEAT_PERIOD_S, self._beat)
        return True

    def sees(self) -> bool:
        """Whether picture, optics and serial of the camera were heard."""
        return None not in (self.album.newest(), self.serial) and self.camera_matrix is not None

    def is_heard(self) -> bool:
        """Whether the arm listens, and had the time to learn about our clock."""
        listeners = self._chunks.get_subscription_count(), self._status.get_subscription_count()
        return min(listeners) > 0 and self._beats > _BEATS_BEFORE_CHUNKS

    def send_width(self, width_m: float, speed_m_s: float) -> Callable[[], bool | None]:
        """Tell the hand a width [m].

        Returns:
            A function that says whether the command succeeded, None while it runs.
        """
        accepted = self._hand.send_goal_async(Move.Goal(width=width_m, speed=speed_m_s))
        results: list[Any] = []

        def ask() -> bool | None:
            if accepted.done() and not accepted.result().accepted:
                return False
            if accepted.done() and not results:
                results.append(accepted.result().get_result_async())
            if not results or not results[0].done():
                return None
            return bool(results[0].result().result.success)

        return ask

    def find_hand(self) -> bool:
        """Whether the hand takes commands."""
        return bool(self._hand.server_is_ready())

    def _beat(self) -> None:
        self._beats += 1
        now_s, writer = self._now(), self.writer
        status = status_to_msg(
            stamp=seconds_to_stamp(now_s),
            checkpoint="",
            task=TASK,
            waiting_for="",
            inference_s=[],
            lease_epoch=writer.lease_epoch if writer is not None else 0,
        )
        self._status.publish(status)
        if writer is not None and self._beats % _BEATS_PER_CHUNK == 0:
            chunk = writer.write(now_s - _SEEN_BEFORE_S)
            self._chunks.publish(chunk_to_msg(chunk, seconds_to_stamp(now_s)))

    def _on_joints(self, msg: JointState) -> None:
        self.joints.add(stamp_to_seconds(msg.header.stamp), joints_from_msg(msg)[0])

    def _on_width(self, msg: GripperState) -> None:
        self.width.add(stamp_to_seconds(msg.header.stamp), np.array([msg.width]))

    def _on_image(self, msg: Image) -> None:
        self.album.add(Picture(stamp_to_seconds(msg.header.stamp), image_from_msg(msg)))

    def _on_info(self, msg: CameraInfo) -> None:
        self.camera_matrix = np.array(msg.k).reshape(3, 3)
        self.distortion = np.array(list(msg.d[:5]) or np.zeros(5))

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name == f"camera {self._camera}":
                # A camera without a serial is named instead.
                has_serial = status.hardware_id != self._camera
                self.serial = status.hardware_id if has_serial else ""
