"""Prints the URDF of an arm, for tools that want a file: `write_urdf fr3 > fr3.urdf`."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from mail_description.camera_mounts import CameraMount, CameraName, camera_mounts
from mail_description.urdf import urdf_text
from mail_policy.core.robot_limits import RobotType


def main() -> None:
    """Write the URDF to the standard output and what is missing in it to the error output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("robot_type", type=RobotType, help="fer (Panda) or fr3")
    parser.add_argument("--meshes", action="store_true", help="show franka_description's meshes")
    parser.add_argument("--calibration", type=Path, help="for example calibration/results/fr3")
    parser.add_argument("--cameras", nargs="*", default=[], help="names of calibrated cameras")
    given = parser.parse_args()
    mounts: list[CameraMount] = []
    if given.calibration:
        names = [CameraName(name=name) for name in given.cameras]
        mounts, findings = camera_mounts(given.calibration, names, datetime.now(UTC))
        for finding in findings:
            sys.stderr.write(f"{finding.subject}: {finding.text}\n")
    sys.stdout.write(urdf_text(given.robot_type, mounts, meshes=given.meshes))


if __name__ == "__main__":
    main()
