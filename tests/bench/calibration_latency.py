"""Delays that are known, hidden in signals as bad as real ones, for `mailctl bench calibration`."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np

from calibration.latency import LatencyConfig, Signal, estimate_latency, signal_from_samples
from calibration.latency_motions import Chirp, WidthCommand, commanded_width
from calibration.latency_pictures import picture_motion
from mail_policy.core.frames import Array
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from mail_sim.world.pictures import Pictures
from mail_sim.world.scene import ARM_JOINTS, direct_scene_xml

ARM_MOTION = Chirp(amplitude=0.04)
CAMERA_MOTION = Chirp(amplitude=0.04, duration_s=7.0, fade_s=1.5)
HAND_SPEED_M_S = 0.1
HAND_WIDTHS_M = (0.02, 0.07, 0.04, 0.06, 0.01, 0.05, 0.03, 0.08)
PICTURE_RATE_HZ = 20.0
IMAGE_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class Flaws:
    """What is wrong with measured samples.

    Attributes:
        noise: Standard deviation, as a share of the motion's amplitude.
        jitter_s: Standard deviation of the distance between samples [s].
        drops: Share of samples that are lost.
    """

    noise: float = 0.05
    jitter_s: float = 0.002
    drops: float = 0.1


def samples(
    motion: Callable[[Array], Array],
    amplitude: float,
    duration_s: float,
    rate_hz: float,
    flaws: Flaws,
    rng: np.random.Generator,
) -> Signal:
    """Sample a motion from 1 s before it to 1 s after it."""
    times_s = np.arange(-1.0, duration_s + 1.0, 1.0 / rate_hz)
    times_s = times_s + rng.normal(0.0, flaws.jitter_s, len(times_s))
    times_s = times_s[rng.random(len(times_s)) >= flaws.drops]
    noise = rng.normal(0.0, flaws.noise * amplitude, len(times_s))
    return signal_from_samples(times_s, motion(times_s) + noise)


def arm_signals(
    latency_s: float, rng: np.random.Generator, flaws: Flaws | None = None
) -> tuple[Signal, Signal]:
    """Return commanded and measured positions of a joint, the latter late [rad]."""
    flaws, motion = flaws or Flaws(), ARM_MOTION
    clean = Flaws(noise=0.0, jitter_s=0.001, drops=0.0)
    limits = motion.amplitude, motion.duration_s
    return (
        samples(motion.at, *limits, 50.0, clean, rng),
        samples(lambda t: motion.at(t - latency_s), *limits, 100.0, flaws, rng),
    )


def hand_signals(latency_s: float, rng: np.random.Generator) -> tuple[Signal, Signal]:
    """Return commanded and measured widths of a hand, the latter late [m]."""
    sent_s = np.cumsum(rng.uniform(1.0, 1.8, len(HAND_WIDTHS_M)))
    commands = tuple(
        WidthCommand(float(at_s), width_m, HAND_SPEED_M_S)
        for at_s, width_m in zip(sent_s, HAND_WIDTHS_M, strict=True)
    )
    end_s = float(sent_s[-1]) + 2.0
    reference = commanded_width(0.08, commands, end_s)
    times_s = np.arange(reference.times_s[0], end_s, 0.05) + rng.normal(0.0, 0.003)
    widths_m = reference.at(times_s - latency_s) + rng.normal(0.0, 0.0005, len(times_s))
    return reference, signal_from_samples(times_s, widths_m)


def camera_signals(latency_s: float, rng: np.random.Generator) -> tuple[Signal, Signal]:
    """Return positions of joint 1 [rad], and what the twin's wrist camera shows of it, late."""
    motion = CAMERA_MOTION
    clean = Flaws(noise=0.001, jitter_s=0.001, drops=0.0)
    joint = samples(motion.at, motion.amplitude, motion.duration_s, 100.0, clean, rng)
    times_s = np.arange(-0.5, motion.duration_s + 0.5, 1.0 / PICTURE_RATE_HZ)
    times_s = times_s[rng.random(len(times_s)) > 0.05]
    shown = picture_motion(rendered(motion.at(times_s - latency_s), rng))
    return joint, Signal(times_s, shown)


def rendered(angles_rad: Array, rng: np.random.Generator) -> list[Array]:
    """Return noisy pictures of the twin's wrist camera for angles of joint 1 from home [rad]."""
    model = mujoco.MjModel.from_xml_string(direct_scene_xml())
    data = mujoco.MjData(model)
    places = [model.joint(name).qposadr[0] for name in ARM_JOINTS]
    pictures, shots = Pictures(model, IMAGE_SIZE, IMAGE_SIZE), []
    try:
        for angle_rad in angles_rad:
            data.qpos[places] = HOME_JOINT_POSITIONS
            data.qpos[places[0]] += angle_rad
            mujoco.mj_forward(model, data)
            shot = pictures.take(data, "wrist") + rng.normal(0.0, 4.0, (IMAGE_SIZE, IMAGE_SIZE, 3))
            shots.append(np.clip(shot, 0, 255).astype(np.uint8))
    finally:
        pictures.close()
    return shots


def latency_errors_ms(rounds: int = 20, seed: int = 0) -> dict[str, list[float]]:
    """Return how wrong recovered delays are, by subject [ms].

    Args:
        rounds: Signals of arm and hand; pictures of the camera are rendered once.
        seed: Of delays, noise, jitter and losses.
    """
    rng = np.random.default_rng(seed)
    errors_ms: dict[str, list[float]] = {"arm": [], "gripper": [], "wrist": []}
    for subject, make in (("arm", arm_signals), ("gripper", hand_signals)):
        for _ in range(rounds):
            errors_ms[subject].append(_error_ms(make, LatencyConfig(), rng))
    errors_ms["wrist"].append(_error_ms(camera_signals, LatencyConfig(either_sign=True), rng))
    return errors_ms


def _error_ms(
    make: Callable[..., tuple[Signal, Signal]], config: LatencyConfig, rng: object
) -> float:
    latency_s = float(rng.uniform(-0.02, 0.2))  # type: ignore[attr-defined]
    estimate = estimate_latency(*make(latency_s, rng), config)
    error_ms = 1e3 * abs(estimate.latency_s - latency_s)
    return error_ms if math.isfinite(error_ms) else math.inf
