"""Translates between ROS messages and values of this package."""

from collections.abc import Sequence

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from mail_bringup.diagnostics import Finding


def findings_to_msg(lines: Sequence[Finding], stamp: Time) -> DiagnosticArray:
    """Convert findings to the message of /diagnostics."""
    array = DiagnosticArray(
        status=[
            DiagnosticStatus(
                level=bytes([line.level]),
                name=f"mail: {line.name}",
                message=line.message,
                hardware_id="mail",
            )
            for line in lines
        ]
    )
    array.header.stamp = stamp
    return array
