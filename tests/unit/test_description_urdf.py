"""The URDF, read by parsers that are not ours."""

import xml.etree.ElementTree as ET
from pathlib import Path

import franky_sim
import mujoco
import numpy as np
import pinocchio
import pytest

from data_collection.topics import joint_names
from mail_description.camera_mounts import CameraMount
from mail_description.shapes import has_meshes, mesh_shapes
from mail_description.urdf import urdf_text
from mail_policy.core.frames import make_transform, rotation_from_vector
from mail_policy.core.kinematics import chain_frames, forward_kinematics
from mail_policy.core.motion.self_collision import CAPSULES
from mail_policy.core.robot_limits import RobotType, joint_limits

ROBOTS = tuple(RobotType)
PREFIXES = {RobotType.FER: "panda", RobotType.FR3: "fr3"}
FRANKAS_URDF = Path(franky_sim.__file__).parent / "assets" / "fr3.urdf"


def camera() -> CameraMount:
    pose = make_transform(rotation_from_vector(np.array([0.4, -2.0, 1.1])), np.array([0.1, 0, 0.2]))
    return CameraMount(
        name="wrist",
        image_frame="wrist_color_optical_frame",
        parent_frame="tcp",
        transform_camera_to_parent=pose,
    )


def parsed(robot_type: RobotType) -> tuple[pinocchio.Model, pinocchio.Data]:
    model = pinocchio.buildModelFromXML(urdf_text(robot_type, [camera()]))
    return model, model.createData()


def pose_of(model: pinocchio.Model, data: pinocchio.Data, frame: str) -> np.ndarray:
    assert model.existFrame(frame), frame
    return data.oMf[model.getFrameId(frame)].homogeneous


def random_joints(robot_type: RobotType, seed: int) -> np.ndarray:
    limits = joint_limits(robot_type)
    return np.random.default_rng(seed).uniform(limits.lower, limits.upper)


@pytest.mark.parametrize("robot_type", ROBOTS)
@pytest.mark.parametrize("seed", range(20))
def test_its_kinematics_are_ours(robot_type, seed):
    model, data = parsed(robot_type)
    q = random_joints(robot_type, seed)
    pinocchio.framesForwardKinematics(model, data, np.append(q, [0.01, 0.01][: model.nq - 7]))
    for frame in ("tcp", f"{PREFIXES[robot_type]}_hand_tcp"):
        assert np.allclose(pose_of(model, data, frame), forward_kinematics(q), atol=1e-9, rtol=0)


@pytest.mark.parametrize("robot_type", ROBOTS)
def test_its_limits_are_ours_and_its_joints_those_of_joint_states(robot_type):
    model, _ = parsed(robot_type)
    limits = joint_limits(robot_type)
    assert list(model.names)[1:8] == joint_names(robot_type.value)[:7]
    assert model.lowerPositionLimit[:7].tolist() == limits.lower.tolist()
    assert model.upperPositionLimit[:7].tolist() == limits.upper.tolist()
    assert model.velocityLimit[:7].tolist() == limits.velocity.tolist()
    assert model.effortLimit[:7].tolist() == [87.0] * 4 + [12.0] * 3


@pytest.mark.parametrize("robot_type", ROBOTS)
def test_a_camera_hangs_where_it_was_calibrated(robot_type):
    model, data = parsed(robot_type)
    q = random_joints(robot_type, 1)
    pinocchio.framesForwardKinematics(model, data, np.append(q, np.zeros(model.nq - 7)))
    expected = forward_kinematics(q) @ camera().transform_camera_to_parent
    for frame in ("camera_wrist_optical_frame", "wrist_color_optical_frame"):
        assert np.allclose(pose_of(model, data, frame), expected, atol=1e-9, rtol=0)
    # REP 103: the body looks along x, its picture along z.
    body = pose_of(model, data, "camera_wrist_link")
    assert np.allclose(body[:3, 0], expected[:3, 2])
    assert np.allclose(body[:3, 2], -expected[:3, 1])


def test_the_fr3_is_frankas_up_to_its_published_limits():
    """Frames, masses and joints equal those that franka_description makes of an FR3."""
    ours, _ = parsed(RobotType.FR3)
    theirs = pinocchio.buildModelFromUrdf(str(FRANKAS_URDF))
    assert list(ours.names) == list(theirs.names)
    for joint in range(1, ours.njoints):
        assert ours.jointPlacements[joint].isApprox(theirs.jointPlacements[joint], 1e-9)
        # Hand and flange are fixed to link 7, so this compares them too.
        assert ours.inertias[joint].isApprox(theirs.inertias[joint], 1e-6)
    frames = {frame.name for frame in theirs.frames if "accelerometer" not in frame.name}
    assert frames - {frame.name for frame in ours.frames} == set()


@pytest.mark.parametrize("robot_type", ROBOTS)
def test_every_moving_link_could_exist(robot_type):
    model, _ = parsed(robot_type)
    for inertia in list(model.inertias)[1:]:
        xx, yy, zz = np.linalg.eigvalsh(inertia.inertia)
        assert inertia.mass > 0.0
        assert xx > 0.0
        assert xx + yy >= zz


def meshless(robot_type: RobotType) -> mujoco.MjModel:
    text = urdf_text(robot_type)
    keep = '<mujoco><compiler fusestatic="false" discardvisual="false" /></mujoco>'
    head, _, tail = text.partition("\n")
    return mujoco.MjModel.from_xml_string(f"{head}{keep}{tail}")


@pytest.mark.parametrize("robot_type", ROBOTS)
def test_the_shapes_fill_the_capsules_of_the_motion_core(robot_type):
    """Balls at both ends of a capsule, a cylinder between: seen by MuJoCo, in the base frame."""
    model = meshless(robot_type)
    data = mujoco.MjData(model)
    q = random_joints(robot_type, 3)
    data.qpos[:7] = q
    mujoco.mj_kinematics(model, data)
    balls = data.geom_xpos[model.geom_type == mujoco.mjtGeom.mjGEOM_SPHERE]
    frames = chain_frames(q[None])[:, 0]
    for capsule in CAPSULES:
        if capsule.name == "fingers":
            continue
        for end in (capsule.start_m, capsule.end_m):
            place = frames[capsule.frame] @ [*end, 1.0]
            assert np.linalg.norm(balls - place[:3], axis=1).min() < 1e-9, capsule.name


def installed_meshes(folder: Path, robot_type: RobotType) -> None:
    for shape in mesh_shapes(robot_type):
        file = folder / "share" / shape.geometry.filename.removeprefix("package://")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


@pytest.mark.parametrize("robot_type", ROBOTS)
def test_meshes_are_used_only_where_all_are_installed(robot_type, tmp_path, monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path}")
    assert not has_meshes(robot_type)
    installed_meshes(tmp_path, robot_type)
    assert has_meshes(robot_type)
    next(tmp_path.rglob("finger.dae")).unlink()
    assert not has_meshes(robot_type)


def test_meshes_replace_what_is_seen_but_not_what_collides():
    plain, meshed = (ET.fromstring(urdf_text(RobotType.FR3, meshes=m)) for m in (False, True))
    files = [mesh.get("filename") for mesh in meshed.iter("mesh")]
    assert len(files) == 11
    assert files[0] == "package://franka_description/meshes/robots/fr3/visual/link0.dae"
    assert not list(plain.iter("mesh"))
    for robot in (plain, meshed):
        collisions = [c.find("geometry") for c in robot.iter("collision")]
        assert not [c for c in collisions if c is None or c.find("mesh") is not None]
