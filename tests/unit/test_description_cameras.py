"""The cameras of the twin: their committed poses, and pictures that prove the whole chain."""

from collections.abc import Iterator
from datetime import UTC, datetime

import mujoco
import numpy as np
import pinocchio
import pytest

from calibration.results import RESULTS
from mail_description.camera_mounts import CameraName, camera_mounts
from mail_description.urdf import urdf_text
from mail_policy.core.frames import vector_from_rotation
from mail_policy.core.kinematics import forward_kinematics
from mail_policy.core.robot_limits import RobotType
from mail_sim.world.camera_poses import camera_pose, true_calibration
from mail_sim.world.scene import CAMERAS
from mail_sim.world.world import World

SIZE_PX = 256
LIMIT_PX = 2.0


def committed_mounts():
    names = [CameraName(name=name) for name in CAMERAS]
    mounts, findings = camera_mounts(RESULTS / "sim", names, datetime.now(UTC))
    assert [finding.is_good for finding in findings] == [True] * len(CAMERAS)
    return mounts


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World("open the top drawer of the cabinet", image_size=SIZE_PX, render=False) as world:
        world.reset(100_003)
        yield world


@pytest.fixture(scope="module")
def segmenter(world) -> Iterator[mujoco.Renderer]:
    renderer = mujoco.Renderer(world.model, SIZE_PX, SIZE_PX)
    renderer.enable_segmentation_rendering()
    yield renderer
    renderer.close()


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_committed_pose_is_that_of_the_scene(world, camera):
    (mount,) = [mount for mount in committed_mounts() if mount.name == camera]
    parent, truth = camera_pose(world.model, camera)
    assert mount.parent_frame == parent
    difference = np.linalg.inv(truth) @ mount.transform_camera_to_parent
    assert np.linalg.norm(difference[:3, 3]) < 1e-4
    assert np.linalg.norm(vector_from_rotation(difference[:3, :3])) < 1e-4


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_pose_of_the_scene_is_where_mujoco_has_the_camera(world, camera):
    """Through our kinematics, at an arm posture that no number was tuned for."""
    parent, pose = camera_pose(world.model, camera)
    q = world.data.qpos[:7]
    transform = (forward_kinematics(q) if parent == "tcp" else np.eye(4)) @ pose
    assert np.linalg.norm(transform[:3, 3] - world.data.camera(camera).xpos) < 1e-4
    axes = world.data.camera(camera).xmat.reshape(3, 3) * [1.0, -1.0, -1.0]
    assert np.allclose(transform[:3, :3], axes, atol=1e-4)


def test_a_written_calibration_is_read_back_as_it_was(world):
    result = true_calibration(world.model, "wrist", datetime.now(UTC).isoformat())
    assert np.allclose(result.transform_camera_to_parent, camera_pose(world.model, "wrist")[1])


def transform_base_to_camera(q: np.ndarray, camera: str) -> np.ndarray:
    """Return it from the URDF alone, as a stranger's program would."""
    model = pinocchio.buildModelFromXML(urdf_text(RobotType.FR3, committed_mounts()))
    data = model.createData()
    pinocchio.framesForwardKinematics(model, data, np.append(q, np.zeros(model.nq - 7)))
    frame = model.getFrameId(f"camera_{camera}_optical_frame")
    return np.linalg.inv(data.oMf[frame].homogeneous)


def box_corners(model, data, geom: str) -> np.ndarray:
    number = model.geom(geom).id
    signs = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, 8).T
    rotation = data.geom_xmat[number].reshape(3, 3)
    return data.geom_xpos[number] + (signs * model.geom_size[number]) @ rotation.T


def projected_box_px(points: np.ndarray, base_to_camera: np.ndarray, fovy_deg: float):
    """Return left, top, right, bottom of points in a picture, by a pinhole without distortion."""
    x, y, z = base_to_camera[:3, :3] @ points.T + base_to_camera[:3, 3:]
    focal_px = 0.5 * SIZE_PX / np.tan(0.5 * np.radians(fovy_deg))
    columns, rows = (0.5 * SIZE_PX + focal_px * axis / z for axis in (x, y))
    assert (z > 0).all()
    return np.array([columns.min(), rows.min(), columns.max(), rows.max()])


def seen_box_px(renderer, data, camera: str, geom: int):
    renderer.update_scene(data, camera=camera)
    rows, columns = np.nonzero(renderer.render()[:, :, 0] == geom)
    assert len(rows) > 20, "it must be in the picture for this test to say anything"
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("seed", [100_003, 100_004, 100_005])
def test_a_block_is_projected_onto_the_pixels_where_it_is_seen(world, segmenter, camera, seed):
    world.reset(seed)
    model, data = world.model, world.data
    base_to_camera = transform_base_to_camera(data.qpos[:7].copy(), camera)
    fovy_deg = float(model.camera(camera).fovy[0])
    (block,) = [g for g in range(model.ngeom) if model.geom_bodyid[g] == model.body("red_block").id]
    name = model.geom(block).name
    expected = projected_box_px(box_corners(model, data, name), base_to_camera, fovy_deg)
    seen = seen_box_px(segmenter, data, camera, block)
    assert np.abs(seen - expected).max() < LIMIT_PX, (seen, expected)
