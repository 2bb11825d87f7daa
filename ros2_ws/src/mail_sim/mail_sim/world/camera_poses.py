"""Where the cameras of the scene truly are, written as calibrations of the robot `sim`.

    python -m mail_sim.world.camera_poses

writes them anew; needed only after a camera of the scene was moved.
"""

import sys
from datetime import UTC, datetime
from typing import Any

import mujoco
import numpy as np

from calibration.results import RESULTS, HandEyeResult, pose_fields, save_result
from data_collection.provenance import software_versions
from mail_policy.core.frames import Array, make_transform
from mail_policy.core.kinematics import TCP_TO_HAND_M
from mail_sim.world.scene import CAMERAS, PREFIX, direct_scene_xml

ROBOT = "sim"
# MuJoCo's cameras look along -z with y up, optical frames along z with y down.
_OPTICAL_IN_CAMERA = np.diag([1.0, -1.0, -1.0])


def camera_pose(model: Any, camera: str) -> tuple[str, Array]:
    """Return what a camera of a scene is mounted on, and where.

    Args:
        model: MuJoCo model of the scene.
        camera: Its name.

    Returns:
        `base` or `tcp`, and transform_camera_to_parent of the optical frame, shape (4, 4).
    """
    number = model.camera(camera).id
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, model.cam_quat[number])
    transform = make_transform(
        rotation.reshape(3, 3) @ _OPTICAL_IN_CAMERA, model.cam_pos[number].copy()
    )
    if model.body(model.cam_bodyid[number]).name != f"{PREFIX}hand":
        return "base", transform
    transform[2, 3] -= TCP_TO_HAND_M
    return "tcp", transform


def true_calibration(model: Any, camera: str, created_at: str) -> HandEyeResult:
    """Return the pose of a camera as the result of a measurement without error."""
    parent, transform = camera_pose(model, camera)
    return HandEyeResult(
        robot=ROBOT,
        subject=camera,
        serial="",
        created_at=created_at,
        tool=f"mail_sim.world.camera_poses {software_versions().get('git', '')}",
        residuals={},
        parent_frame=parent,
        held_out_mm=0.0,
        held_out_deg=0.0,
        views=0,
        **pose_fields(transform),
    )


def main() -> None:
    """Write the poses of all cameras that policies see."""
    model = mujoco.MjModel.from_xml_string(direct_scene_xml())
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for camera in CAMERAS:
        path = save_result(true_calibration(model, camera, now), RESULTS / ROBOT)
        sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
