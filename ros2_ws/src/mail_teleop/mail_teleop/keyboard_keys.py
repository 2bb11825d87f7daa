"""What the characters of a terminal mean. Pure: bytes in, keys out."""

from dataclasses import dataclass

import numpy as np

from mail_policy.core.frames import Array
from mail_teleop.readings import AXES, GripperAction, OperatorKey

# Of each axis, the key that pushes it forward and the one that pushes it back.
_MOTION_KEYS = {
    "x": ("w", "s"),
    "y": ("a", "d"),
    "z": ("q", "e"),
    "roll": ("o", "u"),
    "pitch": ("k", "i"),
    "yaw": ("j", "l"),
}
_GRIPPER_KEYS = {
    "g": GripperAction.TOGGLE,
    ",": GripperAction.CLOSE,
    ".": GripperAction.OPEN,
}
SWITCH_KEY = "c"
HELP_KEY = "h"
_OPERATOR_KEYS = {
    " ": OperatorKey.ESTOP,
    "escape": OperatorKey.STOP,
    "r": OperatorKey.START,
    "right": OperatorKey.SAVE,
    "\n": OperatorKey.SAVE,
    "\r": OperatorKey.SAVE,
    "left": OperatorKey.RERECORD,
    "\x7f": OperatorKey.DISCARD,
    "\x08": OperatorKey.DISCARD,
    "y": OperatorKey.SUCCESS,
    "n": OperatorKey.FAILURE,
    "p": OperatorKey.RESUME,
    "+": OperatorKey.FASTER,
    "=": OperatorKey.FASTER,
    "-": OperatorKey.SLOWER,
    "_": OperatorKey.SLOWER,
}
_ESCAPE = 0x1B
# In the normal and in the application mode of the cursor keys.
_CURSOR_KEYS = {b"[A": "up", b"[B": "down", b"[C": "right", b"[D": "left"}
_CURSOR_KEYS |= {b"O" + code[1:]: name for code, name in _CURSOR_KEYS.items()}
_LONGEST_SEQUENCE = 16

_MOTION_HELP = """\
hold a key to move, let go to stop:
  w s  away, back      a d  left, right     q e  up, down
  o u  roll            i k  pitch           j l  yaw
  g toggles the gripper (, closes, . opens); c holds the switch without motion
"""
_SWITCH_HELP = """\
  c    dead-man switch if it is on this keyboard: hold it
  g toggles the gripper (, closes, . opens) while the switch is held
"""
_KEYS_HELP = """\
  SPACE     emergency stop           ESC  stop the arm, end the episode
  r         start an episode         right arrow, Enter  end and save it
  y  n      end it: success, failure left arrow  discard it and record it again
  Backspace discard it               p  give the arm back to the policy
  + -       faster, slower           h  this help
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyboardConfig:
    """A keyboard behind a terminal.

    Attributes:
        hold_s: How long one character counts as a held key [s]. A terminal tells no release, so
            this is the length of a tap, and the time until a release is noticed. Must be longer
            than the pause between the repeats of a held key, usually 0.03 s.
    """

    hold_s: float = 0.15

    def __post_init__(self) -> None:
        """Refuse a key that would hardly ever, or far too long, count as held."""
        if not 0.05 <= self.hold_s <= 0.3:
            raise ValueError(f"hold_s must be in [0.05, 0.3] s, got {self.hold_s}")


@dataclass(frozen=True, slots=True, eq=False)
class KeyMeaning:
    """What a key does; nothing if all are empty.

    Attributes:
        motion: The push while it is held, in the order of AXES, shape (6,).
        is_held: It counts as the dead-man switch while it is held.
        gripper: What it asks of the gripper.
        operator: What it asks for besides.
    """

    motion: Array
    is_held: bool = False
    gripper: GripperAction | None = None
    operator: OperatorKey | None = None


def help_text(*, moves: bool) -> str:
    """Return the keys in words, for a terminal that moves the arm or stands beside a device."""
    return (_MOTION_HELP if moves else _SWITCH_HELP) + _KEYS_HELP


def meaning(key: str) -> KeyMeaning:
    """Return what a key means. Capitals mean the same: caps lock must not disarm a key."""
    key = key.lower()
    still = np.zeros(len(AXES))
    for axis, keys in _MOTION_KEYS.items():
        if key in keys:
            still[AXES.index(axis)] = 1.0 if key == keys[0] else -1.0
            return KeyMeaning(still, is_held=True)
    gripper = _GRIPPER_KEYS.get(key)
    is_held = gripper is not None or key == SWITCH_KEY
    return KeyMeaning(still, is_held, gripper, _OPERATOR_KEYS.get(key))


class KeyDecoder:
    """Cuts the bytes of a terminal into keys.

    A sequence that is not complete waits for its rest; a lone ESC is the key only once nothing
    followed it, because the cursor keys begin with it.
    """

    def __init__(self) -> None:
        self._rest = b""

    @property
    def is_waiting(self) -> bool:
        """Whether a sequence has begun that is not complete."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[str]:
        """Return the keys in the bytes, for example "w" or "left"."""
        buffer, keys = self._rest + data, []
        while buffer:
            length, key = _first_key(buffer)
            if not length:
                break
            buffer = buffer[length:]
            if key:
                keys.append(key)
        self._rest = buffer
        return keys

    def flush(self) -> list[str]:
        """Give up waiting: what is left is the key ESC, or the start of nothing known."""
        rest, self._rest = self._rest, b""
        return ["escape"] if rest == bytes([_ESCAPE]) else []


def _first_key(buffer: bytes) -> tuple[int, str]:
    """Return how many bytes make the first key, 0 if more are needed, and its name."""
    if buffer[0] != _ESCAPE:
        # Beyond ASCII no key has a meaning here.
        return 1, chr(buffer[0]) if buffer[0] < 0x80 else ""
    if len(buffer) == 1:
        return 0, ""
    if buffer[1:2] not in (b"[", b"O"):
        # Two ESC, or a key with Alt.
        return 1, "escape" if buffer[1] == _ESCAPE else ""
    for end in range(2, min(len(buffer), _LONGEST_SEQUENCE)):
        if 0x40 <= buffer[end] <= 0x7E:
            return end + 1, _CURSOR_KEYS.get(buffer[1 : end + 1], "")
    return (0, "") if len(buffer) < _LONGEST_SEQUENCE else (len(buffer), "")
