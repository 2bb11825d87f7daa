"""Where things are at the start of an episode.

All tasks share one distribution, so that the first picture does not give the task away: both
drawers stand ajar by a random amount, whatever the task is.
"""

from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from mail_sim.world.buttons import BUTTONS
from mail_sim.world.furniture import BLOCK_SIZE_M, BOWL_RADIUS_M

DRAWERS = ("top", "bottom")
OBJECTS = ("red_block", "blue_block", "bowl")

_CABINET_CENTRE = np.array([0.76, 0.20])
_CABINET_SPREAD_M = np.array([0.02, 0.03])
_CABINET_SPREAD_RAD = 0.12
_AJAR_M = (0.02, 0.05)
_OBJECTS_LOWER = np.array([0.36, -0.28])
_OBJECTS_UPPER = np.array([0.52, -0.06])
_OBJECT_SPREAD_RAD = np.pi / 4
_GAP_M = 0.025
_BLOCK_REACH_M = BLOCK_SIZE_M / np.sqrt(2.0)
_REACH_M = {"red_block": _BLOCK_REACH_M, "blue_block": _BLOCK_REACH_M, "bowl": BOWL_RADIUS_M}
_ARM_SPREAD_RAD = 0.03
# Streams of random numbers that share a seed must not share numbers.
_SCENE_STREAM, _ARM_STREAM, _CUE_STREAM = 1, 2, 4
# How far the objects move aside [m] for the buttons of the memory tasks.
_ASIDE_M = -0.30


@dataclass(frozen=True, slots=True)
class Place:
    """A place on the table.

    Attributes:
        x_m: Base frame [m].
        y_m: Base frame [m].
        yaw_rad: Turn about the vertical [rad].
    """

    x_m: float
    y_m: float
    yaw_rad: float


@dataclass(frozen=True, slots=True)
class SceneLayout:
    """Where everything is.

    Attributes:
        cabinet: Place of the cabinet's centre; drawers open towards its own -x.
        openings_m: How far each drawer is open [m], by name.
        objects: Place of each loose object, by name.
        cued_button: Which button lights up in a memory task; "" in a scene without buttons.
    """

    cabinet: Place
    openings_m: dict[str, float]
    objects: dict[str, Place]
    cued_button: str = ""


def sample_layout(seed: int) -> SceneLayout:
    """Draw a layout. The same seed gives the same layout on every machine."""
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    random = np.random.default_rng([seed, _SCENE_STREAM])
    x_m, y_m = _CABINET_CENTRE + _CABINET_SPREAD_M * random.uniform(-1.0, 1.0, 2)
    cabinet = Place(float(x_m), float(y_m), _CABINET_SPREAD_RAD * random.uniform(-1.0, 1.0))
    openings_m = {name: random.uniform(*_AJAR_M) for name in DRAWERS}
    return SceneLayout(cabinet, openings_m, _sample_objects(random))


def sample_button_layout(seed: int) -> SceneLayout:
    """Draw a layout whose objects stand aside of the buttons, and the button that lights up.

    Of two consecutive seeds, the first one even, each has another button.
    """
    layout = sample_layout(seed)
    objects = {
        name: replace(place, y_m=place.y_m + _ASIDE_M) for name, place in layout.objects.items()
    }
    order = np.random.default_rng([seed // 2, _CUE_STREAM]).permutation(list(BUTTONS))
    return replace(layout, objects=objects, cued_button=str(order[seed % 2]))


def _sample_objects(random: np.random.Generator) -> dict[str, Place]:
    """Draw places until the objects keep their distance from each other."""
    while True:
        centres = random.uniform(_OBJECTS_LOWER, _OBJECTS_UPPER, (len(OBJECTS), 2))
        gaps_m = [
            np.linalg.norm(centres[i] - centres[j]) - _REACH_M[OBJECTS[i]] - _REACH_M[OBJECTS[j]]
            for i in range(len(OBJECTS))
            for j in range(i)
        ]
        if min(gaps_m) >= _GAP_M:
            break
    yaws_rad = random.uniform(-_OBJECT_SPREAD_RAD, _OBJECT_SPREAD_RAD, len(OBJECTS))
    return {
        name: Place(float(x_m), float(y_m), float(yaw_rad))
        for name, (x_m, y_m), yaw_rad in zip(OBJECTS, centres, yaws_rad, strict=True)
    }


def sample_arm_start(seed: int) -> Array:
    """Draw joint positions near home [rad], shape (7,), to start an episode from."""
    random = np.random.default_rng([seed, _ARM_STREAM])
    return HOME_JOINT_POSITIONS + _ARM_SPREAD_RAD * random.uniform(-1.0, 1.0, 7)


def apply_layout(model: Any, data: Any, layout: SceneLayout) -> None:
    """Put cabinet, drawers and objects to their places, at rest. The arm is left alone.

    The caller runs `mj_forward` afterwards.

    Args:
        model: MuJoCo model of the scene.
        data: Its state.
        layout: Where things go.
    """
    cabinet = model.body("cabinet").mocapid[0]
    data.mocap_pos[cabinet] = (layout.cabinet.x_m, layout.cabinet.y_m, 0.0)
    data.mocap_quat[cabinet] = _yaw_quaternion(layout.cabinet.yaw_rad)
    for name, opening_m in layout.openings_m.items():
        joint = model.joint(f"{name}_drawer_slide")
        data.qpos[joint.qposadr[0]] = opening_m
        _rest(data, joint.dofadr[0], 1)
    for name, place in layout.objects.items():
        joint = model.joint(f"{name}_free")
        height_m = 0.0 if name == "bowl" else BLOCK_SIZE_M / 2
        start = joint.qposadr[0]
        data.qpos[start : start + 3] = (place.x_m, place.y_m, height_m)
        data.qpos[start + 3 : start + 7] = _yaw_quaternion(place.yaw_rad)
        _rest(data, joint.dofadr[0], 6)


def _rest(data: Any, first: int, count: int) -> None:
    chosen = slice(first, first + count)
    for array in (data.qvel, data.qacc, data.qacc_warmstart, data.qfrc_applied):
        array[chosen] = 0.0


def _yaw_quaternion(yaw_rad: float) -> Array:
    """Return a turn about the vertical as MuJoCo writes it: wxyz."""
    quaternion_wxyz = np.zeros(4)
    mujoco.mju_axisAngle2Quat(quaternion_wxyz, np.array([0.0, 0.0, 1.0]), yaw_rad)
    return quaternion_wxyz
