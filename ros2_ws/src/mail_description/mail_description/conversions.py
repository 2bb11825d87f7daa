"""Translates the model of the robot to transforms, and what is known about it to diagnostics."""

from collections.abc import Iterable, Sequence

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from tf2_msgs.msg import TFMessage

from mail_description.camera_mounts import Finding
from mail_description.robot_model import Joint, Pose


def transforms_to_msg(joints: Sequence[Joint], poses: Iterable[Pose], stamp: Time) -> TFMessage:
    """Convert where joints put their children, one pose per joint."""
    msg = TFMessage()
    for joint, (x, y, z, qx, qy, qz, qw) in zip(joints, poses, strict=True):
        transform = TransformStamped(
            child_frame_id=joint.child,
            transform=Transform(
                translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw)
            ),
        )
        transform.header.frame_id = joint.parent
        transform.header.stamp = stamp
        msg.transforms.append(transform)
    return msg


def findings_to_msg(findings: Iterable[Finding], stamp: Time) -> DiagnosticArray:
    """Convert findings to the message of /diagnostics."""
    msg = DiagnosticArray(
        status=[
            DiagnosticStatus(
                level=DiagnosticStatus.OK if finding.is_good else DiagnosticStatus.WARN,
                name=f"description: {finding.subject}",
                message=finding.text,
                hardware_id=finding.subject,
            )
            for finding in findings
        ]
    )
    msg.header.stamp = stamp
    return msg
