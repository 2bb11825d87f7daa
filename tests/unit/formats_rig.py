"""Episodes with plausible motions and pictures, for the tests of exchange formats."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from data_collection import messages, topics
from data_collection.manifest import EpisodeManifest
from data_collection.writer import EpisodeWriter
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from mail_policy.core.types import Observation
from tests.unit.arm_messages import write_arm_state, write_gripper_state

HEIGHT, WIDTH = 64, 96
CAMERAS = ("agentview", "wrist")
START_S = 1_800_000_000.0
PERIOD_S = 0.05
JPEG_ERROR = 12


def picture(camera: str, step: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A shaded floor with a block that moves; no two of its four corners look alike."""
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.stack(
        [40 + 160 * columns / width, 30 + 170 * rows / height, 90 + 60 * (rows + columns) / 200],
        axis=-1,
    )
    if camera == "wrist":
        image = image[..., ::-1].copy()
    left = 8 + 2 * (step % 24)
    image[12:28, left : left + 16] = (230, 60, 40)
    return image.astype(np.uint8)


def observation(step: int, **size: int) -> Observation:
    """Stamps are those of an epoch, and as late as a camera's are."""
    late_s = 0.002 * np.sin(1.7 * step)
    return Observation(
        captured_at_s=round(START_S + PERIOD_S * step + late_s, 6),
        images={camera: picture(camera, step, **size) for camera in CAMERAS},
        joint_positions=HOME_JOINT_POSITIONS + 0.1 * np.sin(0.1 * step + np.arange(7.0)),
        gripper_width_m=0.08 if step < 10 else 0.03,
    )


def delta(step: int) -> np.ndarray:
    """A row of ee_delta, as an expert would choose it."""
    move = 0.01 * np.sin(0.3 * step + np.arange(6.0))
    return np.append(move, 0.08 if step < 9 else 0.0)


def manifest(name: str, **changes: Any) -> EpisodeManifest:
    values: dict[str, Any] = {
        "id": name,
        "task": "open the top drawer",
        "source": "scripted",
        "robot_type": "fr3",
        "cameras": CAMERAS,
        "created_at": "2026-07-05T14:22:33+00:00",
        "operator": "ada",
        "seed": 7,
    }
    return EpisodeManifest(**{**values, **changes})


def record(
    episodes: Any,
    name: str,
    steps: int = 20,
    *,
    success: bool | None = True,
    without: tuple[int, ...] = (),
    size: dict[str, int] | None = None,
    broken_picture: int = -1,
    **changes: Any,
) -> Path:
    """Record an episode of ee_delta actions; its last observation has none.

    `broken_picture` is the step at which the wrist camera's driver writes no JPEG.
    """
    writer = EpisodeWriter(
        episodes.root / name, manifest(Path(name).name, **changes), episodes.roomy
    )
    with writer:
        for step in range(steps):
            if step in without:
                continue
            seen = observation(step, **(size or {}))
            action = delta(step) if step < steps - 1 else None
            if step == broken_picture:
                write_broken(writer, seen, action)
            else:
                writer.write_step(seen, action)
        writer.finish(success, "" if success else "it slipped")
    return writer.folder


def record_driven(episodes: Any, name: str, steps: int = 20, **changes: Any) -> Path:
    """Record an episode in which arm and hand only say what they are commanded.

    The source is a policy that a person relieves for steps 8 to 12.
    """
    described = manifest(name, **{"source": "policy", **changes})
    writer = EpisodeWriter(episodes.root / name, described, episodes.roomy)
    with writer:
        for step in range(steps):
            writer.write_step(observation(step), None)
        # The recorder hears the arm a little longer than the cameras.
        for tick in range(5 * (steps + 2)):
            at_s, step = START_S + PERIOD_S * tick / 5, tick // 5
            write_command(writer, at_s, "teleop" if 8 <= step <= 12 else "policy")
            write_gripper_state(writer, at_s, 0.08, 0.08 if step < 10 else 0.01)
        writer.finish(success=True)
    return writer.folder


def write_broken(writer: EpisodeWriter, seen: Observation, action: np.ndarray) -> None:
    """Write a step as the writer would, but for the wrist camera's picture."""
    stamp_ns = messages.seconds_to_ns(seen.captured_at_s)
    step = [writer._joints_of(seen, stamp_ns), *writer._images_of(seen, stamp_ns)]
    noise = messages.encode(messages.compressed_image(stamp_ns, "wrist", b"no JPEG"))
    step[-1] = dataclasses.replace(step[-1], cdr=noise)
    writer.write_messages([*step, writer._action_of(action, stamp_ns)])


def set_point(at_s: float) -> np.ndarray:
    """Where the arm is commanded to be."""
    return HOME_JOINT_POSITIONS + 0.05 * (at_s - START_S) * np.arange(1.0, 8.0) / 7


def write_command(writer: EpisodeWriter, at_s: float, holder: str) -> None:
    caught = _Caught()
    write_arm_state(caught, at_s)
    message = dataclasses.replace(
        caught.message, lease_holder=holder, state=holder, set_point=set_point(at_s)
    )
    stamp_ns = messages.seconds_to_ns(at_s)
    cdr = messages.encode(message)
    writer.write_raw(topics.ARM_STATE, "mail_msgs/msg/ArmState", cdr, stamp_ns)


class _Caught:
    """Keeps what would be written."""

    message: Any = None

    def write_raw(self, topic: str, type_name: str, cdr: bytes, log_time_ns: int) -> None:
        self.message = messages.decode(messages.schema_of(type_name), cdr)


def psnr_db(shown: np.ndarray, original: np.ndarray) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures [dB]."""
    error = np.mean((shown.astype(float) - original.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def fingerprint(folder: Path) -> dict[str, str]:
    """Return a hash of every file of a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
