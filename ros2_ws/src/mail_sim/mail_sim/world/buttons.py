"""Two buttons on the table whose colour can change: the furniture of the memory tasks.

They stand only in the scenes of those tasks, left and right of the robot's middle.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import numpy as np

from mail_policy.core.frames import Array
from mail_sim.world.furniture import GRIPPY

# Where they stand [m], by name; left and right as the robot sees them.
BUTTONS = {"left": np.array([0.36, 0.16]), "right": np.array([0.36, -0.16])}
BUTTON_HEIGHT_M = 0.06
_RADIUS_M = 0.06

Colour = tuple[float, float, float, float]
DARK: Colour = (0.12, 0.12, 0.14, 1.0)
YELLOW: Colour = (1.0, 0.85, 0.05, 1.0)
GREEN: Colour = (0.05, 0.80, 0.25, 1.0)

# The TCP presses below the first height above the table [m] and lets go above the second one.
PRESS_HEIGHT_M = BUTTON_HEIGHT_M + 0.035
RELEASE_HEIGHT_M = BUTTON_HEIGHT_M + 0.10
_PRESS_RADIUS_M = _RADIUS_M + 0.01


def add_buttons(worldbody: ET.Element) -> None:
    """Add both buttons, dark."""
    for name, (x_m, y_m) in BUTTONS.items():
        ET.SubElement(
            worldbody,
            "geom",
            name=_geom(name),
            type="cylinder",
            size=f"{_RADIUS_M} {BUTTON_HEIGHT_M / 2}",
            pos=f"{x_m} {y_m} {BUTTON_HEIGHT_M / 2}",
            rgba=" ".join(map(str, DARK)),
            **GRIPPY,
        )


def paint(model: Any, colours: Mapping[str, Colour]) -> None:
    """Give buttons a colour, by name; those that are not named become dark."""
    for name in BUTTONS:
        model.geom(_geom(name)).rgba = colours.get(name, DARK)


class ButtonWatch:
    """Notices when the hand presses a button. A held button counts once."""

    def __init__(self) -> None:
        self._is_down = False

    def newly_pressed(self, tcp: Array) -> str | None:
        """Return the button that is pressed now and was not before, None if there is none.

        Args:
            tcp: Position of the TCP in the base frame [m], shape (3,).
        """
        if self._is_down:
            self._is_down = bool(tcp[2] <= RELEASE_HEIGHT_M)
            return None
        for name, place in BUTTONS.items():
            if tcp[2] < PRESS_HEIGHT_M and np.linalg.norm(tcp[:2] - place) < _PRESS_RADIUS_M:
                self._is_down = True
                return name
        return None


def _geom(name: str) -> str:
    return f"{name}_button"
