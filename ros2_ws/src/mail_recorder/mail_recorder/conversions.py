"""Translates between the recorder and ROS: what it listens to, what it tells."""

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from mail_msgs.msg import (
    ActionChunk,
    Admission,
    ArmState,
    GripperState,
    PolicyStatus,
    RecorderStatus,
    TeleopCommand,
)
from mail_msgs.srv import EndEpisode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, JointState

from data_collection import topics
from data_collection.quality import StreamHealth
from mail_recorder.config import RecorderConfig
from mail_recorder.recorder_view import RecorderView

# Best effort also listens to reliable publishers; a reliable reader needs a reliable publisher.
# The depths hold 5 to 10 s: a busy machine lets this process stand still for more than a second.
_SENSOR = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)
_COMMAND = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
_PICTURES = QoSProfile(depth=150, reliability=ReliabilityPolicy.BEST_EFFORT)
Stream = tuple[str, type, QoSProfile]
_STREAMS: tuple[Stream, ...] = (
    (topics.JOINT_STATES, JointState, _SENSOR),
    (topics.ARM_STATE, ArmState, _COMMAND),
    (topics.ADMISSION, Admission, _COMMAND),
    (topics.GRIPPER_STATE, GripperState, _SENSOR),
    (topics.ACTION_CHUNK, ActionChunk, _COMMAND),
    (topics.POLICY_STATUS, PolicyStatus, _COMMAND),
    (topics.TELEOP_COMMAND, TeleopCommand, _SENSOR),
)

_OUTCOMES = {
    EndEpisode.Request.UNKNOWN: None,
    EndEpisode.Request.SUCCESS: True,
    EndEpisode.Request.FAILURE: False,
}


def streams_of(config: RecorderConfig) -> list[Stream]:
    """List what to listen to: absolute topic, type, quality of service."""
    return [
        *_STREAMS,
        *((topics.raw_topic(camera), Image, _PICTURES) for camera in config.cameras),
        *((topics.info_topic(camera), CameraInfo, _SENSOR) for camera in config.cameras),
        *((topics.depth_topic(camera), Image, _PICTURES) for camera in config.depth_cameras),
    ]


def outcome_from_request(request: EndEpisode.Request) -> bool | None:
    """Return whether the task was done, None if unknown. Raises ValueError for other numbers."""
    if request.outcome not in _OUTCOMES:
        raise ValueError(
            f"outcome must be 0 (unknown), 1 (success) or 2 (failure), got {request.outcome}"
        )
    return _OUTCOMES[request.outcome]


def status_to_msg(view: RecorderView, stamp: Time) -> RecorderStatus:
    """Describe the recorder for the operator."""
    progress = view.progress
    msg = RecorderStatus(
        recording=view.is_recording,
        task=view.task[:256],
        episode=str(view.folder or "")[:256],
        steps=progress.steps,
        duration=progress.duration_s,
        free_time=view.free_s,
        good=not progress.remarks,
        remarks="; ".join(progress.remarks)[:512],
        saved=view.saved,
        discarded=view.discarded,
    )
    msg.header.stamp = stamp
    return msg


def diagnostics_to_msg(view: RecorderView, stamp: Time) -> DiagnosticArray:
    """Describe the recorder and each of its streams for monitors."""
    remarks = "; ".join(view.progress.remarks)
    recorder = DiagnosticStatus(
        level=DiagnosticStatus.WARN if remarks else DiagnosticStatus.OK,
        name="recorder",
        message=remarks or ("records" if view.is_recording else "waits for an episode"),
        values=[
            KeyValue(key="free_s", value=f"{view.free_s:.0f}"),
            KeyValue(key="saved", value=str(view.saved)),
        ],
    )
    msg = DiagnosticArray(status=[recorder, *map(_stream_to_msg, view.progress.streams)])
    msg.header.stamp = stamp
    return msg


def _stream_to_msg(stream: StreamHealth) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=DiagnosticStatus.WARN if stream.problems else DiagnosticStatus.OK,
        name=f"recorder: {topics.spoken(stream.topic)}",
        hardware_id=stream.topic,
        message="; ".join(stream.problems) or "is recorded",
        values=[
            KeyValue(key="messages", value=str(stream.count)),
            KeyValue(key="rate_hz", value=f"{stream.rate_hz:.1f}"),
            KeyValue(key="largest_gap_s", value=f"{stream.largest_gap_s:.3f}"),
            KeyValue(key="drops", value=str(stream.drops)),
        ],
    )
