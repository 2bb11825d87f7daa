"""Turns the furnished scene of the running twin into one for calibration."""

import xml.etree.ElementTree as ET

import numpy as np

from calibration.board import BoardConfig
from mail_policy.core.frames import make_transform
from mail_policy.core.kinematics import TCP_TO_HAND_M
from mail_sim.world.board_place import BoardPlace
from mail_sim.world.calibration_board import BOARD_ON_HAND, BOARD_ON_TABLE, add_board
from mail_sim.world.scene import PREFIX

# Where the furniture waits, behind the robot and out of sight. On the table's plane, because
# physics goes on for it.
_AWAY_M = -2.0
_FURNITURE = ("cabinet", "red_block", "blue_block", "bowl")


def set_up_board(scene: ET.Element, place: BoardPlace, config: BoardConfig) -> None:
    """Put the furniture away and a board in its place; nothing changes without a board.

    Args:
        scene: The furnished tree of a simulator that has not started.
        place: Where the board goes.
        config: Which board.
    """
    if place is BoardPlace.NONE:
        return
    worldbody = scene.find("worldbody")
    assert worldbody is not None, "the scene has a worldbody"
    for body in worldbody.findall("body"):
        if body.get("name") in _FURNITURE:
            x, y, z = map(float, body.get("pos", "0 0 0").split())
            body.set("pos", f"{x + _AWAY_M} {y} {z}")
    if place is BoardPlace.TABLE:
        add_board(scene, worldbody, config, BOARD_ON_TABLE)
        return
    hand = next(body for body in scene.iter("body") if body.get("name") == f"{PREFIX}hand")
    tcp_to_hand = make_transform(np.eye(3), np.array([0.0, 0.0, TCP_TO_HAND_M]))
    add_board(scene, hand, config, tcp_to_hand @ BOARD_ON_HAND)
