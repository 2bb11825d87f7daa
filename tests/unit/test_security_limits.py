"""A file of settings can only tighten what a real arm may do; no number of it is forgotten."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mail_franka.arm_config import LONGEST_DEAD_MAN_S, ArmConfig
from mail_franka.ceilings import AT_LEAST, AT_MOST, BOXES, FARTHEST_CORNER_M
from mail_policy.core.config import build_config, load_config, to_plain
from mail_policy.core.motion.config import HIGHEST_POLICY_SPEED_M_S

ARM_FILE = Path(__file__).parents[2] / "launch" / "config" / "arm.yaml"
ROBOT = "172.16.0.2"
# Ranges that hold wherever the settings are used: the loosest sound value, and one beyond.
RANGES = {
    "franky.acceleration_share": (1.0, 1.001),
    "franky.jerk_share": (1.0, 1.001),
    "franky.dead_man_s": (LONGEST_DEAD_MAN_S, 0.201),
    "franky.collision_torque_nm": (87.0, 87.1),
    "franky.collision_force_n": (100.0, 100.1),
    "gripper.max_width_m": (0.08, 0.081),
    "gripper.max_speed_m_s": (0.1, 0.101),
    "gripper.max_force_n": (70.0, 70.1),
    "gripper.speed_m_s": (0.1, 0.101),
    "gripper.force_n": (70.0, 70.1),
    "motion.joints.velocity": (1.0, 1.001),
    "motion.joints.acceleration": (0.8, 1.001),
    "motion.joints.jerk": (0.5, 1.001),
    # Braking that is weaker than motion is refused.
    "motion.joints.braking_acceleration": (0.5, 0.499),
    "motion.joints.braking_jerk": (0.1, 0.099),
    "motion.envelope.speed_m_s": (HIGHEST_POLICY_SPEED_M_S, 0.601),
}
# Numbers that limit nothing: facts about device and room, pauses, and the shape of joins, whose
# result the limits filter bounds.
FREE = {
    "franky.connect_timeout_s",
    "franky.load_kg",
    "gripper.close_below_m",
    "gripper.open_above_m",
    "gripper.command_period_s",
    "gripper.command_timeout_s",
    "gripper.homing_timeout_s",
    "gripper.read_period_s",
    "gripper.reopen_s",
    "loop.reconnect_s",
    "loop.reply_s",
    "motion.join.blend_s",
    "motion.join.longest_blend_s",
    "motion.join.blend_speed_share",
    "motion.join.ensemble_decay",
    "motion.join.ensemble_size",
    "motion.admission.step_period_s",
    "motion.envelope.camera_mount_m",
    "motion.envelope.camera_mount_radius_m",
    "motion.homing.tolerance_rad",
    "motion.homing.release_s",
    "motion.homing.retreat_m",
    "motion.homing.near_rad",
}


def numbers(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of everything in a config that is no choice."""
    for item in dataclasses.fields(config):
        name, value = f"{prefix}{item.name}", getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            yield from numbers(value, f"{name}.")
        elif not isinstance(value, bool | str) and name != "motion.admission.schemas":
            yield name, value


def of_robot(name: str, value: Any) -> ArmConfig:
    """Read settings in which one value is changed, as a real arm would."""
    content = to_plain(ArmConfig())
    *sections, key = name.split(".")
    place = content
    for section in sections:
        place = place[section]
    place[key] = list(value) if isinstance(value, tuple) else value
    return build_config(ArmConfig, content, where="arm.yaml").for_address(ROBOT)


DEFAULTS = {name: value for name, value in numbers(ArmConfig()) if not name.startswith("twin.")}


def nudged(value: float, share: float) -> float:
    """Return a value a little above (or below) another; whole numbers stay whole."""
    if isinstance(value, int):
        return value + int(math.copysign(max(1, round(abs(value * share))), share))
    return value * (1.0 + share)


def test_every_number_of_the_arm_is_a_limit_or_known_to_be_none() -> None:
    assert {*AT_MOST, *AT_LEAST, *BOXES, *RANGES} | FREE == set(DEFAULTS)
    assert not {*AT_MOST, *AT_LEAST, *BOXES, *RANGES} & FREE


def test_the_arm_file_that_we_ship_is_tight_enough_for_a_robot() -> None:
    config = load_config(ArmConfig, ARM_FILE)
    assert config.for_address(ROBOT) is config
    shipped = yaml.safe_load(ARM_FILE.read_text())
    assert shipped["motion"]["watchdogs"]["estop_required"] is True


@pytest.mark.parametrize("share", [1e-6, 1e6])
@pytest.mark.parametrize("name", [*AT_MOST, *AT_LEAST])
def test_a_looser_value_is_refused_by_name(name: str, share: float) -> None:
    looser = nudged(DEFAULTS[name], share if name in AT_MOST else -share)
    with pytest.raises(ValueError, match=name.rsplit(".", 1)[1]):
        of_robot(name, looser)


@pytest.mark.parametrize("share", [1e-6, 0.05])
@pytest.mark.parametrize("name", [*AT_MOST, *AT_LEAST])
def test_a_tighter_value_is_accepted(name: str, share: float) -> None:
    tighter = nudged(DEFAULTS[name], -share if name in AT_MOST else share)
    of_robot(name, tighter)


@pytest.mark.parametrize("name", RANGES)
def test_a_range_ends_where_it_says(name: str) -> None:
    inside, outside = RANGES[name]
    of_robot(name, inside)
    with pytest.raises(ValueError, match=name.split(".")[1].split("_")[0]):
        of_robot(name, outside)


@pytest.mark.parametrize("name", sorted({*AT_MOST, *AT_LEAST, *RANGES}))
def test_what_is_no_number_is_refused(name: str) -> None:
    for nonsense in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match=name.split(".")[-1].split("_")[0]):
            of_robot(name, nonsense)


@pytest.mark.parametrize("name", BOXES)
@pytest.mark.parametrize("far_m", [FARTHEST_CORNER_M + 0.01, math.inf, math.nan])
def test_a_box_that_bounds_nothing_is_refused(name: str, far_m: float) -> None:
    sign = -1.0 if name.endswith("lower_m") else 1.0
    corner = (sign * far_m, *DEFAULTS[name][1:])
    with pytest.raises(ValueError, match=r"_(lower|upper)_m must be"):
        of_robot(name, corner)
