"""How scenes may look different from episode to episode: cameras, lights, paints.

Chosen when demonstrations are collected or policies are tested; the benchmark itself has none.
Physics is never varied, so a seed gives the same motion of the expert with or without it.
"""

from dataclasses import dataclass
from typing import Any, Self

import mujoco
import numpy as np

from mail_policy.core.frames import Array, rotation_from_vector
from mail_sim.world.scene import CAMERAS

# How far cameras may be moved [m] and turned [rad]: one on a stand, one in its mount.
_CAMERA_SHIFT_M = {"agentview": 0.04, "wrist": 0.005}
_CAMERA_TURN_RAD = {"agentview": 0.04, "wrist": 0.02}
_LIGHT_SHIFT_M = 0.8
_LIGHT_TURN_RAD = 0.5
# Factors of all colours together and of each one.
_BRIGHTNESS, _TINT = (0.6, 1.4), (0.88, 1.12)
_PAINT_BRIGHTNESS, _PAINT_TINT = (0.6, 1.5), (0.75, 1.3)
# What shares a paint. Blocks and bowl keep theirs, since tasks name their colours.
_PAINTED = (("table_top",), ("room_floor",), ("wood", "front", "inside"))
_VARIED = ("cam_pos", "cam_quat", "light_pos", "light_dir", "light_diffuse", "mat_rgba")
_STREAM = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Variation:
    """What differs between episodes.

    Attributes:
        camera: Places and directions of the cameras.
        light: Places, brightness and colours of the lamps.
        texture: Colours of table, floor and cabinet.
    """

    camera: bool = False
    light: bool = False
    texture: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read kinds separated by commas, "" for none. Raises ValueError for unknown ones."""
        wanted = [word.strip() for word in text.split(",") if word.strip()]
        known = list(_VARY)
        for word in wanted:
            if word not in known:
                raise ValueError(f"variation must be of {', '.join(known)}, got {word!r}")
        return cls(**dict.fromkeys(wanted, True))

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return ",".join(kind for kind in _VARY if getattr(self, kind))


class Appearance:
    """Dresses a model for an episode, always starting from how it looked first."""

    def __init__(self, model: Any, variation: Variation) -> None:
        self._model, self._variation = model, variation
        self._plain = {name: getattr(model, name).copy() for name in _VARIED}

    def dress(self, seed: int) -> None:
        """Give the model the looks of a seed; places take effect with the next `mj_forward`."""
        for name, values in self._plain.items():
            getattr(self._model, name)[:] = values
        # Each kind has its own numbers, so that switching one on leaves the others as they were.
        for number, (kind, vary) in enumerate(_VARY.items()):
            if getattr(self._variation, kind):
                vary(self._model, np.random.default_rng([seed, _STREAM, number]))


def _vary_cameras(model: Any, random: np.random.Generator) -> None:
    for name in CAMERAS:
        camera = model.camera(name)
        camera.pos += _CAMERA_SHIFT_M[name] * random.uniform(-1.0, 1.0, 3)
        turn = np.zeros(4)
        rotation = rotation_from_vector(_CAMERA_TURN_RAD[name] * random.uniform(-1.0, 1.0, 3))
        mujoco.mju_mat2Quat(turn, rotation.ravel())
        mujoco.mju_mulQuat(camera.quat, camera.quat.copy(), turn)


def _vary_lights(model: Any, random: np.random.Generator) -> None:
    for light in range(model.nlight):
        model.light_pos[light] += _LIGHT_SHIFT_M * random.uniform(-1.0, 1.0, 3)
        turn = rotation_from_vector(_LIGHT_TURN_RAD * random.uniform(-1.0, 1.0, 3))
        model.light_dir[light] = turn @ model.light_dir[light]
        model.light_diffuse[light] *= _colour_factors(random, _BRIGHTNESS, _TINT)


def _vary_paints(model: Any, random: np.random.Generator) -> None:
    for materials in _PAINTED:
        factors = _colour_factors(random, _PAINT_BRIGHTNESS, _PAINT_TINT)
        for name in materials:
            rgba = model.material(name).rgba
            rgba[:3] = np.minimum(rgba[:3] * factors, 1.0)


def _colour_factors(
    random: np.random.Generator, brightness: tuple[float, float], tint: tuple[float, float]
) -> Array:
    factors: Array = random.uniform(*brightness) * random.uniform(*tint, size=3)
    return factors


_VARY = {"camera": _vary_cameras, "light": _vary_lights, "texture": _vary_paints}
