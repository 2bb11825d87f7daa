"""The twin's scene: one element tree on franky-sim's arm, for both ways of running it.

`furnish` edits the tree of a franky-sim simulator, whose own controller drives the robot.
`direct_scene_xml` is the same tree with position actuators, to be stepped without a server.
"""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
from franky_sim.mujoco_simulator import MujocoSimulator

from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from mail_sim.world.buttons import add_buttons
from mail_sim.world.furniture import (
    GRIPPY,
    add_block,
    add_bowl,
    add_cabinet,
    add_materials,
)
from mail_sim.world.meshes import coarse_mesh

PREFIX = "robot0_"
ARM_JOINTS = tuple(f"{PREFIX}fr3_joint{i}" for i in range(1, 8))
FINGER_JOINTS = (f"{PREFIX}finger_joint1", f"{PREFIX}finger_joint2")
FINGER_BODIES = (f"{PREFIX}left_finger", f"{PREFIX}right_finger")
CAMERAS = ("agentview", "wrist")
STEP_S = 0.001

# The fingers' own controller in franky-sim, per finger.
_FINGER_KP, _FINGER_KV, _FINGER_FORCE_N = 1000.0, 50.0, 40.0


def furnish(simulator: Any) -> None:
    """Put table, cabinet, objects and cameras around the robot of a franky-sim simulator.

    Call it after `add_robot` and before the simulator starts.

    Args:
        simulator: A franky_sim MujocoSimulator with one robot.
    """
    scene, worldbody = simulator.scene, simulator.worldbody
    _set_physics(scene)
    _set_light(scene, worldbody)
    _coarsen_robot(scene)
    add_materials(scene.find("asset"))
    add_cabinet(worldbody)
    add_block(worldbody, "red_block", "red_paint", 0.42, -0.08)
    add_block(worldbody, "blue_block", "blue_paint", 0.50, -0.22)
    add_bowl(worldbody, 0.40, -0.22)
    _add_cameras(worldbody)
    contact = scene.find("contact")
    # The cabinet counts as a part of the world, for which the simulator does not skip contacts
    # between parent and child.
    for pair in (
        ("cabinet", "top_drawer"),
        ("cabinet", "bottom_drawer"),
        ("top_drawer", "bottom_drawer"),
    ):
        ET.SubElement(contact, "exclude", body1=pair[0], body2=pair[1])


def direct_scene_xml(*, has_buttons: bool = False) -> str:
    """Return the scene as MJCF text whose actuators follow joint positions.

    Controls are the seven arm joints [rad], then both fingers [m].

    Args:
        has_buttons: Whether the buttons of the memory tasks stand on the table.
    """
    simulator = MujocoSimulator()
    simulator.add_robot(initial_q=tuple(HOME_JOINT_POSITIONS), initial_hand_width=0.08)
    furnish(simulator)
    if has_buttons:
        add_buttons(simulator.worldbody)
    scene = simulator.scene
    _add_finger_actuators(scene)
    for body in scene.iter("body"):
        if body.get("name", "").startswith(PREFIX):
            body.set("gravcomp", "1")
    return ET.tostring(scene, encoding="unicode")


def _set_physics(scene: ET.Element) -> None:
    option = scene.find("option")
    assert option is not None, "franky-sim's template has an option element"
    option.set("timestep", str(STEP_S))
    option.set("cone", "elliptic")
    option.set("impratio", "10")
    for default in scene.iter("default"):
        if default.get("class", "").startswith("fingertip_pad"):
            for geom in default.findall("geom"):
                geom.attrib.update(GRIPPY)


def _set_light(scene: ET.Element, worldbody: ET.Element) -> None:
    """Choose what makes a picture decent and cheap: no shadows, no smoothing, two lights."""
    visual = scene.find("visual")
    assert visual is not None, "franky-sim's template has a visual element"
    visual.find("quality").attrib.update(shadowsize="0", offsamples="0")  # type: ignore[union-attr]
    visual.find("headlight").attrib.update(  # type: ignore[union-attr]
        diffuse="0.22 0.22 0.22", ambient="0.30 0.30 0.31", specular="0 0 0"
    )
    # Distances of the clipping planes count in units of the extent.
    ET.SubElement(visual, "map", znear="0.01", zfar="30")
    ET.SubElement(scene, "statistic", extent="1", center="0.4 0 0.2")
    ET.SubElement(visual, "global", offwidth="1280", offheight="960")
    for light in worldbody.findall("light"):
        if light.get("name") == "rim_light":
            worldbody.remove(light)
        light.set("castshadow", "false")
        light.set("diffuse", "0.42 0.40 0.37")
    asset = scene.find("asset")
    assert asset is not None, "franky-sim's template has an asset element"
    ET.SubElement(
        asset,
        "texture",
        name="sky",
        type="skybox",
        builtin="gradient",
        rgb1="0.75 0.79 0.83",
        rgb2="0.50 0.55 0.60",
        width="64",
        height="384",
    )
    _add_table(asset, worldbody)


def _add_table(asset: ET.Element, worldbody: ET.Element) -> None:
    ET.SubElement(asset, "material", name="table_top", rgba="0.44 0.47 0.50 1", specular="0.1")
    ET.SubElement(asset, "material", name="room_floor", rgba="0.25 0.27 0.30 1", specular="0")
    # The simulator's own ground becomes the table's surface: planes make the firmest contacts.
    for geom in worldbody.findall("geom"):
        if geom.get("name") == "ground":
            geom.attrib.pop("material")
            geom.attrib.update(GRIPPY)
            geom.set("group", "4")
    painted: dict[str, Any] = {"contype": "0", "conaffinity": "0", "type": "box"}
    ET.SubElement(
        worldbody,
        "geom",
        name="table",
        pos="0.4 0 -0.0205",
        size="0.65 0.75 0.02",
        material="table_top",
        **painted,
    )
    ET.SubElement(
        worldbody,
        "geom",
        name="floor",
        pos="0 0 -0.75",
        size="8 8 0.01",
        material="room_floor",
        **painted,
    )


def _coarsen_robot(scene: ET.Element) -> None:
    """Replace the visual meshes by coarser ones, written into the tree itself."""
    folder = Path(scene.find("compiler").get("meshdir"))  # type: ignore[union-attr, arg-type]
    for element in scene.iter("mesh"):
        file = element.get("file", "")
        if not file.endswith(".obj"):
            continue
        mesh = coarse_mesh(folder / file)
        element.attrib.pop("file")
        element.set("vertex", " ".join(f"{value:.5g}" for value in mesh.vertices.ravel()))
        element.set("face", " ".join(map(str, mesh.faces.ravel())))


def _add_cameras(worldbody: ET.Element) -> None:
    ET.SubElement(
        worldbody,
        "camera",
        name="agentview",
        fovy="42",
        pos="0 -0.72 0.78",
        # Looks at (0.53, 0.02, 0.07), level.
        xyaxes=_camera_axes((0.0, -0.72, 0.78), (0.53, 0.02, 0.07), (0.0, 0.0, 1.0)),
    )
    eye, target = (0.05, -1.45, 0.85), (0.38, 0.05, 0.26)
    ET.SubElement(
        worldbody,
        "camera",
        name="overview",  # For people; no policy sees it.
        fovy="38",
        pos=" ".join(map(str, eye)),
        xyaxes=_camera_axes(eye, target, (0.0, 0.0, 1.0)),
    )
    hand = next(body for body in worldbody.iter("body") if body.get("name") == f"{PREFIX}hand")
    eye, target = (0.085, 0.0, 0.03), (0.03, 0.0, 0.14)
    ET.SubElement(
        hand,
        "camera",
        name="wrist",
        fovy="80",
        pos=" ".join(map(str, eye)),
        # In the hand's frame; the top of the picture is what lies farthest from the robot.
        xyaxes=_camera_axes(eye, target, (1.0, 0.0, 0.0)),
    )


def _camera_axes(eye: tuple[float, ...], target: tuple[float, ...], up: tuple[float, ...]) -> str:
    """Return MJCF's xyaxes of a camera: x to the right of the picture, y to its top."""
    forward = np.subtract(target, eye)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    top = np.cross(right, forward)
    top /= np.linalg.norm(top)
    return " ".join(f"{value:.6f}" for value in (*right, *top))


def _add_finger_actuators(scene: ET.Element) -> None:
    """Drive each finger to its own position, as franky-sim's hand does."""
    actuators = scene.find("actuator")
    assert actuators is not None, "franky-sim's template has actuators"
    for element in list(actuators):
        if element.get("name") == f"{PREFIX}hand":
            actuators.remove(element)
    for joint in FINGER_JOINTS:
        ET.SubElement(
            actuators,
            "position",
            name=joint,
            joint=joint,
            kp=str(_FINGER_KP),
            kv=str(_FINGER_KV),
            forcerange=f"-{_FINGER_FORCE_N} {_FINGER_FORCE_N}",
        )
