"""The reports of a SpaceMouse. Pure: bytes in, pushes and buttons out.

Layouts as in spacenavd and in the Linux driver hid-3dconnexion: older models report translation (1)
and rotation (2) apart, newer ones both in report 1; buttons are a bit mask in report 3.
"""

import struct
from dataclasses import dataclass, field

import numpy as np

from mail_policy.core.frames import Array
from mail_teleop.readings import OperatorKey

_TRANSLATION, _ROTATION, _BUTTONS = 1, 2, 3
# The device counts x to the right, y towards the person, z down.
_TO_AWAY_LEFT_UP = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


@dataclass(frozen=True, kw_only=True, slots=True)
class SpaceMouseConfig:
    """A 3Dconnexion SpaceMouse.

    Attributes:
        path: Its hidraw device; "" for the first one found.
        switch_button: Number of the button that is the dead-man switch, from 0.
        gripper_button: Number of the button that opens and closes the gripper.
        keys: What other buttons ask for, by their numbers.
        full_scale: Count at full push.
    """

    path: str = ""
    switch_button: int = 0
    gripper_button: int = 1
    keys: dict[str, OperatorKey] = field(default_factory=dict)
    full_scale: float = 350.0

    def __post_init__(self) -> None:
        """Refuse buttons with two meanings, and numbers that are none."""
        buttons = [self.switch_button, self.gripper_button]
        for name in self.keys:
            if not str(name).isdigit():
                raise ValueError(f"keys: expected the number of a button, got {name!r}")
            buttons.append(int(name))
        if len(set(buttons)) != len(buttons) or not all(0 <= b < 32 for b in buttons):
            raise ValueError(f"buttons must be different and from 0 to 31, got {buttons}")
        if not self.full_scale > 0:
            raise ValueError(f"full_scale must be greater than 0, got {self.full_scale}")


class SpaceMouseState:
    """What the cap and the buttons did last.

    Args:
        full_scale: Count at full push.
    """

    def __init__(self, full_scale: float) -> None:
        self._full_scale = full_scale
        self._counts = np.zeros(6)
        self.buttons = 0

    @property
    def motion(self) -> Array:
        """Pushes and rotations, -1 to 1, in the order of AXES, shape (6,)."""
        shares = self._counts / self._full_scale
        return np.concatenate([_TO_AWAY_LEFT_UP @ shares[:3], _TO_AWAY_LEFT_UP @ shares[3:]])

    def take(self, report: bytes) -> bool:
        """Take a report; False if it is none that is known."""
        kind, body = (report[0], report[1:]) if report else (0, b"")
        if kind == _TRANSLATION and len(body) >= 12:
            self._counts[:] = struct.unpack("<6h", body[:12])
        elif kind == _TRANSLATION and len(body) >= 6:
            self._counts[:3] = struct.unpack("<3h", body[:6])
        elif kind == _ROTATION and len(body) >= 6:
            self._counts[3:] = struct.unpack("<3h", body[:6])
        elif kind == _BUTTONS and body:
            self.buttons = int.from_bytes(body[:4], "little")
        else:
            return False
        return True
