"""The things on the table, as MJCF elements: a cabinet with two drawers, two blocks, a bowl.

Every movable thing is visible in the simulator's state: the cabinet as a mocap body, its drawers
as joints, the rest as free joints. So resets and renderers never edit the model.
"""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any

import numpy as np

from mail_policy.core.frames import quaternion_from_rotation, rotation_from_vector

# The cabinet's outer size [m]; its frame lies on the table, drawers open to its -x. The lower part
# stands forward, so that a hand that points down reaches the lower handle past the upper one.
CABINET_WIDTH_M = 0.22
CABINET_HEIGHT_M = 0.234
CABINET_BACK_M = 0.11
# The face of each drawer [m], by name.
FACES_M = {"top": -0.11, "bottom": -0.18}
# Height of the middle of each drawer and its handle above the table [m].
DRAWER_HEIGHTS_M = {"top": 0.1725, "bottom": 0.0615}
DRAWER_TRAVEL_M = 0.17
# How far the middle of a handle stands before the drawer's face [m].
HANDLE_REACH_M = 0.05
HANDLE_LENGTH_M = 0.06

BLOCK_SIZE_M = 0.04
BLOCK_MASS_KG = 0.06
BOWL_RADIUS_M = 0.065
BOWL_HEIGHT_M = 0.04
_BOWL_WALLS = 12
_BOWL_LEAN_RAD = 0.26
_BOARD_M = 0.012
PANEL_M = 0.016

# Firm, grippy contacts for everything that fingers touch (platform-robot.md 5.2).
GRIPPY: dict[str, Any] = {
    "friction": "1.3 0.02 0.001",
    "condim": "4",
    "solref": "0.004 1",
    "solimp": "0.95 0.99 0.001",
}
_PAINT = {
    "wood": "0.66 0.46 0.28 1",
    "front": "0.82 0.63 0.42 1",
    "inside": "0.58 0.42 0.28 1",
    "steel": "0.20 0.21 0.24 1",
    "red_paint": "0.80 0.10 0.09 1",
    "blue_paint": "0.10 0.26 0.75 1",
    "china": "0.93 0.93 0.89 1",
}


@dataclass(frozen=True, slots=True)
class Box:
    """A box, from its smallest to its largest coordinates [m] in the frame of its body."""

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]


def add_materials(asset: ET.Element) -> None:
    """Add the paints that the furniture uses."""
    for name, rgba in _PAINT.items():
        ET.SubElement(asset, "material", name=name, rgba=rgba, specular="0.2", shininess="0.3")


def add_cabinet(worldbody: ET.Element) -> None:
    """Add the cabinet and its drawers; their places come from the layout."""
    cabinet = ET.SubElement(worldbody, "body", name="cabinet", mocap="true", pos="0.76 0.2 0")
    half_width, inner = CABINET_WIDTH_M / 2, CABINET_WIDTH_M / 2 - _BOARD_M
    middle, high = CABINET_HEIGHT_M / 2, CABINET_HEIGHT_M - _BOARD_M
    back = CABINET_BACK_M
    # The drawers' front panels stand before the boards.
    upper, lower = FACES_M["top"] + PANEL_M, FACES_M["bottom"] + PANEL_M
    shelf = (middle - _BOARD_M / 2, middle + _BOARD_M / 2)
    boards = {
        "floor": Box((lower, -half_width, 0.0), (back, half_width, _BOARD_M)),
        "shelf": Box((lower, -half_width, shelf[0]), (back, half_width, shelf[1])),
        "top": Box((upper, -half_width, high), (back, half_width, CABINET_HEIGHT_M)),
        "left": Box((lower, inner, _BOARD_M), (back, half_width, shelf[0])),
        "right": Box((lower, -half_width, _BOARD_M), (back, -inner, shelf[0])),
        "upper_left": Box((upper, inner, shelf[1]), (back, half_width, high)),
        "upper_right": Box((upper, -half_width, shelf[1]), (back, -inner, high)),
        "back": Box((back - _BOARD_M, -inner, _BOARD_M), (back, inner, shelf[0])),
        "upper_back": Box((back - _BOARD_M, -inner, shelf[1]), (back, inner, high)),
    }
    for name, box in boards.items():
        _add_box(cabinet, box, name=f"cabinet_{name}", material="wood")
    for name, height_m in DRAWER_HEIGHTS_M.items():
        _add_drawer(cabinet, name, height_m)


def _add_drawer(cabinet: ET.Element, name: str, height_m: float) -> None:
    drawer = ET.SubElement(cabinet, "body", name=f"{name}_drawer", pos=f"0 0 {height_m}")
    ET.SubElement(
        drawer,
        "joint",
        name=f"{name}_drawer_slide",
        type="slide",
        axis="-1 0 0",
        range=f"0 {DRAWER_TRAVEL_M}",
        damping="3",
        frictionloss="1",
        armature="0.05",
    )
    face = FACES_M[name]
    half_width, half_height, gap = CABINET_WIDTH_M / 2 - _BOARD_M, 0.0495, 0.003
    back, side, board = CABINET_BACK_M - 0.02, half_width - gap, 0.006
    low, rim = -half_height + gap, 0.020
    parts = {
        "floor": Box((face + PANEL_M, -side, low), (back, side, low + board)),
        "left": Box((face + PANEL_M, side - board, low), (back, side, rim)),
        "right": Box((face + PANEL_M, -side, low), (back, -side + board, rim)),
        "back": Box((back - board, -side, low), (back, side, rim)),
    }
    for part, box in parts.items():
        _add_box(drawer, box, name=f"{name}_drawer_{part}", material="inside", mass="0.12")
    wide, high = CABINET_WIDTH_M / 2 - 0.002, 0.0535
    panel = Box((face, -wide, -high), (face + PANEL_M, wide, high))
    _add_box(drawer, panel, name=f"{name}_drawer_front", material="front", mass="0.2")
    _add_handle(drawer, name, face)


def _add_handle(drawer: ET.Element, name: str, face: float) -> None:
    """Add a vertical bar, which fingers grip from left and right, on two stems."""
    bar_x = face - HANDLE_REACH_M
    ET.SubElement(
        drawer,
        "geom",
        name=f"{name}_handle",
        type="box",
        pos=f"{bar_x} 0 0",
        size=f"0.007 0.008 {HANDLE_LENGTH_M / 2}",
        material="steel",
        mass="0.05",
        **GRIPPY,
    )
    for end, height_m in (("upper", 0.022), ("lower", -0.022)):
        # The stems collide with nothing: fingers may close around the whole bar.
        ET.SubElement(
            drawer,
            "geom",
            name=f"{name}_handle_{end}_stem",
            type="box",
            pos=f"{(bar_x + face) / 2} 0 {height_m}",
            size=f"{HANDLE_REACH_M / 2} 0.004 0.004",
            material="steel",
            mass="0.01",
            contype="0",
            conaffinity="0",
        )
    ET.SubElement(
        drawer, "site", name=f"{name}_handle", pos=f"{bar_x} 0 0", size="0.003", group="4"
    )


def add_block(worldbody: ET.Element, name: str, material: str, x_m: float, y_m: float) -> None:
    """Add a 40 mm cube that lies on the table."""
    half = BLOCK_SIZE_M / 2
    body = ET.SubElement(worldbody, "body", name=name, pos=f"{x_m} {y_m} {half}")
    ET.SubElement(body, "freejoint", name=f"{name}_free")
    ET.SubElement(
        body,
        "geom",
        name=name,
        type="box",
        size=f"{half} {half} {half}",
        material=material,
        mass=str(BLOCK_MASS_KG),
        **GRIPPY,
    )


def add_bowl(worldbody: ET.Element, x_m: float, y_m: float) -> None:
    """Add a bowl: a disc with a ring of leaning walls. Its frame lies on the table."""
    body = ET.SubElement(worldbody, "body", name="bowl", pos=f"{x_m} {y_m} 0")
    ET.SubElement(body, "freejoint", name="bowl_free")
    ET.SubElement(
        body,
        "geom",
        name="bowl_disc",
        type="cylinder",
        size=f"{BOWL_RADIUS_M - 0.01} 0.003",
        pos="0 0 0.003",
        material="china",
        mass="0.15",
    )
    half_length = BOWL_RADIUS_M * np.tan(np.pi / _BOWL_WALLS) + 0.001
    radius = BOWL_RADIUS_M - 0.005
    lean = rotation_from_vector(np.array([0.0, _BOWL_LEAN_RAD, 0.0]))
    for wall in range(_BOWL_WALLS):
        angle_rad = 2 * np.pi * wall / _BOWL_WALLS
        turn = rotation_from_vector(np.array([0.0, 0.0, angle_rad]))
        x, y, z, w = quaternion_from_rotation(turn @ lean)
        ET.SubElement(
            body,
            "geom",
            name=f"bowl_wall_{wall}",
            type="box",
            size=f"0.003 {half_length:.5f} {BOWL_HEIGHT_M / 2}",
            pos=f"{radius * turn[0, 0]:.5f} {radius * turn[1, 0]:.5f} {BOWL_HEIGHT_M / 2 + 0.001}",
            quat=f"{w:.6f} {x:.6f} {y:.6f} {z:.6f}",
            material="china",
            mass="0.01",
        )


def _add_box(body: ET.Element, box: Box, **attributes: Any) -> None:
    lower, upper = np.array(box.lower), np.array(box.upper)
    ET.SubElement(
        body,
        "geom",
        type="box",
        pos=" ".join(f"{value:.5f}" for value in (lower + upper) / 2),
        size=" ".join(f"{value:.5f}" for value in (upper - lower) / 2),
        **attributes,
    )
