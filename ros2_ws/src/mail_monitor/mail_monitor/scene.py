"""What a display draws: lines and words in the base frame, for RViz and browser alike.

Colours are RGB in [0, 1]. Fading is done with colours instead of transparency, which not every
display has for lines.
"""

from dataclasses import dataclass
from itertools import product
from textwrap import wrap

import numpy as np

from mail_monitor.seen import Snapshot
from mail_monitor.status_lines import age_lines, headline, policy_line
from mail_policy.core.frames import Array
from mail_policy.core.motion.config import EnvelopeConfig

Colour = tuple[float, float, float]
PREDICTED_NEAR: Colour = (1.0, 0.55, 0.0)
PREDICTED_FAR: Colour = (0.45, 0.10, 0.35)
EXECUTED_OLD: Colour = (0.10, 0.25, 0.35)
EXECUTED_NEW: Colour = (0.10, 0.80, 1.0)
BOX: Colour = (0.30, 0.33, 0.37)
BOX_HIT: Colour = (1.0, 0.15, 0.15)
TEXT: Colour = (0.95, 0.95, 0.95)

_PATH_WIDTH_M, _BOX_WIDTH_M = 0.010, 0.004
# Above the arm, and beside it.
_STATE_PLACE_M, _STATE_HEIGHT_M = (0.3, 0.0, 1.10), 0.045
_INPUTS_PLACE_M, _INPUTS_HEIGHT_M = (0.3, -0.95, 0.75), 0.03
_LINE_LENGTH = 64


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Straight lines.

    Attributes:
        name: Of the group; the same name replaces what was drawn before.
        ends_m: Both ends of every line [m], shape (n, 2, 3).
        colours: At both ends, shape (n, 2, 3).
        width_m: Width of the lines [m].
    """

    name: str
    ends_m: Array
    colours: Array
    width_m: float


@dataclass(frozen=True, slots=True)
class Label:
    """Words at a place.

    Attributes:
        name: The same name replaces what was drawn before.
        text: May have several lines.
        place_m: In the base frame [m].
        height_m: Of a capital letter [m].
    """

    name: str
    text: str
    place_m: tuple[float, float, float]
    height_m: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is drawn beside the robot."""

    segments: tuple[Segments, ...]
    state: Label
    inputs: Label


def build_scene(snapshot: Snapshot, envelope: EnvelopeConfig) -> Scene:
    """Return what to draw.

    Args:
        snapshot: What is known.
        envelope: Limits in space; its box of the TCP is drawn.
    """
    predicted = snapshot.predicted.points_m
    executed = snapshot.executed_m
    return Scene(
        segments=(
            path_segments("predicted", predicted, PREDICTED_NEAR, PREDICTED_FAR),
            path_segments("executed", executed, EXECUTED_OLD, EXECUTED_NEW),
            box_segments(envelope, is_hit=bool(snapshot.limits)),
        ),
        state=Label("state", _wrapped(headline(snapshot)), _STATE_PLACE_M, _STATE_HEIGHT_M),
        inputs=Label(
            "inputs",
            _wrapped([policy_line(snapshot), *age_lines(snapshot)]),
            _INPUTS_PLACE_M,
            _INPUTS_HEIGHT_M,
        ),
    )


def path_segments(name: str, points_m: Array, first: Colour, last: Colour) -> Segments:
    """Return a path whose colour changes from its first point to its last.

    Args:
        name: Of the group.
        points_m: In the base frame [m], shape (n, 3).
        first: Colour of the first point.
        last: Colour of the last point.
    """
    shares = np.linspace(0.0, 1.0, len(points_m))[:, None]
    colours = (1.0 - shares) * np.array(first) + shares * np.array(last)
    return Segments(name, _pairs(points_m), _pairs(colours), _PATH_WIDTH_M)


def box_segments(envelope: EnvelopeConfig, *, is_hit: bool) -> Segments:
    """Return the twelve edges of the box in which the TCP may be."""
    corners = np.array(list(product(*zip(envelope.tcp_lower_m, envelope.tcp_upper_m, strict=True))))
    differs = (corners[:, None] != corners[None]).sum(axis=-1)
    first, second = np.nonzero(np.triu(differs == 1))
    ends_m = np.stack([corners[first], corners[second]], axis=1)
    colours = np.broadcast_to(np.array(BOX_HIT if is_hit else BOX), ends_m.shape)
    return Segments("workspace", ends_m, colours, _BOX_WIDTH_M)


def _wrapped(lines: list[str]) -> str:
    return "\n".join(part for line in lines for part in wrap(line, _LINE_LENGTH) or [""])


def _pairs(rows: Array) -> Array:
    """Return every row with the one after it, shape (n - 1, 2, 3)."""
    pairs: Array = np.stack([rows[:-1], rows[1:]], axis=1)
    return pairs
