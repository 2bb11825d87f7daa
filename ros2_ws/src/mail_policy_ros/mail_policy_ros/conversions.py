"""Translates between ROS messages and the policy's values. Nothing else may build messages."""

import array

import numpy as np
from builtin_interfaces.msg import Time
from mail_msgs.msg import ActionChunk as ActionChunkMsg
from mail_msgs.msg import ArmState as ArmStateMsg
from mail_msgs.msg import PolicyStatus as PolicyStatusMsg
from numpy.typing import NDArray
from sensor_msgs.msg import Image as ImageMsg
from sensor_msgs.msg import JointState as JointStateMsg

from mail_policy.core.types import NUM_JOINTS, ActionChunk
from mail_policy.inference.session import Lease
from mail_ros.conversions import seconds_to_stamp, stamp_to_seconds

# No camera that we know sends more. The type itself bounds neither side nor bytes.
LARGEST_SIDE_PX = 4096


def image_from_msg(msg: ImageMsg) -> NDArray[np.uint8]:
    """Convert a picture. Raises ValueError if it is too large or its fields do not fit together."""
    if max(msg.height, msg.width) > LARGEST_SIDE_PX:
        raise ValueError(
            f"image must be at most {LARGEST_SIDE_PX} pixels high and wide, got "
            f"{msg.width}x{msg.height}"
        )
    if msg.encoding != "rgb8":
        raise ValueError(f"image encoding must be rgb8, got {msg.encoding!r}")
    expected = msg.height * msg.step
    if msg.step != 3 * msg.width or len(msg.data) != expected or expected == 0:
        raise ValueError(
            f"image of {msg.width}x{msg.height}, step {msg.step} must hold {expected} bytes, "
            f"got {len(msg.data)}"
        )
    pixels = np.frombuffer(msg.data, dtype=np.uint8)
    return pixels.reshape(msg.height, msg.width, 3)


def joints_from_msg(msg: JointStateMsg) -> tuple[NDArray[np.float64], float]:
    """Return joint positions [rad] (7,) and gripper width [m].

    Raises ValueError if the message does not hold seven joints and two fingers, all finite.
    """
    if len(msg.position) != NUM_JOINTS + 2:
        raise ValueError(
            f"joint_states must hold {NUM_JOINTS} joints and 2 fingers, got {len(msg.position)}"
        )
    positions = np.asarray(msg.position, dtype=np.float64)
    if not np.isfinite(positions).all():
        raise ValueError("joint_states must be finite, got NaN or infinity")
    return positions[:NUM_JOINTS], float(positions[NUM_JOINTS:].sum())


def lease_from_msg(msg: ArmStateMsg) -> Lease | None:
    """Return the policy's lease that the arm announces, None if the policy holds none."""
    if msg.lease_holder != "policy":
        return None
    return Lease(msg.lease_epoch, msg.task, stamp_to_seconds(msg.header.stamp))


def chunk_to_msg(chunk: ActionChunk, stamp: Time) -> ActionChunkMsg:
    """Convert a chunk to a message."""
    msg = ActionChunkMsg(
        observed_at=seconds_to_stamp(chunk.observed_at_s),
        step_period=chunk.step_period_s,
        schema=chunk.schema,
        action_size=chunk.values.shape[1],
        values=array.array("d", np.ascontiguousarray(chunk.values).tobytes()),
        lease_epoch=chunk.lease_epoch,
        sequence=chunk.sequence,
        task=chunk.task,
        inference_duration=chunk.inference_s,
    )
    msg.header.stamp = stamp
    return msg


def status_to_msg(
    *,
    stamp: Time,
    checkpoint: str,
    task: str,
    waiting_for: str,
    inference_s: list[float],
    lease_epoch: int,
) -> PolicyStatusMsg:
    """Build the policy's heartbeat.

    Args:
        stamp: Time of the heartbeat.
        checkpoint: Name of the checkpoint.
        task: Resolved sentence, "" if none is set.
        waiting_for: What keeps the policy from planning, "" if nothing.
        inference_s: Recent inference times [s].
        lease_epoch: The lease that the policy works under, 0 if none.
    """
    msg = PolicyStatusMsg(
        ready=bool(task),
        task=task,
        checkpoint=checkpoint,
        waiting_for=waiting_for,
        lease_epoch=lease_epoch,
    )
    msg.header.stamp = stamp
    if inference_s:
        msg.inference_p50 = float(np.percentile(inference_s, 50))
        msg.inference_p99 = float(np.percentile(inference_s, 99))
    return msg
