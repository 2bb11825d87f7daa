"""Where the twin's scene shows a calibration board."""

from enum import StrEnum


class BoardPlace(StrEnum):
    """The board lies before a camera on the hand, or the hand holds it before one on a stand."""

    NONE = "none"
    TABLE = "table"
    HAND = "hand"
